//! What the host keeps beside each guest: the exchange of the running hook, the handles it was given, its
//! meters and its WASI.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::metrics::KnownSeries;
use super::waits::Errands;
use super::{Blob, wasi};
use crate::config::Grants;
use crate::engine::{CpuMeter, MemoryMeter, OverBudget};
use crate::exchange::{Exchange, FieldNames, Phase};
use crate::store::EntryStore;
use crate::store::redis::EntryRemote;
use crate::telemetry::plugin_metrics::EntryMetrics;

/// Handles of blobs that one hook may hold at once.
const MAX_BLOBS: usize = 1_024;

/// What all instances of one plugin entry share.
#[derive(Debug)]
pub struct EntryContext {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// What it may do beyond its own exchange.
    pub grants: Grants,
    /// `shared` and `counters`; they outlive reloads.
    pub store: Arc<EntryStore>,
    /// What it has of the store that it is granted, which gateways share.
    pub remote: Option<EntryRemote>,
    /// Metrics that the plugin defined.
    pub metrics: Arc<EntryMetrics>,
    /// Bytes of linear memory, and of blobs, that one instance may have.
    pub max_memory: u64,
    /// Bytes of a body that the entry may have buffered or copied.
    pub max_body: u64,
    /// Requests that may be sent for one exchange.
    pub max_outbound: u32,
}

/// Data of one wasmtime store.
pub struct HostState {
    /// Resources of the guest.
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    /// Linear memory in use.
    pub memory: MemoryMeter,
    /// Time of the running call.
    pub cpu: CpuMeter,
    /// The exchange of the running hook; none outside one.
    pub exchange: Option<Box<Exchange>>,
    /// Place of the entry in the pipeline of that exchange.
    pub stage: usize,
    /// The running hook.
    pub phase: Phase,
    /// The guest runs on a fiber and lets others run when an epoch ends.
    pub yields: bool,
    /// Until when imports may wait in the running call; none where they cannot.
    pub until: Option<Instant>,
    /// Takes work to whoever calls the guest, where it may have some.
    pub(crate) errands: Option<Errands>,
    /// The entry that this instance serves.
    pub entry: Arc<EntryContext>,
    /// Metrics that it observes by number.
    pub(super) series: KnownSeries,
    names: FieldNames,
    output: wasi::Output,
    blobs: Vec<u32>,
    blob_bytes: u64,
    leaked: usize,
}

impl std::fmt::Debug for HostState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostState")
            .field("entry", &self.entry.name)
            .field("memory", &self.memory)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl HostState {
    /// State for a new instance of `entry`.
    #[must_use]
    pub fn new(entry: Arc<EntryContext>, cpu: CpuMeter) -> Self {
        let output = wasi::Output::new(&entry.name);
        Self {
            table: ResourceTable::new(),
            wasi: wasi::context(&output),
            memory: MemoryMeter::new(entry.max_memory),
            cpu,
            exchange: None,
            stage: 0,
            phase: Phase::Finish,
            yields: false,
            until: None,
            errands: None,
            entry,
            series: KnownSeries::default(),
            names: FieldNames::default(),
            output,
            blobs: Vec::new(),
            blob_bytes: 0,
            leaked: 0,
        }
    }

    /// The current exchange.
    pub(crate) fn current(&mut self) -> wasmtime::Result<&mut Exchange> {
        self.exchange.as_deref_mut().ok_or_else(outside)
    }

    /// The current exchange, and the field names that the guest has used.
    pub(super) fn current_and_names(&mut self) -> wasmtime::Result<(&mut Exchange, &mut FieldNames)> {
        let Self { exchange, names, .. } = self;
        let exchange = exchange.as_deref_mut().ok_or_else(outside)?;
        Ok((exchange, names))
    }

    /// The current exchange, the entry's grants, and the running hook with its stage.
    pub(crate) fn editing(&mut self) -> wasmtime::Result<(&mut Exchange, &EntryContext, Phase, usize)> {
        let Self {
            exchange,
            entry,
            phase,
            stage,
            ..
        } = self;
        let exchange = exchange.as_deref_mut().ok_or_else(outside)?;
        Ok((exchange, entry, *phase, *stage))
    }

    /// Hands bytes to the guest without copying them.
    ///
    /// # Errors
    /// When the guest holds too many handles.
    pub fn lend(&mut self, bytes: Bytes) -> wasmtime::Result<Resource<Blob>> {
        if self.blobs.len() >= MAX_BLOBS {
            wasmtime::bail!("the hook holds more than {MAX_BLOBS} blobs");
        }
        let blob = self.table.push(Blob(bytes))?;
        self.blobs.push(blob.rep());
        Ok(blob)
    }

    /// Makes a blob of the guest's own bytes, which count against its memory.
    pub(crate) fn keep(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Resource<Blob>> {
        self.blob_bytes += bytes.len() as u64;
        if self.blob_bytes > self.entry.max_memory {
            return Err(OverBudget::Memory {
                asked: self.blob_bytes,
                limit: self.entry.max_memory,
            }
            .into());
        }
        self.lend(bytes.into())
    }

    /// Takes a blob that the guest gave back.
    ///
    /// # Errors
    /// When the handle is none of its own.
    pub fn take(&mut self, blob: Resource<Blob>) -> wasmtime::Result<Bytes> {
        let rep = blob.rep();
        let Blob(bytes) = self.table.delete(blob)?;
        self.blobs.retain(|r| *r != rep);
        Ok(bytes)
    }

    /// Ends a hook: what the guest forgot to drop is emptied, not deleted (the table would reuse the
    /// number, and the old handle would show another exchange's body).
    pub fn end_hook(&mut self) {
        self.blob_bytes = 0;
        for rep in self.blobs.drain(..) {
            if let Ok(blob) = self.table.get_mut(&Resource::<Blob>::new_borrow(rep)) {
                blob.0 = Bytes::new();
                self.leaked += 1;
            }
        }
    }

    /// Handles that the guest never dropped.
    #[must_use]
    pub fn leaked(&self) -> usize {
        self.leaked
    }

    /// The last line that the guest wrote to stderr: a panic's message, if it just panicked.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        self.output.last_words()
    }
}
fn outside() -> wasmtime::Error {
    wasmtime::format_err!("`exchange` was called outside an exchange (in configure, describe or on-tick)")
}
