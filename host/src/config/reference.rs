//! References: the tables `{ env = ".." }`, `{ file = ".." }` and `{ files = ".." }` that stand for content from
//! outside the file.
//!
//! It refuses to know where a reference is allowed, and its errors name the variable or the path, never the content.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::de::DeTable;

/// Largest file that a reference may name, in bytes.
pub const MAX_REFERENCED_FILE: u64 = 16 << 20;
/// Most bytes that all references of one configuration may bring in together.
pub const MAX_REFERENCED_TOTAL: u64 = 128 << 20;
/// Most files that one glob may match.
pub const MAX_GLOB_MATCHES: usize = 4096;

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
    #[error("cannot read `{path}`: {source}")]
    Read { path: String, source: io::Error },
    #[error("`{0}` is not a regular file")]
    NotAFile(String),
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    #[error("`{0}` is not UTF-8 text")]
    NotText(String),
    #[error("all files that the configuration names are together larger than {MAX_REFERENCED_TOTAL} bytes")]
    TotalTooLarge,
    #[error("`{pattern}` is not a pattern for file names: {reason}")]
    BadPattern { pattern: String, reason: &'static str },
    #[error("`{0}` matches no file")]
    NothingMatches(String),
    #[error("`{0}` matches more than {MAX_GLOB_MATCHES} files")]
    TooManyMatches(String),
}

/// Reads what references name, and remembers which files that were.
pub(super) struct Resolver<'e> {
    folder: PathBuf,
    environment: &'e dyn Environment,
    inputs: RefCell<BTreeSet<PathBuf>>,
    content: RefCell<Sha256>,
    left: Cell<u64>,
}

impl<'e> Resolver<'e> {
    /// A resolver for the configuration file `file`: paths are relative to its folder.
    pub(super) fn new(file: &Path, environment: &'e dyn Environment) -> Self {
        Self {
            folder: file.parent().unwrap_or(Path::new("")).to_path_buf(),
            environment,
            inputs: RefCell::new(BTreeSet::new()),
            content: RefCell::default(),
            left: Cell::new(MAX_REFERENCED_TOTAL),
        }
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
        self.resolved(&value);
        Ok(value)
    }

    /// The text of a file without one newline at its end.
    pub(super) fn file(&self, written: &str) -> Result<String, ReferenceError> {
        self.read(&self.path(written))
    }

    /// The texts of all files that a pattern matches, in the order of their paths.
    pub(super) fn files(&self, pattern: &str) -> Result<Vec<String>, ReferenceError> {
        let bad = |error: glob::PatternError| ReferenceError::BadPattern {
            pattern: pattern.to_owned(),
            reason: error.msg,
        };
        glob::Pattern::new(pattern).map_err(bad)?;
        let folder = PathBuf::from(glob::Pattern::escape(&self.folder.to_string_lossy()));
        let whole = folder.join(pattern);
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..glob::MatchOptions::new()
        };

        self.inputs
            .borrow_mut()
            .insert(self.path(literal_folder(pattern)));
        let mut paths = BTreeSet::new();
        for path in glob::glob_with(&whole.to_string_lossy(), options).map_err(bad)? {
            let path = path.map_err(|error| ReferenceError::Read {
                path: error.path().display().to_string(),
                source: error.into(),
            })?;
            if path.is_file() {
                paths.insert(path);
            }
            if paths.len() > MAX_GLOB_MATCHES {
                return Err(ReferenceError::TooManyMatches(pattern.to_owned()));
            }
        }
        if paths.is_empty() {
            return Err(ReferenceError::NothingMatches(pattern.to_owned()));
        }
        paths.iter().map(|path| self.read(path)).collect()
    }

    /// Every file and folder that was looked at, in order, and a hash of all content.
    pub(super) fn into_inputs(self) -> (BTreeSet<PathBuf>, Sha256) {
        (self.inputs.into_inner(), self.content.into_inner())
    }

    fn resolved(&self, content: &str) {
        let mut hash = self.content.borrow_mut();
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }

    fn read(&self, path: &Path) -> Result<String, ReferenceError> {
        self.inputs.borrow_mut().insert(path.to_path_buf());
        let mut text = read_text(path, MAX_REFERENCED_FILE)?;
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let left = self
            .left
            .get()
            .checked_sub(length)
            .ok_or(ReferenceError::TotalTooLarge)?;
        self.left.set(left);
        self.resolved(&text);
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

/// The text of a regular file of at most `limit` bytes.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, ReferenceError> {
    let name = || path.display().to_string();
    let failed = |source| ReferenceError::Read { path: name(), source };
    // Opening a pipe would wait for its other end, so the kind is asked for first.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ReferenceError::NotAFile(name()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    let read = file
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(read).map_or(true, |read| read > limit) {
        return Err(ReferenceError::TooLarge { path: name(), limit });
    }
    String::from_utf8(bytes).map_err(|_| ReferenceError::NotText(name()))
}

