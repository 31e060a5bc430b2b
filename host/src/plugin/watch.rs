//! Watches the plugin folder and every file that the configuration was made of, and says when they have
//! changed and come to rest. Folders are watched rather than files: editors and orchestrators replace
//! files by renaming.

use std::collections::BTreeSet;
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

#[derive(Debug, Default)]
struct Interest {
    /// Every change in these folders counts.
    folders: BTreeSet<PathBuf>,
    /// Only these files of other folders count.
    files: BTreeSet<PathBuf>,
}

impl Interest {
    fn covers(&self, path: &Path) -> bool {
        let parent = path.parent().unwrap_or(path);
        self.files.contains(path)
            || self.folders.contains(parent)
            || self.folders.contains(path)
            // Kubernetes swaps the link `..data` beside the files.
            || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".."))
    }
}

/// Watches what it was last told to watch.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    interest: Arc<Mutex<Interest>>,
    events: mpsc::Receiver<()>,
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
                    touched && event.paths.iter().any(|path| interest.covers(path))
                }
                // Events were lost: look.
                Err(_) => true,
            };
            if counts {
                // One that waits already says the same.
                let _ = sender.try_send(());
            }
        })?;
        Ok(Self {
            watcher,
            watched: BTreeSet::new(),
            interest,
            events,
        })
    }

    /// Watches `plugin_dir` as a whole and `inputs` (files, or folders as a whole) from now on. What cannot
    /// be watched is logged.
    pub fn set(&mut self, plugin_dir: &Path, inputs: &[PathBuf]) {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (folders, files): (Vec<_>, Vec<_>) = inputs.iter().map(|p| absolute(p)).partition(|p| p.is_dir());
        let mut interest = Interest {
            folders: folders.into_iter().collect(),
            files: files.into_iter().collect(),
        };
        interest.folders.insert(absolute(plugin_dir));
        let wanted: BTreeSet<PathBuf> = interest
            .folders
            .iter()
            .cloned()
            .chain(
                interest
                    .files
                    .iter()
                    .filter_map(|f| f.parent().map(Path::to_owned)),
            )
            .collect();
        *self.interest.lock().unwrap_or_else(PoisonError::into_inner) = interest;
        for gone in self.watched.difference(&wanted) {
            // It may have been deleted, which ends its watch as well.
            drop(self.watcher.unwatch(gone));
        }
        let mut watched: BTreeSet<PathBuf> = self.watched.intersection(&wanted).cloned().collect();
        for new in wanted.difference(&self.watched) {
            match self.watcher.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(new.clone())),
                Err(error) => {
                    tracing::warn!(folder = %new.display(), %error, "changes in this folder will not be noticed");
                }
            }
        }
        self.watched = watched;
    }

    /// Waits until something changed and then came to rest. Can be cancelled.
    pub async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            // The watcher lives as long as `self`.
            std::future::pending::<()>().await;
        }
        let rest = async { while tokio::time::timeout(QUIET, self.events.recv()).await.is_ok() {} };
        // A folder that never rests is read as it is.
        drop(tokio::time::timeout(PATIENCE, rest).await);
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

    #[tokio::test]
    async fn writes_and_renames_are_noticed_and_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (plugins, file) = (folder.path().join("plugins"), folder.path().join("a.toml"));
        std::fs::create_dir(&plugins).unwrap();
        std::fs::write(&file, "a").unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set(&plugins, &[file.clone()]);
        std::fs::write(&file, "b").unwrap();
        assert!(changes(&mut watch).await, "a write");
        std::fs::write(folder.path().join("new"), "c").unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
        assert!(changes(&mut watch).await, "a rename over the file");
        std::fs::write(plugins.join("x.wasm"), "c").unwrap();
        assert!(changes(&mut watch).await, "a new plugin");
        std::fs::read(&file).unwrap();
        std::fs::write(folder.path().join("unrelated"), "c").unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(300), watch.changed())
            .await
            .is_err();
        assert!(quiet, "reading, and files that nobody named");
    }
}
