//! Loading: bytes of a component and an entry of the configuration to a unit, or a clear text of what
//! does not fit. Everything that can be proven before traffic sees it is proven here.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use wasmtime::component::Component;

use super::Unit;
use super::hook::{Fault, Hook};
use crate::abi::{EntryContext, LinkError, Manifest, link};
use crate::config::{Budget, Diagnostic, Grants, PluginEntry};
use crate::engine::{ContentHash, Engine, EngineError, Format};
use crate::store::Stores;
use crate::telemetry::Telemetry;

/// Problems of one configuration that are reported at once.
const MAX_PROBLEMS: usize = 20;

/// Why a plugin entry cannot run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Its content is not what the entry pins.
    #[error("the file's SHA-256 is {found}, but `sha256` pins another")]
    Pinned {
        /// Hash of the file.
        found: ContentHash,
    },
    /// It is no component, or does not compile.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It does not fit the contract.
    #[error("the component {0}")]
    Link(#[from] LinkError),
    /// It failed while it was loaded.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// Its own schema is no JSON Schema.
    #[error("the plugin's configuration schema is invalid: {0}")]
    Schema(String),
    /// The entry's `config` does not fit the plugin's schema.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Diagnostic>),
    /// An upstream names the entry as its balancer, which it is not.
    #[error("{0}")]
    NoBalancer(Box<Diagnostic>),
    /// The plugin refused its configuration.
    #[error("{0}")]
    Refused(Box<Diagnostic>),
}

/// Makes units.
///
/// The engine is started with the first plugin: a gateway without plugins needs none.
#[derive(Debug)]
pub struct Loader {
    engine: OnceLock<Engine>,
    cache_dir: Option<PathBuf>,
    workers: usize,
    stores: Arc<Stores>,
    telemetry: Arc<Telemetry>,
}

impl Loader {
    /// A loader for so many workers, with a folder for compiled components.
    #[must_use]
    pub fn new(
        cache_dir: Option<PathBuf>,
        workers: usize,
        stores: Arc<Stores>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self {
            engine: OnceLock::new(),
            cache_dir,
            workers,
            stores,
            telemetry,
        }
    }

    /// A loader with the same engine, and stores and telemetry of its own.
    ///
    /// # Errors
    /// When the engine does not start.
    pub fn apart(&self) -> Result<Self, EngineError> {
        Ok(Self {
            engine: OnceLock::from(self.engine()?.clone()),
            ..Self::new(None, 1, Arc::new(Stores::new()), Arc::new(Telemetry::new(1)))
        })
    }

    /// The engine, started if it is not running yet.
    ///
    /// # Errors
    /// When it does not start.
    pub fn engine(&self) -> Result<&Engine, EngineError> {
        match self.engine.get() {
            Some(engine) => Ok(engine),
            None => {
                let engine = Engine::new(self.cache_dir.clone(), self.workers)?;
                Ok(self.engine.get_or_init(|| engine))
            }
        }
    }

