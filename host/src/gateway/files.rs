//! The files that a gateway is made of: reads the configuration, and watches it with everything that it names.
//! It does not know what runs.

use std::path::{Path, PathBuf};

use crate::config::{self, Config, Problems};
use crate::plugin::{Watch, WatchError};

/// Looks at the files again when folders are watched that were not, at most.
const TRIES: usize = 3;

/// The configuration file and what it names.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    watch: Watch,
}

impl Files {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system's watcher cannot be had.
    pub(super) fn new(path: PathBuf) -> Result<Self, WatchError> {
        Ok(Self {
            path,
            watch: Watch::new()?,
        })
    }

    /// Loads the configuration and watches all that it is made of; when it is wrong, what `before` is made of, too.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn load(&mut self, before: Option<&Config>) -> Result<Config, Problems> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (loaded, inputs) = config::load_watching(&self.path);
            let grown = match &loaded {
                Ok(config) => self.watch.set(named(config)),
                Err(_) => {
                    let inputs = inputs.iter().map(PathBuf::as_path);
                    self.watch.set(inputs.chain(before.into_iter().flat_map(named)))
                }
            };
            // What was read from a folder before it was watched may have changed in between.
            if !grown || tries == TRIES {
                return loaded;
            }
        }
    }

    /// Waits until something changed and then came to rest. Can be cancelled.
    pub(super) async fn changed(&mut self) {
        self.watch.changed().await;
    }
}

/// Everything that a configuration was made of, and every component that it names.
fn named(config: &Config) -> impl Iterator<Item = &Path> {
    let components = config.plugins.iter().map(|entry| &entry.wasm);
    let folder = std::iter::once(&config.gateway.plugin_dir);
    folder
        .chain(&config.inputs)
        .chain(components)
        .map(PathBuf::as_path)
}
