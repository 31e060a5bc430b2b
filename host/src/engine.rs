//! The WebAssembly engine: wasmtime's configuration, compilation with a cache of native code, the epoch
//! ticker, and the limits of one instance. It knows no WIT interface, no plugin entry and no HTTP.

mod aot;
mod encode;
mod exports;
mod limit;
mod ticker;

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

pub use self::aot::AotCache;
pub(crate) use self::aot::write_whole;
pub use self::encode::Format;
pub use self::exports::exports;
pub use self::limit::{CpuMeter, MemoryMeter, OverBudget};
pub use self::ticker::TICK;

/// Largest linear memory that an entry may be granted (`max-memory`), in bytes: the size of a slot in the
/// instance pool.
pub const MAX_MEMORY: u64 = 4 << 30;
/// Largest component that is accepted, in bytes.
pub const MAX_COMPONENT: u64 = 64 << 20;
/// Live instances of all plugins that the pool has room for, for each worker: each reserves address space
/// (4 GiB a memory, so that guests need no bounds checks), not memory.
const INSTANCES_PER_WORKER: u32 = 256;
/// The same for the whole process, at most.
const MAX_INSTANCES: u32 = 8_192;
/// A smaller pool is not worth having.
const MIN_INSTANCES: u32 = 8;

/// Why the engine or a component could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its configuration.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// The bytes are no component.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// The component is larger than [`MAX_COMPONENT`].
    #[error("the component has {size} bytes; at most {MAX_COMPONENT} are accepted")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// A core module with component types that make no component of it.
    #[error("the core module makes no component: {0}")]
    Encode(String),
    /// It parses, but does not compile.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// The ticker's thread could not be started.
    #[error("cannot start the engine's ticker thread: {0}")]
    Ticker(std::io::Error),
}

/// SHA-256 of a component's bytes; its name in caches and in `status`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// One engine for all hook plugins of the process. Clones share it.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    cache: Arc<AotCache>,
    _ticker: Arc<ticker::Ticker>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the engine and its ticker. `cache_dir` keeps native code between runs; without one every
    /// component is compiled at each start.
    ///
    /// # Errors
    /// When this CPU or kernel refuses the configuration, or no thread can be started.
    pub fn new(cache_dir: Option<PathBuf>, workers: usize) -> Result<Self, EngineError> {
        let inner = start(workers)?;
        let ticker = ticker::Ticker::start(&inner).map_err(EngineError::Ticker)?;
        let cache = AotCache::new(cache_dir, &inner);
        Ok(Self {
            inner,
            cache: Arc::new(cache),
            _ticker: Arc::new(ticker),
        })
    }

    /// wasmtime's engine, for linkers and stores.
    #[must_use]
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// The cache of native code.
    #[must_use]
    pub fn cache(&self) -> &AotCache {
        &self.cache
    }

    /// Makes a component of the bytes of a `.wasm` file, which have this hash: from the cache if it was compiled before, else by
    /// compiling (20 ms for 15 KB, seconds for megabytes: never on the request path). A core module with component types
    /// inside is made a component first; its hash stays that of the file.
    ///
    /// # Errors
    /// When the bytes are no valid component, make none, or are too large.
    pub fn compile(&self, bytes: &[u8], hash: ContentHash) -> Result<Component, EngineError> {
        let size = bytes.len() as u64;
        if size > MAX_COMPONENT {
            return Err(EngineError::TooLarge { size });
        }
        Format::of(bytes)?;
        if let Some(component) = self.cache.load(&self.inner, hash) {
            return Ok(component);
        }
        let bytes = encode::component(bytes)?;
        let component = Component::from_binary(&self.inner, &bytes)
            .map_err(|e| EngineError::Compile(format!("{e:#}")))?;
        self.cache.store(&component, hash);
        Ok(component)
    }
}

/// Starts wasmtime with the largest pool that this machine has the address space for: containers and
/// debuggers may allow little. Without a pool instances are made one by one, which costs about 30 us each.
fn start(workers: usize) -> Result<wasmtime::Engine, EngineError> {
    let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
    let mut instances = workers.saturating_mul(INSTANCES_PER_WORKER).min(MAX_INSTANCES);
    while instances >= MIN_INSTANCES {
        match wasmtime::Engine::new(&settings(Some(instances))) {
            Ok(engine) => return Ok(engine),
            Err(error) => {
                tracing::debug!(
                    instances,
                    error = format!("{error:#}"),
                    "the instance pool does not fit"
                );
                instances /= 4;
            }
        }
    }
    tracing::warn!("there is no address space for an instance pool; plugin instances start more slowly");
    wasmtime::Engine::new(&settings(None)).map_err(|e| EngineError::Engine(format!("{e:#}")))
}

fn settings(instances: Option<u32>) -> Config {
    let mut config = Config::new();
    config
        .memory_init_cow(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        // One core at most is taken from the traffic while a plugin compiles.
        .parallel_compilation(false);
    if let Some(instances) = instances {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
    }
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * 4)
        .total_memories(instances * 2)
        .total_tables(instances * 4)
        .total_stacks(instances)
        .max_core_instances_per_component(50)
        .max_memories_per_component(8)
        .max_tables_per_component(50)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memory_size(usize::try_from(MAX_MEMORY).unwrap_or(usize::MAX))
        .table_elements(40_000)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused_by_name() {
        let engine = Engine::new(None, 1).unwrap();
        let text = |bytes: &[u8]| {
            engine
                .compile(bytes, ContentHash::of(bytes))
                .unwrap_err()
                .to_string()
        };
        assert!(text(b"").contains("half-written"));
        assert!(text(b"hello world").contains("magic number"));
        assert!(text(b"\0asm\x01\0\0\0").contains("core module"));
        assert!(text(b"\0asm\x0d\0\x01\0garbage").contains("does not compile"));
    }

    #[test]
    fn an_empty_component_compiles_and_comes_back_from_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(Some(folder.path().join("aot")), 1).unwrap();
        let bytes = b"\0asm\x0d\0\x01\0";
        let hash = ContentHash::of(bytes);
        engine.compile(bytes, hash).unwrap();
        assert!(engine.cache().load(engine.wasmtime(), hash).is_some());
        assert!(
            engine
                .cache()
                .load(engine.wasmtime(), ContentHash([0; 32]))
                .is_none()
        );
    }
}