    /// The component, compiled once for several entries.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn compile(&self, bytes: &[u8]) -> Result<Compiled, EngineError> {
        self.engine()?
            .compile(bytes, ContentHash::of(bytes))
            .map(Compiled)
    }

    /// Compiles, links, describes, checks the configuration against the plugin's schema, and configures
    /// one instance on trial. `known` may have the component compiled already.
    ///
    /// # Errors
    /// Whatever does not fit.
    pub fn load(
        &self,
        entry: &PluginEntry,
        bytes: &[u8],
        known: impl FnOnce(ContentHash) -> Option<Component>,
    ) -> Result<Arc<Unit>, LoadError> {
        let found = ContentHash::of(bytes);
        if entry.sha256.is_some_and(|pinned| pinned != found.0) {
            return Err(LoadError::Pinned { found });
        }
        let engine = self.engine()?;
        let component = known(found).map_or_else(|| engine.compile(bytes, found), Ok)?;
        let linked = link(engine.wasmtime(), &component, &entry.grants.waits())?;
        let context = self.context(&entry.name, &entry.grants, &entry.budget);
        let unit = Unit::new(entry.clone(), &component, found, linked, Arc::new(context))?;
        check_config(&unit.manifest, entry)?;
        if let Some(wanted) = entry.balances.as_ref().filter(|_| !unit.has(Hook::Balancer)) {
            return Err(LoadError::NoBalancer(wanted.clone()));
        }
        match unit.instantiate() {
            Ok(_) => Ok(Arc::new(unit)),
            Err(fault) if fault.refused => {
                let text = format!("the plugin refuses its configuration: {}", fault.detail);
                Err(LoadError::Refused(Box::new(entry.config.problem("", text))))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// What a component is, without an entry: for `inspect`.
    ///
    /// # Errors
    /// As [`load`](Self::load), but no configuration is involved.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Summary, LoadError> {
        let engine = self.engine()?;
        let hash = ContentHash::of(bytes);
        let component = engine.compile(bytes, hash)?;
        let linked = link(engine.wasmtime(), &component, &[])?;
        let budget = Budget::default();
        let context = Arc::new(self.context(&"inspect".into(), &Grants::default(), &budget));
        let manifest = Unit::describe(&component, &linked, &context)?;
        if !manifest.config_schema.is_empty() {
            schema(&manifest)?;
        }
        let hooks = linked.hooks.iter().filter(|h| *h != "plugin").cloned().collect();
        Ok(Summary {
            hash,
            size: bytes.len(),
            format: Format::of(bytes)?,
            hooks,
            imports: linked.imports,
            manifest,
        })
    }

    /// Counters of everything that its units do.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    fn context(&self, name: &Arc<str>, grants: &Grants, budget: &Budget) -> EntryContext {
        EntryContext {
            name: Arc::clone(name),
            grants: grants.clone(),
            store: self.stores.get_or_create(name, budget.shared),
            remote: grants.store.as_deref().map(|store| {
                let stats = || self.telemetry.remote_store(&store.name);
                let remote = self.stores.remotes.get_or_create(store.into(), stats);
                remote.of(name)
            }),
            metrics: self.telemetry.plugin_metrics().entry(name),
            max_memory: budget.max_memory,
            max_body: budget.max_body,
            max_outbound: budget.max_outbound,
        }
    }
}

/// A component that was compiled.
pub struct Compiled(Component);

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

impl Compiled {
    /// [`Loader::load`] of the `bytes` that it was compiled of, by a loader with the same engine.
    ///
    /// # Errors
    /// As there.
    pub fn load(&self, loader: &Loader, entry: &PluginEntry, bytes: &[u8]) -> Result<Arc<Unit>, LoadError> {
        loader.load(entry, bytes, |_| Some(self.0.clone()))
    }
}

/// What `inspect` shows.
#[derive(Debug)]
pub struct Summary {
    /// SHA-256 of the file.
    pub hash: ContentHash,
    /// Bytes of the file.
    pub size: usize,
    /// A component, or a core module that makes one.
    pub format: Format,
    /// Hooks that it exports.
    pub hooks: Vec<String>,
    /// Interfaces of the contract that it imports.
    pub imports: Vec<String>,
    /// What it says of itself.
    pub manifest: Manifest,
}

fn schema(manifest: &Manifest) -> Result<jsonschema::Validator, LoadError> {
    let schema: serde_json::Value = serde_json::from_str(&manifest.config_schema)
        .map_err(|e| LoadError::Schema(format!("not JSON: {e}")))?;
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema)
        .map_err(|e| LoadError::Schema(e.to_string()))
}

/// Checks the entry's `config` against the plugin's JSON Schema (2020-12), each problem with its place
/// in the TOML. Values are never shown: they may be secrets.
fn check_config(manifest: &Manifest, entry: &PluginEntry) -> Result<(), LoadError> {
    if manifest.config_schema.is_empty() {
        return Ok(());
    }
    let validator = schema(manifest)?;
    let problems: Vec<_> = validator
        .iter_errors(entry.config.value())
        .take(MAX_PROBLEMS)
        .map(|error| {
            let pointer = error.instance_path().to_string();
            entry.config.problem(&pointer, error.masked().to_string())
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(LoadError::Config(problems))
    }
}
