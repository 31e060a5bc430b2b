//! The metric registry of one gateway: cells for workers on one side, a document for the scrape on the other.
//!
//! It knows names, not things: routes, plugins, upstreams and listeners are made known by whoever loads a
//! configuration. Nothing here is asked per request but what the cells themselves do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;
use crate::telemetry::catalogue;
use crate::telemetry::cell::Counter;
use crate::telemetry::exposition::Exposition;
use crate::telemetry::family::Family;
use crate::telemetry::plugin_metrics::PluginMetrics;
use crate::telemetry::plugin_stats::{FaultKind, Hook, PluginState, PluginStats};
use crate::telemetry::series::{Metric, MetricKind};
use crate::telemetry::stats::{ListenerStats, RouteStats, UpstreamStats};
use crate::telemetry::store_stats::StoreStats;
use crate::telemetry::upstream_health::UpstreamSample;

/// Worker number of threads that are no workers (reload, ticks, admin): they share one set of cells.
pub const BACKGROUND: usize = usize::MAX;

/// All metrics of one gateway.
///
/// Cells are asked for when a configuration is loaded, kept by whoever counts, and looked up by name: the same worker
/// and name give the same cells, so that counts survive a reload. A name that is retired is rendered on, as one of the
/// last 256.
#[derive(Debug)]
pub struct Telemetry {
    pub(super) routes: Family<RouteStats>,
    pub(super) plugins: Family<PluginStats>,
    pub(super) upstreams: Family<UpstreamStats>,
    pub(super) listeners: Family<ListenerStats>,
    pub(super) remote_stores: Family<StoreStats>,
    pub(super) plugin_states: Mutex<BTreeMap<String, PluginState>>,
    pub(super) plugin_metrics: PluginMetrics,
    pub(super) errors: Metric,
    pub(super) started_unix_ms: u64,
    pub(super) started_ns: u64,
    pub(super) generation: AtomicU64,
    pub(super) reloads: Reloads,
    pub(super) access_log_dropped: Counter,
    pub(super) log_dropped: Arc<Counter>,
    /// When a line about a plugin fault may next be logged, and how many were not.
    pub(super) fault_lines: LineGate,
}

/// What is known of reloads.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    pub(super) applied: Counter,
    pub(super) rejected: Counter,
    /// Of the latest look at the files: Unix time in ms, its lowest bit replaced by the success; 0 = none yet.
    latest: AtomicU64,
}

impl Reloads {
    pub(super) fn applied(&self) {
        self.applied.add(1);
        self.latest.store(clock::unix_ms() | 1, Ordering::Relaxed);
    }

    /// What runs is what the files say: a rejected reload is put right without an applied one.
    pub(super) fn unchanged(&self) {
        self.latest.store(clock::unix_ms() | 1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.rejected.add(1);
        self.latest.store(clock::unix_ms() & !1, Ordering::Relaxed);
    }

    /// Unix seconds, and whether it was applied.
    pub(super) fn latest(&self) -> Option<(f64, bool)> {
        let latest = self.latest.load(Ordering::Relaxed);
        (latest != 0).then(|| ((latest & !1) as f64 / 1e3, latest & 1 == 1))
    }
}

/// Lets at most ten lines a second through and counts the others.
#[derive(Debug, Default)]
pub(super) struct LineGate {
    window: Mutex<GateWindow>,
}

#[derive(Debug, Default)]
struct GateWindow {
    start_ns: u64,
    passed: u32,
    held: u64,
}

impl LineGate {
    const LINES: u32 = 10;
    const WINDOW_NS: u64 = 1_000_000_000;

    /// How many lines were held back since the last one that passed, if this one may pass.
    pub(super) fn pass(&self, now_ns: u64) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ns.saturating_sub(window.start_ns) >= Self::WINDOW_NS || window.start_ns == 0 {
            window.start_ns = now_ns.max(1);
            window.passed = 0;
        }
        if window.passed >= Self::LINES {
            window.held += 1;
            return None;
        }
        window.passed += 1;
        Some(std::mem::take(&mut window.held))
    }
}

