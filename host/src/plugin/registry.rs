//! The plugins that a configuration names, each at its newest version that works. An entry whose new
//! component or configuration fails stays at its last good one, in this process and, through a copy that
//! only the gateway writes, across restarts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{LoadError, Loader, Unit};
use crate::config::{Config, PluginEntry};
use crate::engine::{ContentHash, MAX_COMPONENT, write_whole};

/// One entry after a load.
#[derive(Debug, Clone)]
pub enum Slot {
    /// It runs.
    Ready {
        /// What runs.
        unit: Arc<Unit>,
        /// Why the newest version does not, if so.
        rejected: Option<Arc<str>>,
        /// It is not what ran before.
        fresh: bool,
    },
    /// Nothing that works: routes that use it answer 503.
    Unavailable {
        /// Name of the entry.
        name: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
}

impl Slot {
    /// The unit that runs.
    #[must_use]
    pub fn unit(&self) -> Option<&Arc<Unit>> {
        match self {
            Self::Ready { unit, .. } => Some(unit),
            Self::Unavailable { .. } => None,
        }
    }

    /// Why the newest version does not run.
    #[must_use]
    pub fn problem(&self) -> Option<&Arc<str>> {
        match self {
            Self::Ready { rejected, .. } => rejected.as_ref(),
            Self::Unavailable { reason, .. } => Some(reason),
        }
    }
}

/// Loads entries and remembers what worked.
#[derive(Debug)]
pub struct Registry {
    loader: Loader,
    current: HashMap<Arc<str>, Arc<Unit>>,
    last_good: LastGood,
}

impl Registry {
    /// An empty registry. `scope` (the configuration's path) keeps several gateways apart that share a
    /// cache folder.
    #[must_use]
    pub fn new(loader: Loader, scope: &Path) -> Self {
        let folder = loader
            .engine()
            .cache()
            .folder()
            .map(|folder| folder.join("last-good"));
        Self {
            loader,
            current: HashMap::new(),
            last_good: LastGood {
                folder,
                scope: scope.to_owned(),
            },
        }
    }

    /// Loads every entry of `config`, in its order. Takes as long as compiling takes.
    pub fn resolve(&mut self, config: &Config) -> Vec<Slot> {
        let slots: Vec<Slot> = config.plugins.iter().map(|entry| self.entry(entry)).collect();
        self.current = slots
            .iter()
            .filter_map(Slot::unit)
            .map(|unit| (Arc::clone(&unit.entry.name), Arc::clone(unit)))
            .collect();
        slots
    }

    fn entry(&self, entry: &PluginEntry) -> Slot {
        let before = self.current.get(&entry.name);
        let bytes = read(&entry.wasm);
        if let (Some(unit), Ok(bytes)) = (before, &bytes) {
            if unit.hash == ContentHash::of(bytes) && unit.entry.same_as(entry) {
                return Slot::Ready {
                    unit: Arc::clone(unit),
                    rejected: None,
                    fresh: false,
                };
            }
        }
        let failed = match bytes.and_then(|bytes| Ok((self.loader.load(entry, &bytes)?, bytes))) {
            Ok((unit, bytes)) => {
                self.last_good.keep(&entry.name, &bytes);
                return Slot::Ready {
                    unit,
                    rejected: None,
                    fresh: true,
                };
            }
            Err(error) => error,
        };
        let reason: Arc<str> = failed.to_string().into();
        if let Some(unit) = before {
            return Slot::Ready {
                unit: Arc::clone(unit),
                rejected: Some(reason),
                fresh: false,
            };
        }
        // A pin holds for the copy, too.
        let kept = self
            .last_good
            .find(&entry.name)
            .and_then(|bytes| self.loader.load(entry, &bytes).ok());
        match kept {
            Some(unit) => Slot::Ready {
                unit,
                rejected: Some(reason),
                fresh: true,
            },
            None => Slot::Unavailable {
                name: Arc::clone(&entry.name),
                reason,
            },
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::File {
        path: path.display().to_string(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_COMPONENT {
        return Err(crate::engine::EngineError::TooLarge { size }.into());
    }
    std::fs::read(path).map_err(failed)
}

/// Copies of the components that worked last, beside the cache of native code.
#[derive(Debug)]
struct LastGood {
    folder: Option<PathBuf>,
    scope: PathBuf,
}

impl LastGood {
    fn path(&self, name: &str) -> Option<PathBuf> {
        let key = ContentHash::of(format!("{}\0{name}", self.scope.display()).as_bytes());
        Some(self.folder.as_ref()?.join(format!("{key}.wasm")))
    }

    fn keep(&self, name: &str, bytes: &[u8]) {
        let Some(path) = self.path(name) else { return };
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| write_whole(&path, bytes));
        if let Err(error) = written {
            tracing::warn!(plugin = name, %error, "the last good version could not be kept for a restart");
        }
    }

    fn find(&self, name: &str) -> Option<Vec<u8>> {
        read(&self.path(name)?).ok()
    }
}
