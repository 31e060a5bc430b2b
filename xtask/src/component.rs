//! A Rust package that becomes a component: its folder, its package name, and the .wasm file it gives. Knows
//! cargo's naming, not what a component contains.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::toolchain::WASM_TARGET;
use crate::tree::Tree;
use crate::{command, say};

/// One package below `plugins/` or `tests/guests/rust/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// The folder's name, which is the component's name: `auth-key` gives `auth-key.wasm`.
    pub(crate) name: String,
    /// The name in its Cargo.toml, for `cargo build -p`.
    pub(crate) package: String,
    /// The file that cargo writes: `auth_key.wasm`.
    artifact: String,
}

impl Component {
    /// The packages directly below `folder`, by name. A folder that does not exist has none.
    ///
    /// # Errors
    /// Unreadable folders, and manifests without a package name.
    pub(crate) fn discover(folder: &Path) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for path in folders(folder)? {
            let manifest = path.join("Cargo.toml");
            if manifest.is_file() {
                found.push(Self::read(&path, &manifest)?);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn read(folder: &Path, manifest: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let package = value(&text, "package", "name")
            .with_context(|| format!("{}: no `name` in [package]", manifest.display()))?;
        let library = value(&text, "lib", "name").unwrap_or(package);
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        ensure!(!name.is_empty(), "{} has no name", folder.display());
        Ok(Self {
            name,
            package: package.to_owned(),
            artifact: library.replace('-', "_") + ".wasm",
        })
    }
}

/// Builds `components` for [`WASM_TARGET`] and puts each as `NAME.wasm` into `into`. A file whose content is
/// the same is left alone, so that nothing that watches the folder sees a change.
///
/// # Errors
/// A failed build, or files that cannot be written.
pub(crate) fn build(tree: &Tree, components: &[Component], into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    if components.is_empty() {
        return Ok(());
    }
    let mut cargo = command::cargo(tree);
    cargo.args(["build", "--profile", "plugin", "--target", WASM_TARGET]);
    for component in components {
        cargo.args(["-p", &component.package]);
    }
    command::run(&mut cargo)?;
    let built = tree.target(WASM_TARGET).join("plugin");
    for component in components {
        let bytes = fs::read(built.join(&component.artifact)).with_context(|| {
            format!(
                "package {} gave no {}: it needs `crate-type = [\"cdylib\", \"rlib\"]`",
                component.package, component.artifact
            )
        })?;
        let to = into.join(format!("{}.wasm", component.name));
        if replace(&to, &bytes)? {
            say::step(&format!(
                "{} ({} KiB)",
                tree.shown(&to),
                bytes.len().div_ceil(1024)
            ));
        }
    }
    Ok(())
}

/// Puts `bytes` at `path` by a rename, so that a reader sees the old file or the new one and nothing between.
/// False when it had that content already.
///
/// # Errors
/// Those of the file system.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    fs::write(&temporary, bytes).with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(true)
}

/// The folders directly below `folder`, none if it is not there.
pub(crate) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry
            .with_context(|| format!("cannot list {}", folder.display()))?
            .path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The string at `key` in the table `[section]` of a manifest: one line, double quotes, which is how they are
/// written here. Not a TOML parser.
fn value<'a>(manifest: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let header = format!("[{section}]");
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| {
            line.strip_prefix(key)?
                .trim_start()
                .strip_prefix('=')?
                .trim()
                .strip_prefix('"')
        })
        .and_then(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-component-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn the_folder_names_the_component_and_the_library_names_the_artifact() {
        let scratch = Scratch::new("discover");
        for (folder, manifest) in [
            (
                "rate-limit",
                "[package]\nname = \"rate-limit\"\n[lib]\ncrate-type = [\"cdylib\"]\n",
            ),
            (
                "auth-key",
                "[package]\nversion = \"1\"\nname=\"guest-auth\"\n\n[lib]\nname = \"auth\"\n",
            ),
        ] {
            fs::create_dir_all(scratch.0.join(folder)).unwrap();
            fs::write(scratch.0.join(folder).join("Cargo.toml"), manifest).unwrap();
        }
        fs::create_dir_all(scratch.0.join("no-package")).unwrap();
        let found = Component::discover(&scratch.0).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|c| (c.name.as_str(), c.package.as_str(), c.artifact.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("auth-key", "guest-auth", "auth.wasm"),
                ("rate-limit", "rate-limit", "rate_limit.wasm")
            ]
        );
        assert!(
            Component::discover(&scratch.0.join("nowhere"))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_file_is_replaced_only_when_its_content_differs() {
        let scratch = Scratch::new("replace");
        let path = scratch.0.join("a.wasm");
        assert!(replace(&path, b"one").unwrap());
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!replace(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        assert!(replace(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::read_dir(&scratch.0).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_key_is_read_from_its_own_table_only() {
        let text = "[workspace]\nname = \"no\"\n[package]\nname = \"yes\" # here\n[lib]\npath = \"x\"\n";
        assert_eq!(value(text, "package", "name"), Some("yes"));
        assert_eq!(value(text, "lib", "name"), None);
    }
}
