//! Cache of native code, keyed by the component's content and by everything of the engine that the code
//! depends on. Native code is trusted by whoever loads it, so the folder must belong to the gateway's own
//! user and be writable by nobody else; a plugin folder is never read here. The only `unsafe` of the host.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use super::ContentHash;

/// Most files of native code that are kept: a version is compiled again once so many others came after it.
const MAX_FILES: usize = 256;

/// A folder of compiled components, or nothing. Each failure costs only a compilation.
#[derive(Debug)]
pub struct AotCache {
    folder: Option<PathBuf>,
    engine: String,
}

impl AotCache {
    /// Uses `folder` if it can be made and belongs to this user alone; else caches nothing and says why.
    pub(crate) fn new(folder: Option<PathBuf>, engine: &wasmtime::Engine) -> Self {
        let folder = folder.filter(|folder| match private(folder) {
            Ok(()) => true,
            Err(reason) => {
                tracing::warn!(folder = %folder.display(), reason, "native code is not cached: components are compiled at each start");
                false
            }
        });
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = ContentHash(hasher.0.finalize().into()).to_string();
        Self { folder, engine }
    }

    /// The folder in use; a place for other files of which only the gateway may be the author.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn path(&self, hash: ContentHash) -> Option<PathBuf> {
        let key = self.engine.get(..16)?;
        Some(self.folder.as_ref()?.join(format!("{hash}-{key}.cwasm")))
    }

    /// The compiled form of the component with this hash.
    #[must_use]
    pub fn load(&self, engine: &wasmtime::Engine, hash: ContentHash) -> Option<Component> {
        let path = self.path(hash)?;
        let owner = path.metadata().ok()?;
        if owner.uid() != rustix::process::geteuid().as_raw() || owner.mode() & 0o022 != 0 {
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "loading native code from a cache that only this user can write"
        )]
        // SAFETY: the file was written by `store` below (temporary file, then rename) from
        // `Component::serialize` of an engine with the same compatibility hash, in a folder that `private`
        // found to be this user's own and writable by nobody else; it is replaced, never changed in place.
        let component = unsafe { Component::deserialize_file(engine, &path) };
        match component {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = format!("{error:#}"), "cached native code is unusable; compiling again");
                None
            }
        }
    }

    /// Keeps the compiled form of `component`.
    pub(crate) fn store(&self, component: &Component, hash: ContentHash) {
        let Some(path) = self.path(hash) else { return };
        let written = component
            .serialize()
            .map_err(|e| std::io::Error::other(format!("{e:#}")))
            .and_then(|code| write_whole(&path, &code))
            .and_then(|()| path.parent().map_or(Ok(()), |folder| prune(folder, MAX_FILES)));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "native code could not be cached");
        }
    }
}

/// Writes a file so that a reader sees all of it or nothing.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    std::fs::rename(&temporary, path)
}

/// Removes the oldest files of native code until at most `keep` are left. What runs has them mapped and goes on.
fn prune(folder: &Path, keep: usize) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "cwasm") {
            files.push((path.metadata()?.modified()?, path));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(keep);
    files
        .iter()
        .take(surplus)
        .try_for_each(|(_, path)| std::fs::remove_file(path))
}

/// Makes the folder if it is missing, and says why it cannot be trusted.
fn private(folder: &Path) -> Result<(), String> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|e| format!("the folder cannot be made: {e}"))?;
    let meta = folder.symlink_metadata().map_err(|e| e.to_string())?;
    if !meta.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err("the folder belongs to another user".to_owned());
    }
    if meta.mode() & 0o022 != 0 {
        return Err("the folder is writable by others (chmod go-w)".to_owned());
    }
    Ok(())
}

/// Feeds wasmtime's compatibility hash into SHA-256: `std`'s hasher may change from release to release.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_oldest_files_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in ["a.cwasm", "b.cwasm", "c.cwasm", "d.wasm"].iter().enumerate() {
            let file = std::fs::File::create(folder.path().join(name)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(100 - age as u64);
            file.set_modified(time).unwrap();
        }
        prune(folder.path(), 2).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["a.cwasm", "b.cwasm", "d.wasm"]);
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(private(folder.path()).unwrap_err().contains("writable by others"));
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(private(folder.path()), Ok(()));
        assert_eq!(private(&folder.path().join("a/b")), Ok(()));
    }
}
