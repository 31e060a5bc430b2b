//! Watches files and folders, and says when they have changed and come to rest. Folders are watched rather
//! than files, for editors and orchestrators replace files by renaming. It does not know what the files are for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Files must be left alone for so long before they are read.
const QUIET: Duration = Duration::from_millis(100);
/// A folder that never rests is read nevertheless after so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The watcher could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch for changes: {0}")]
pub struct WatchError(#[from] notify::Error);

/// What counts, by paths as the watcher gives them: folders without links, then a name.
#[derive(Debug, Default)]
struct Interest {
    /// Every change directly in these folders counts.
    folders: BTreeSet<PathBuf>,
    /// Only these names in other folders count.
    names: BTreeSet<PathBuf>,
}

impl Interest {
    fn add(&mut self, path: &Path) {
        let named = without_links(path);
        if let Ok(target) = named.canonicalize() {
            if target.is_dir() {
                self.folders.insert(target);
            } else if target != named {
                // A link is replaced, or what it leads to is edited.
                self.names.insert(target);
            }
        }
        self.names.insert(named);
    }

    fn covers(&self, path: &Path) -> bool {
        let inside = path.parent().is_some_and(|parent| self.folders.contains(parent));
        let holds = |set: &BTreeSet<PathBuf>| {
            let next = set
                .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
                .next();
            next.is_some_and(|next| next.starts_with(path))
        };
        inside
            || holds(&self.names)
            || holds(&self.folders)
            // Kubernetes swaps the link `..data` beside the files.
            || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".."))
    }

    /// The folders to watch: where each name is or, as long as that is missing, where it would be made.
    fn places(&self) -> BTreeSet<PathBuf> {
        let beside = self.names.iter().filter_map(|name| {
            let folders = name.ancestors().skip(1);
            folders.into_iter().find(|folder| folder.is_dir())
        });
        let places = beside.map(Path::to_owned).chain(self.folders.iter().cloned());
        places.collect()
    }
}

/// An absolute path whose folder has no links in it, as far as it exists; the last name is left as it is.
fn without_links(path: &Path) -> PathBuf {
    // An empty path is the current folder.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for folder in path.ancestors().skip(1) {
        if let (Ok(real), Ok(rest)) = (folder.canonicalize(), path.strip_prefix(folder)) {
            return real.join(rest);
        }
    }
    path
}

/// Tells a folder from another one that took its name.
type Identity = (u64, u64);

