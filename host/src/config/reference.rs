//! References: the tables `{ env = ".." }`, `{ file = ".." }` and `{ files = ".." }` that stand for content from
//! outside the file.
//!
//! It refuses to know where a reference is allowed, and its errors name the variable or the path, never the content.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::inputs::{InputError, Inputs};

/// Where the variables of `{ env = ".." }` are looked up.
pub trait Environment {
    /// The value of a variable, none when it is not set.
    fn variable(&self, name: &str) -> Option<OsString>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// A fixed set of variables.
impl Environment for BTreeMap<String, String> {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.get(name).map(OsString::from)
    }
}

/// What a reference refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Env,
    File,
    Files,
}

impl Kind {
    /// The kind of reference that a table is: it has exactly one key, and the key is `env`, `file` or `files`.
    pub(super) fn of(table: &DeTable<'_>) -> Option<Self> {
        let mut keys = table.keys();
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return None;
        };
        match &**key.get_ref() {
            "env" => Some(Self::Env),
            "file" => Some(Self::File),
            "files" => Some(Self::Files),
            _ => None,
        }
    }
}

/// Why a reference has no content.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReferenceError {
    #[error("environment variable `{0}` is not set")]
    NotSet(String),
    #[error("environment variable `{0}` is not UTF-8 text")]
    VariableNotText(String),
    #[error(transparent)]
    Input(#[from] InputError),
}

/// Reads what the references of one file name.
pub(super) struct Resolver<'e> {
    folder: PathBuf,
    environment: &'e dyn Environment,
    inputs: &'e Inputs,
}

impl<'e> Resolver<'e> {
    /// A resolver for the configuration file `file`: paths are relative to its folder.
    pub(super) fn new(file: &Path, environment: &'e dyn Environment, inputs: &'e Inputs) -> Self {
        Self {
            folder: file.parent().unwrap_or(Path::new("")).to_path_buf(),
            environment,
            inputs,
        }
    }

    /// The folder that paths are relative to.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path of the configuration as a path of this process.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// The value of an environment variable.
    pub(super) fn variable(&self, name: &str) -> Result<String, ReferenceError> {
        let value = self
            .environment
            .variable(name)
            .ok_or_else(|| ReferenceError::NotSet(name.to_owned()))?
            .into_string()
            .map_err(|_| ReferenceError::VariableNotText(name.to_owned()))?;
        self.inputs.count(&value);
        Ok(value)
    }

    /// The text of a file without one newline at its end.
    pub(super) fn file(&self, written: &str) -> Result<String, ReferenceError> {
        Ok(self.read(&self.path(written))?)
    }

    /// The texts of all files that a pattern matches, in the order of their paths.
    pub(super) fn files(&self, pattern: &str) -> Result<Vec<String>, ReferenceError> {
        let paths = self.inputs.matches(&self.folder, pattern)?;
        if paths.is_empty() {
            return Err(InputError::NothingMatches(pattern.to_owned()).into());
        }
        paths.iter().map(|path| Ok(self.read(path)?)).collect()
    }

    fn read(&self, path: &Path) -> Result<String, InputError> {
        let mut text = self.inputs.read(path)?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_table_with_exactly_one_known_key_is_a_reference() {
        let kind = |text: &str| Kind::of(DeTable::parse(text).unwrap().get_ref());
        assert_eq!(kind("env = 'A'"), Some(Kind::Env));
        assert_eq!(kind("file = 'a'"), Some(Kind::File));
        assert_eq!(kind("files = 'a'"), Some(Kind::Files));
        assert_eq!(kind("env = 'A'\nfile = 'a'"), None);
        assert_eq!(kind("other = 'A'"), None);
        assert_eq!(kind(""), None);
    }

    /// What `test` finds in a folder.
    fn with_resolver(test: impl FnOnce(&Path, &Resolver<'_>)) {
        let folder = tempfile::tempdir().unwrap();
        let (environment, inputs) = (BTreeMap::new(), Inputs::new());
        let file = folder.path().join("gateway.toml");
        test(folder.path(), &Resolver::new(&file, &environment, &inputs));
    }

    #[test]
    fn one_newline_at_the_end_of_a_file_is_dropped() {
        with_resolver(|folder, resolver| {
            for (content, expected) in [
                ("key\n", "key"),
                ("key\r\n", "key"),
                ("key\n\n", "key\n"),
                ("key", "key"),
                ("", ""),
            ] {
                fs::write(folder.join("key"), content).unwrap();
                assert_eq!(resolver.file("key").unwrap(), expected);
            }
        });
    }

    #[test]
    fn files_are_in_the_order_of_their_paths() {
        with_resolver(|folder, resolver| {
            for name in ["b.conf", "a.conf"] {
                fs::write(folder.join(name), name).unwrap();
            }
            assert_eq!(resolver.files("*.conf").unwrap(), ["a.conf", "b.conf"]);
        });
    }

    #[test]
    fn refusals_name_the_reference() {
        with_resolver(|folder, resolver| {
            let error = resolver.variable("TOKEN").unwrap_err();
            assert_eq!(error.to_string(), "environment variable `TOKEN` is not set");
            let error = resolver.files("*.conf").unwrap_err();
            assert_eq!(error.to_string(), "`*.conf` matches no file");
            let error = resolver.files("a***").unwrap_err().to_string();
            assert!(
                error.starts_with("`a***` is not a pattern for file names"),
                "{error}"
            );
            let error = resolver.file(".").unwrap_err().to_string();
            assert!(error.ends_with("is not a regular file"), "{error}");
            fs::write(folder.join("binary"), [0xff, 0xfe]).unwrap();
            let error = resolver.file("binary").unwrap_err().to_string();
            assert!(error.ends_with("is not UTF-8 text"), "{error}");
        });
    }
}
