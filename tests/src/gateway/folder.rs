//! The folder of a gateway under test: its TOML and its plugins, changed the way operators change them, by a new
//! file renamed over the old one. Gone when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::gateway::builder::Frame;

/// A temporary folder with `portcullis.toml` and `plugins/`.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    frame: Frame,
    temporary: AtomicU64,
}

impl Folder {
    pub(crate) fn new(frame: Frame) -> Self {
        let folder = TempDir::with_prefix("portcullis-").expect("a temporary folder");
        fs::create_dir(folder.path().join("plugins")).expect("a folder for the plugins");
        Self {
            folder,
            frame,
            temporary: AtomicU64::new(0),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The TOML that the gateway reads.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.path().join("portcullis.toml")
    }

    /// Writes the test's part of the TOML anew; listeners, upstreams and entries of the builder stay around it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_toml(&self, text: &str) {
        self.write_file("portcullis.toml", self.frame.around(text).as_bytes());
    }

    /// Puts a component in place of `plugins/NAME.wasm`, or adds it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn replace_plugin(&self, name: &str, bytes: &[u8]) {
        self.write_file(&format!("plugins/{name}.wasm"), bytes);
    }

    /// The bytes of `plugins/NAME.wasm`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn plugin_bytes(&self, name: &str) -> Vec<u8> {
        let path = self.path().join("plugins").join(format!("{name}.wasm"));
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Removes `plugins/NAME.wasm`.
    ///
    /// # Panics
    /// When there is none.
    pub fn remove_plugin(&self, name: &str) {
        self.remove_file(&format!("plugins/{name}.wasm"));
    }

    /// Puts a file in place, atomically, by its path below the folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_file(&self, path: &str, bytes: &[u8]) {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let (to, temporary) = (self.path().join(path), self.path().join(format!(".{number}.tmp")));
        fs::create_dir_all(to.parent().expect("a file is in a folder")).expect("a folder for the file");
        fs::write(&temporary, bytes).expect("a temporary file");
        fs::rename(&temporary, &to).expect("a file in place of another");
    }

    /// Removes a file by its path below the folder.
    ///
    /// # Panics
    /// When there is none.
    pub fn remove_file(&self, path: &str) {
        fs::remove_file(self.path().join(path)).expect("a file to remove");
    }
}

/// The same component with another hash: a custom section (id 0) that means nothing to anybody.
///
/// `mark` keeps several apart; at most 100 bytes of it are used.
#[must_use]
pub fn with_another_hash(component: &[u8], mark: &str) -> Vec<u8> {
    let mark: Vec<u8> = mark.bytes().take(100).collect();
    let length = u8::try_from(mark.len()).expect("at most 100");
    [component, &[0, length + 1, length], &mark].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_in_place_and_nothing_else_is_left() {
        let folder = Folder::new(Frame::default());
        folder.write_toml("[[routes]]\n");
        folder.replace_plugin("a", b"one");
        folder.replace_plugin("a", b"two");
        assert_eq!(folder.plugin_bytes("a"), b"two");
        assert!(
            fs::read_to_string(folder.configuration())
                .unwrap()
                .ends_with("[[routes]]\n")
        );
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["plugins", "portcullis.toml"]);
        folder.remove_plugin("a");
        assert_eq!(fs::read_dir(folder.path().join("plugins")).unwrap().count(), 0);
    }

    #[test]
    fn a_marked_component_is_the_component_and_a_section() {
        assert_eq!(with_another_hash(b"wasm", "ab"), b"wasm\0\x03\x02ab");
    }
}
