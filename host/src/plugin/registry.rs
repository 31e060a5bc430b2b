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

    /// Whether nothing has changed since `before`.
    #[must_use]
    pub fn is_same(&self, before: &Self) -> bool {
        let id = |slot: &Self| slot.unit().map(|unit| unit.id);
        id(self) == id(before) && self.problem() == before.problem()
    }
}

/// Loads entries and remembers what worked.
#[derive(Debug)]
pub struct Registry {
    loader: Loader,
    current: HashMap<Arc<str>, Arc<Unit>>,
    scope: PathBuf,
}

impl Registry {
    /// An empty registry. `scope` (the configuration's path) keeps several gateways apart that share a
    /// cache folder.
    #[must_use]
    pub fn new(loader: Loader, scope: &Path) -> Self {
        Self {
            loader,
            current: HashMap::new(),
            scope: scope.to_owned(),
        }
    }

    /// Loads every entry of `config`, in its order. Takes as long as compiling takes.
    pub fn resolve(&mut self, config: &Config) -> Vec<Slot> {
        let mut slots: Vec<Slot> = Vec::with_capacity(config.plugins.len());
        for entry in &config.plugins {
            slots.push(self.entry(entry, &slots));
        }
        self.current = slots
            .iter()
            .filter_map(Slot::unit)
            .map(|unit| (Arc::clone(&unit.entry.name), Arc::clone(unit)))
            .collect();
        slots
    }

    /// Loads one entry. A component that `others` or the entries before run is not compiled again.
    fn entry(&self, entry: &PluginEntry, others: &[Slot]) -> Slot {
        let known = |hash: ContentHash| {
            let mut units = others.iter().filter_map(Slot::unit).chain(self.current.values());
            Some(units.find(|unit| unit.hash == hash)?.component().clone())
        };
        let before = self.current.get(&entry.name);
        let bytes = read(&entry.wasm);
        if let (Some(unit), Ok(bytes)) = (before, &bytes)
            && unit.hash == ContentHash::of(bytes)
            && unit.entry.same_as(entry)
        {
            return Slot::Ready {
                unit: Arc::clone(unit),
                rejected: None,
                fresh: false,
            };
        }
        let failed = match bytes.and_then(|bytes| Ok((self.loader.load(entry, &bytes, known)?, bytes))) {
            Ok((unit, bytes)) => {
                self.last_good().keep(&entry.name, &bytes);
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
            .last_good()
            .find(&entry.name)
            .and_then(|bytes| self.loader.load(entry, &bytes, known).ok());
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

impl Registry {
    fn last_good(&self) -> LastGood<'_> {
        let folder = self
            .loader
            .engine()
            .ok()
            .and_then(|engine| engine.cache().folder());
        LastGood {
            folder: folder.map(|folder| folder.join("last-good")),
            scope: &self.scope,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::File {
        path: path.display().to_string(),
        source,
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    // Reading a pipe would wait for its other end.
    if !meta.is_file() {
        return Err(failed(std::io::Error::other("not a regular file")));
    }
    let size = meta.len();
    if size > MAX_COMPONENT {
        return Err(crate::engine::EngineError::TooLarge { size }.into());
    }
    std::fs::read(path).map_err(failed)
}

/// Copies of the components that worked last, beside the cache of native code.
#[derive(Debug)]
struct LastGood<'a> {
    folder: Option<PathBuf>,
    scope: &'a Path,
}

impl LastGood<'_> {
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