impl Telemetry {
    /// For workers 0 to `workers` - 1. The process counts as started now.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let errors = catalogue::ERRORS;
        let labels = ["code".to_owned(), "origin".to_owned()];
        Self {
            routes: Family::new(workers),
            plugins: Family::new(workers),
            upstreams: Family::new(workers),
            listeners: Family::new(workers),
            remote_stores: Family::new(0),
            plugin_states: Mutex::default(),
            plugin_metrics: PluginMetrics::default(),
            errors: Metric::new(MetricKind::Counter, errors.name, errors.help, &labels),
            started_unix_ms: clock::unix_ms(),
            started_ns: clock::monotonic_ns(),
            generation: AtomicU64::new(0),
            reloads: Reloads::default(),
            access_log_dropped: Counter::default(),
            log_dropped: Arc::default(),
            fault_lines: LineGate::default(),
        }
    }

    /// The cells of a route for `worker` ([`BACKGROUND`] for a thread that is none).
    #[must_use]
    pub fn route(&self, worker: usize, name: &str) -> Arc<RouteStats> {
        self.routes.cells(worker, name)
    }

    /// The cells of a plugin entry for `worker`.
    #[must_use]
    pub fn plugin(&self, worker: usize, entry: &str) -> Arc<PluginStats> {
        self.plugins.cells(worker, entry)
    }

    /// The cells of an upstream for `worker`.
    #[must_use]
    pub fn upstream(&self, worker: usize, name: &str) -> Arc<UpstreamStats> {
        self.upstreams.cells(worker, name)
    }

    /// The cells of a listener for `worker`.
    #[must_use]
    pub fn listener(&self, worker: usize, name: &str) -> Arc<ListenerStats> {
        self.listeners.cells(worker, name)
    }

    /// The numbers of a store that gateways share; all threads have the same.
    #[must_use]
    pub fn remote_store(&self, name: &str) -> Arc<StoreStats> {
        self.remote_stores.cells(BACKGROUND, name)
    }

    /// Retires the stores that `keep` refuses, after a reload.
    pub fn retain_remote_stores(&self, keep: impl FnMut(&str) -> bool) {
        self.remote_stores.retain(keep);
    }

    /// Metrics that plugins define.
    #[must_use]
    pub const fn plugin_metrics(&self) -> &PluginMetrics {
        &self.plugin_metrics
    }

    /// Retires the routes that `keep` refuses, after a reload.
    pub fn retain_routes(&self, keep: impl FnMut(&str) -> bool) {
        self.routes.retain(keep);
    }

    /// Retires the upstreams that `keep` refuses, after a reload.
    pub fn retain_upstreams(&self, keep: impl FnMut(&str) -> bool) {
        self.upstreams.retain(keep);
    }

    /// Retires the listeners that `keep` refuses, after a reload.
    pub fn retain_listeners(&self, keep: impl FnMut(&str) -> bool) {
        self.listeners.retain(keep);
    }

    /// Retires the plugin entries that `keep` refuses, after a reload, and forgets their state and own metrics.
    pub fn retain_plugins(&self, mut keep: impl FnMut(&str) -> bool) {
        self.plugins.retain(&mut keep);
        self.plugin_metrics.retain(&mut keep);
        self.plugin_states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| keep(name));
    }

    /// Counts an error answer under its stable code and its origin (`client`, `upstream`, `plugin`, `gateway`). At
    /// most 1,000 pairs are told apart.
    pub fn error(&self, code: &str, origin: &str) {
        // Two labels and a 1 always fit the metric.
        let _always_ok = self.errors.observe(&[code, origin], 1.0);
    }

    /// States of the plugin entries, sorted by name.
    #[must_use]
    pub fn plugin_states(&self) -> Vec<(String, PluginState)> {
        let states = self.plugin_states.lock().unwrap_or_else(PoisonError::into_inner);
        states
            .iter()
            .map(|(name, state)| (name.clone(), *state))
            .collect()
    }

    /// Time since this registry was made, in nanoseconds.
    #[must_use]
    pub fn uptime_ns(&self) -> u64 {
        clock::monotonic_ns().saturating_sub(self.started_ns)
    }

    /// The document for the scrape, with the content type [`CONTENT_TYPE`](crate::telemetry::CONTENT_TYPE). Its time
    /// grows with the number of series: a few milliseconds for thousands of routes.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_with(&[])
    }

    /// The same with what is known of the upstreams' health.
    #[must_use]
    pub fn render_with(&self, upstreams: &[UpstreamSample]) -> String {
        let mut doc = Exposition::default();
        self.write(&mut doc, upstreams);
        doc.into_text()
    }

    /// The state of an entry is set by the events alone.
    pub(super) fn set_plugin_state(&self, entry: &str, state: PluginState) {
        let mut states = self.plugin_states.lock().unwrap_or_else(PoisonError::into_inner);
        states.insert(entry.to_owned(), state);
    }

    /// A fault is counted by its event alone.
    pub(super) fn plugin_fault(&self, entry: &str, hook: Hook, kind: FaultKind) {
        self.plugins.cells(BACKGROUND, entry).fault(hook, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_survive_a_reload_by_their_name() {
        let telemetry = Telemetry::new(2);
        let before = telemetry.route(1, "orders");
        telemetry.retain_routes(|name| name == "orders");
        assert!(Arc::ptr_eq(&before, &telemetry.route(1, "orders")));
        assert!(!Arc::ptr_eq(&before, &telemetry.route(0, "orders")));
    }

    #[test]
    fn a_removed_plugin_has_no_state() {
        let telemetry = Telemetry::new(1);
        telemetry.set_plugin_state("a", PluginState::Active);
        telemetry.set_plugin_state("b", PluginState::Open);
        telemetry.retain_plugins(|name| name == "b");
        assert_eq!(telemetry.plugin_states(), [("b".to_owned(), PluginState::Open)]);
    }

    #[test]
    fn the_gate_passes_ten_lines_a_second_and_tells_how_many_it_held() {
        let gate = LineGate::default();
        let second = LineGate::WINDOW_NS;
        let passed = (0..25).filter(|_| gate.pass(second).is_some()).count();
        assert_eq!(passed, 10);
        assert_eq!(gate.pass(2 * second), Some(15));
        assert_eq!(gate.pass(2 * second), Some(0));
    }
}