/// The part of a pattern up to the last separator before its first wildcard.
fn literal_folder(pattern: &str) -> &str {
    let wildcard = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let literal = pattern.get(..wildcard).unwrap_or_default();
    match literal.rfind('/') {
        Some(0) => "/",
        Some(end) => literal.get(..end).unwrap_or_default(),
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver<'e>(folder: &Path, environment: &'e BTreeMap<String, String>) -> Resolver<'e> {
        Resolver::new(&folder.join("gateway.toml"), environment)
    }

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

    #[test]
    fn one_newline_at_the_end_of_a_file_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let resolver = resolver(folder.path(), &none);
        for (content, expected) in [
            ("key\n", "key"),
            ("key\r\n", "key"),
            ("key\n\n", "key\n"),
            ("key", "key"),
            ("", ""),
        ] {
            fs::write(folder.path().join("key"), content).unwrap();
            assert_eq!(resolver.file("key").unwrap(), expected);
        }
    }

    #[test]
    fn files_are_sorted_by_path_and_their_folder_is_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        fs::create_dir(folder.path().join("rules")).unwrap();
        for name in ["b.conf", "a.conf", "c.txt", ".hidden.conf"] {
            fs::write(folder.path().join("rules").join(name), name).unwrap();
        }
        let resolver = resolver(folder.path(), &none);
        assert_eq!(resolver.files("rules/*.conf").unwrap(), ["a.conf", "b.conf"]);
        let (inputs, _) = resolver.into_inputs();
        let rules = folder.path().join("rules");
        assert_eq!(
            inputs.into_iter().collect::<Vec<_>>(),
            [rules.clone(), rules.join("a.conf"), rules.join("b.conf")]
        );
    }

    #[test]
    fn wildcards_in_the_name_of_the_folder_itself_are_literal() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("[x]*");
        fs::create_dir(&odd).unwrap();
        fs::write(odd.join("a.conf"), "a").unwrap();
        let none = BTreeMap::new();
        assert_eq!(resolver(&odd, &none).files("*.conf").unwrap(), ["a"]);
    }

    #[test]
    fn refusals_name_the_reference() {
        let folder = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let resolver = resolver(folder.path(), &none);
        let error = resolver.variable("TOKEN").unwrap_err();
        assert_eq!(error.to_string(), "environment variable `TOKEN` is not set");
        let error = resolver.files("*.conf").unwrap_err();
        assert_eq!(error.to_string(), "`*.conf` matches no file");
        let error = resolver.files("a***").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`a***` is not a pattern for file names"),
            "{error}"
        );
        let error = resolver.file(".").unwrap_err();
        assert!(error.to_string().ends_with("is not a regular file"), "{error}");
        fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
        let error = resolver.file("binary").unwrap_err();
        assert!(error.to_string().ends_with("is not UTF-8 text"), "{error}");
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert!(matches!(
            read_text(&path, 4),
            Err(ReferenceError::TooLarge { limit: 4, .. })
        ));
    }

    #[test]
    fn all_references_together_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("part"), "12345").unwrap();
        let none = BTreeMap::new();
        let resolver = resolver(folder.path(), &none);
        resolver.left.set(9);
        assert!(resolver.file("part").is_ok());
        assert!(matches!(
            resolver.file("part"),
            Err(ReferenceError::TotalTooLarge)
        ));
    }

    #[test]
    fn the_folder_of_a_pattern_ends_before_its_wildcard() {
        assert_eq!(literal_folder("rules/*.conf"), "rules");
        assert_eq!(literal_folder("*.conf"), "");
        assert_eq!(literal_folder("a/b/c[1]/d"), "a/b");
        assert_eq!(literal_folder("/*.conf"), "/");
        assert_eq!(literal_folder("a/b.conf"), "a");
    }
}