fn identity(folder: &Path) -> Option<Identity> {
    let meta = folder.metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Watches what it was last told to watch.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    watched: BTreeMap<PathBuf, Identity>,
    interest: Arc<Mutex<Interest>>,
    events: mpsc::Receiver<()>,
    /// A change was seen and not yet told.
    noticed: bool,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system's watcher cannot be had.
    pub fn new() -> Result<Self, WatchError> {
        let (sender, events) = mpsc::channel(1);
        let interest = Arc::new(Mutex::new(Interest::default()));
        let shared = Arc::clone(&interest);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let counts = match event {
                Ok(event) => {
                    let touched = !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
                    let interest = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    event.need_rescan() || touched && event.paths.iter().any(|path| interest.covers(path))
                }
                // Something was lost: look.
                Err(_) => true,
            };
            if counts {
                // One that waits already says the same.
                sender.try_send(()).ok();
            }
        })?;
        Ok(Self {
            watcher,
            watched: BTreeMap::new(),
            interest,
            events,
            noticed: false,
        })
    }

    /// Watches `paths` (files, or folders as a whole, whether they exist or not) from now on. What cannot be
    /// watched is logged. True when it watches a folder that it did not before: whatever was read from there
    /// may have changed since.
    pub fn set(&mut self, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> bool {
        let mut interest = Interest::default();
        paths.into_iter().for_each(|path| interest.add(path.as_ref()));
        let places = interest.places();
        *self.interest.lock().unwrap_or_else(PoisonError::into_inner) = interest;

        let mut before = std::mem::take(&mut self.watched);
        let mut grown = false;
        for folder in places {
            let now = identity(&folder);
            let same = before.get(&folder).copied() == now;
            if !same && before.remove(&folder).is_some() {
                drop(self.watcher.unwatch(&folder));
            }
            // Also where it is watched: that does no harm, and a folder deleted in between has lost its watch.
            match (self.watcher.watch(&folder, RecursiveMode::NonRecursive), now) {
                (Ok(()), Some(now)) => {
                    grown |= !same;
                    before.remove(&folder);
                    self.watched.insert(folder, now);
                }
                (Ok(()), None) => {}
                (Err(error), _) => {
                    tracing::warn!(folder = %folder.display(), %error, "changes in this folder will not be noticed");
                }
            }
        }
        for gone in before.keys() {
            // It may have been deleted, which ends its watch as well.
            drop(self.watcher.unwatch(gone));
        }
        grown
    }

    /// Waits until something changed and then came to rest. Can be cancelled: a change that was noticed is told the next time.
    pub async fn changed(&mut self) {
        if !self.noticed && self.events.recv().await.is_none() {
            // The watcher lives as long as `self`.
            std::future::pending::<()>().await;
        }
        self.noticed = true;
        let rest = async { while tokio::time::timeout(QUIET, self.events.recv()).await.is_ok() {} };
        // A folder that never rests is read as it is.
        drop(tokio::time::timeout(PATIENCE, rest).await);
        self.noticed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn changes(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(5), watch.changed())
            .await
            .is_ok()
    }

    async fn is_quiet(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_millis(300), watch.changed())
            .await
            .is_err()
    }

    #[tokio::test]
    async fn a_change_is_not_forgotten_when_the_waiting_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "a").unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set([&file]);
        std::fs::write(&file, "b").unwrap();
        // Given up while the folder comes to rest, as soon as the change was noticed.
        while !watch.noticed {
            let given_up = tokio::time::timeout(QUIET / 2, watch.changed()).await;
            assert!(given_up.is_err());
        }
        assert!(changes(&mut watch).await);
        assert!(is_quiet(&mut watch).await, "told once");
    }

    #[tokio::test]
    async fn writes_and_renames_are_noticed_and_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (plugins, file) = (folder.path().join("plugins"), folder.path().join("a.toml"));
        std::fs::create_dir(&plugins).unwrap();
        std::fs::write(&file, "a").unwrap();
        let mut watch = Watch::new().unwrap();
        assert!(watch.set([&plugins, &file]));
        assert!(!watch.set([&plugins, &file]));
        std::fs::write(&file, "b").unwrap();
        assert!(changes(&mut watch).await, "a write");
        std::fs::write(folder.path().join("new"), "c").unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
        assert!(changes(&mut watch).await, "a rename over the file");
        std::fs::write(plugins.join("x.wasm"), "c").unwrap();
        assert!(changes(&mut watch).await, "a new plugin");
        std::fs::read(&file).unwrap();
        std::fs::write(folder.path().join("unrelated"), "c").unwrap();
        assert!(is_quiet(&mut watch).await, "reading, and files that nobody named");
    }

    #[tokio::test]
    async fn what_is_missing_is_noticed_when_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b/c.txt");
        let mut watch = Watch::new().unwrap();
        watch.set([&file]);
        for made in ["a", "a/b"] {
            std::fs::create_dir(folder.path().join(made)).unwrap();
            assert!(changes(&mut watch).await, "{made}");
            assert!(watch.set([&file]), "{made}");
        }
        std::fs::write(&file, "c").unwrap();
        assert!(changes(&mut watch).await, "the file itself");
    }

    #[tokio::test]
    async fn a_folder_that_takes_the_place_of_another_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let [plugins, old, new] = ["plugins", "old", "new"].map(|name| folder.path().join(name));
        std::fs::create_dir(&plugins).unwrap();
        std::fs::create_dir(&new).unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set([&plugins]);
        std::fs::rename(&plugins, &old).unwrap();
        std::fs::rename(&new, &plugins).unwrap();
        assert!(changes(&mut watch).await, "the swap");
        assert!(watch.set([&plugins]));
        std::fs::write(plugins.join("x.wasm"), "x").unwrap();
        assert!(changes(&mut watch).await, "in the new folder");
        std::fs::write(old.join("x.wasm"), "x").unwrap();
        assert!(is_quiet(&mut watch).await, "the folder that was moved away");
        std::fs::remove_dir_all(&plugins).unwrap();
        std::fs::create_dir(&plugins).unwrap();
        assert!(changes(&mut watch).await, "deleted and made again");
        watch.set([&plugins]);
        std::fs::write(plugins.join("x.wasm"), "x").unwrap();
        assert!(changes(&mut watch).await, "in the folder made again");
    }

    #[tokio::test]
    async fn links_are_followed_and_their_replacement_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for release in ["one", "two"] {
            std::fs::create_dir(path(release)).unwrap();
            std::fs::write(path(release).join("x.wasm"), release).unwrap();
        }
        std::os::unix::fs::symlink("one", path("current")).unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set([path("current")]);
        std::fs::write(path("one/x.wasm"), "new").unwrap();
        assert!(changes(&mut watch).await, "behind the link");
        std::os::unix::fs::symlink("two", path("next")).unwrap();
        std::fs::rename(path("next"), path("current")).unwrap();
        assert!(changes(&mut watch).await, "the link itself");
    }
}
