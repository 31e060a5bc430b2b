//! What guests of other languages than Rust have in common: a folder of sources with a `world.wit`, the contract
//! beside it, a component as the result, and a stamp that says what it was built from. Knows no toolchain.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::component;
use crate::say;
use crate::tree::Tree;

/// The world of every such guest.
pub(super) const WORLD: &str = "guest";

/// One guest: a folder directly below that of its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guest {
    /// The folder's name, which is the name of its main module, too.
    pub(super) module: String,
    /// The component's name: `probe-py` for the guest `probe` in Python.
    pub(super) name: String,
    sources: PathBuf,
}

/// The folders that a toolchain reads: copies, for some write beside what they read.
#[derive(Debug)]
pub(super) struct Stage {
    /// The guest's own files.
    pub(super) sources: PathBuf,
    /// Its world, and the contract as a dependency of it.
    pub(super) wit: PathBuf,
    /// Where the toolchain has to put the component.
    pub(super) output: PathBuf,
}

impl Guest {
    /// The guests below `folder`, by name; their components end in `-SUFFIX`.
    pub(super) fn discover(folder: &Path, suffix: &str) -> Result<Vec<Self>> {
        let folders = component::folders(folder)?;
        Ok(folders
            .into_iter()
            .filter(|sources| sources.join("world.wit").is_file())
            .map(|sources| {
                let module = sources
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                Self {
                    name: format!("{module}-{suffix}"),
                    module,
                    sources,
                }
            })
            .collect())
    }

    /// A text that changes whenever the component could: sources, contract, `toolchain`.
    pub(super) fn key(&self, tree: &Tree, toolchain: &[u8]) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        for folder in [&self.sources, &tree.path("wit")] {
            for file in files(folder)? {
                let bytes = read(&folder.join(&file))?;
                hasher.write(file.to_string_lossy().as_bytes());
                hasher.write_usize(bytes.len());
                hasher.write(&bytes);
            }
        }
        hasher.write(toolchain);
        Ok(format!("{:016x}", hasher.finish()))
    }

    /// Whether the component is there and was built from what `key` stands for.
    pub(super) fn is_built(&self, tree: &Tree, key: &str) -> bool {
        self.component(tree).is_file() && fs::read_to_string(self.stamp(tree)).is_ok_and(|old| old == key)
    }

    /// Copies what the toolchain reads into an empty folder below the target folder.
    pub(super) fn stage(&self, tree: &Tree) -> Result<Stage> {
        let root = self.work(tree);
        clear(&root)?;
        let stage = Stage {
            sources: root.join("sources"),
            wit: root.join("wit"),
            output: root.join("component.wasm"),
        };
        for file in files(&self.sources)? {
            let to = if file.as_os_str() == "world.wit" {
                &stage.wit
            } else {
                &stage.sources
            };
            copy(&self.sources.join(&file), &to.join(&file))?;
        }
        let contract = tree.path("wit");
        for file in files(&contract)? {
            copy(
                &contract.join(&file),
                &stage.wit.join("deps/portcullis").join(&file),
            )?;
        }
        Ok(stage)
    }

    /// Puts the component that the toolchain made into `target/guests`, and notes what it was built from.
    pub(super) fn publish(&self, tree: &Tree, stage: &Stage, key: &str) -> Result<()> {
        let bytes = read(&stage.output)?;
        ensure!(!bytes.is_empty(), "{} is empty", stage.output.display());
        let to = self.component(tree);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        if component::replace(&to, &bytes)? {
            say::step(&format!(
                "{} ({} KiB)",
                tree.shown(&to),
                bytes.len().div_ceil(1024)
            ));
        }
        component::replace(&self.stamp(tree), key.as_bytes())?;
        Ok(())
    }

    fn component(&self, tree: &Tree) -> PathBuf {
        tree.target("guests").join(format!("{}.wasm", self.name))
    }

    fn work(&self, tree: &Tree) -> PathBuf {
        tree.target("tools/guests").join(&self.name)
    }

    fn stamp(&self, tree: &Tree) -> PathBuf {
        self.work(tree).join("stamp")
    }
}

/// The files below `folder`, relative to it and sorted; hidden ones and what interpreters leave are none.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let list = folder.join(&below);
        for entry in fs::read_dir(&list).with_context(|| format!("cannot list {}", list.display()))? {
            let entry = entry.with_context(|| format!("cannot list {}", list.display()))?;
            let name = entry.file_name();
            if name == "__pycache__" || name == "node_modules" || name.to_string_lossy().starts_with('.') {
                continue;
            }
            let path = below.join(&name);
            if entry.path().is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Copies a file, with the folders above it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(())
}

/// An empty folder at `path`.
pub(super) fn clear(path: &Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path).with_context(|| format!("cannot empty {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-recipe-{name}-{}", std::process::id()));
            clear(&path).unwrap();
            for (file, text) in [
                ("wit/contract.wit", "package a:b;"),
                ("python/probe/world.wit", "world guest {}"),
                ("python/probe/probe.py", "import case"),
                ("python/probe/__pycache__/probe.pyc", "left"),
                ("python/no-world/x.py", ""),
            ] {
                fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
                fs::write(path.join(file), text).unwrap();
            }
            Self(path)
        }

        fn guest(&self) -> Guest {
            let mut guests = Guest::discover(&self.0.join("python"), "py").unwrap();
            assert_eq!(guests.len(), 1, "a folder without a world is no guest");
            guests.remove(0)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn the_key_changes_with_sources_contract_and_toolchain_and_with_nothing_else() {
        let scratch = Scratch::new("key");
        let (tree, guest) = (Tree::at(&scratch.0), scratch.guest());
        let key = || guest.key(&tree, b"1.0").unwrap();
        let first = key();
        fs::write(scratch.0.join("python/probe/__pycache__/probe.pyc"), "other").unwrap();
        assert_eq!(key(), first);
        assert_ne!(guest.key(&tree, b"1.1").unwrap(), first);
        fs::write(scratch.0.join("wit/contract.wit"), "package a:c;").unwrap();
        let second = key();
        assert_ne!(second, first);
        fs::rename(
            scratch.0.join("python/probe/probe.py"),
            scratch.0.join("python/probe/other.py"),
        )
        .unwrap();
        assert_ne!(key(), second);
    }

    #[test]
    fn a_guest_is_built_until_its_key_changes_or_its_component_is_gone() {
        let scratch = Scratch::new("built");
        let (tree, guest) = (Tree::at(&scratch.0), scratch.guest());
        assert!(!guest.is_built(&tree, "a"));
        let stage = guest.stage(&tree).unwrap();
        assert!(guest.publish(&tree, &stage, "a").is_err(), "nothing was made");
        assert!(stage.sources.join("probe.py").is_file());
        assert!(!stage.sources.join("__pycache__").exists());
        assert!(stage.wit.join("world.wit").is_file());
        assert!(stage.wit.join("deps/portcullis/contract.wit").is_file());
        fs::write(&stage.output, b"component").unwrap();
        guest.publish(&tree, &stage, "a").unwrap();
        assert!(guest.is_built(&tree, "a"));
        assert!(!guest.is_built(&tree, "b"));
        fs::remove_file(tree.target("guests/probe-py.wasm")).unwrap();
        assert!(!guest.is_built(&tree, "a"));
    }
}
