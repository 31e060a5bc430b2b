//! What `/status`, `/live` and `/ready` say: the state of the gateway and of each plugin entry, without a
//! value of any configuration.

mod tick;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use serde::Serialize;

use crate::clock;
use crate::config::{Config, Target};
use crate::plugin::Slot;
use crate::telemetry::Telemetry;
use crate::upstream::Shared;

use self::tick::Tick;
use self::upstream::Upstream;

/// The newest attempt to load the configuration.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReloadOutcome {
    /// `applied`, `rejected` or `unchanged`.
    pub result: &'static str,
    /// When, RFC 3339.
    pub at: String,
    /// Why it was rejected; what each problem is and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problems: Option<String>,
}

impl ReloadOutcome {
    /// An attempt that ended now.
    #[must_use]
    pub fn now(result: &'static str, problems: Option<String>) -> Self {
        Self {
            result,
            at: clock::rfc3339(clock::unix_ms()).as_str().to_owned(),
            problems,
        }
    }
}

/// How the gateway is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It takes requests.
    Ready,
    /// It is about to end.
    Draining,
}

/// What the gateway serves at the moment.
#[derive(Debug)]
pub struct InForce {
    /// Number of the generation, from 1.
    pub generation: u64,
    /// Its configuration.
    pub config: Arc<Config>,
    /// What runs for each plugin entry of it.
    pub slots: Vec<Slot>,
    /// Its upstreams.
    pub upstreams: Vec<Arc<Shared>>,
    /// Listeners with the addresses that they were given.
    pub addresses: Vec<(Arc<str>, SocketAddr)>,
}

/// State for the admin listener, written by the control thread.
#[derive(Debug)]
pub struct Board {
    telemetry: Arc<Telemetry>,
    force: ArcSwapOption<InForce>,
    reload: ArcSwapOption<ReloadOutcome>,
    draining: AtomicBool,
    workers: usize,
}

impl Board {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(telemetry: Arc<Telemetry>, workers: usize) -> Self {
        Self {
            telemetry,
            force: ArcSwapOption::empty(),
            reload: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
            workers,
        }
    }

    /// Every worker serves this.
    pub fn serve(&self, force: InForce) {
        self.force.store(Some(Arc::new(force)));
    }

    /// An attempt to reload has ended.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.reload.store(Some(Arc::new(outcome)));
    }

    /// The gateway is about to end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn health(&self) -> Health {
        if self.draining.load(Ordering::Relaxed) {
            Health::Draining
        } else {
            Health::Ready
        }
    }

    /// Number of the generation in force; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.force.load().as_ref().map_or(0, |force| force.generation)
    }

    /// The newest attempt to load the configuration.
    #[must_use]
    pub fn last_reload(&self) -> Option<Arc<ReloadOutcome>> {
        self.reload.load_full()
    }

    /// Metrics as Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> String {
        let force = self.force.load_full();
        let upstreams = force.iter().flat_map(|force| &force.upstreams);
        let samples: Vec<_> = upstreams.map(|shared| upstream::sample(shared)).collect();
        self.telemetry.render_with(&samples)
    }

    /// The whole state as JSON.
    #[must_use]
    pub fn status(&self) -> String {
        let force = self.force.load_full();
        let now = clock::monotonic_ns();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            state: match self.health() {
                Health::Ready => "ready",
                Health::Draining => "draining",
            },
            workers: self.workers,
            uptime_seconds: self.telemetry.uptime_ns() / 1_000_000_000,
            generation: self.generation(),
            last_reload: self.last_reload().map(|outcome| ReloadOutcome::clone(&outcome)),
            listeners: force
                .iter()
                .flat_map(|f| &f.addresses)
                .map(|(name, address)| Listener {
                    name: name.to_string(),
                    address: address.to_string(),
                })
                .collect(),
            routes: force.as_ref().map_or(0, |f| f.config.routes.len()),
            responders: force.as_ref().map_or(0, |f| {
                f.config
                    .routes
                    .iter()
                    .filter(|r| matches!(r.target, Target::Responder(_)))
                    .count()
            }),
            plugins: force
                .iter()
                .flat_map(|f| f.slots.iter().zip(&f.config.plugins))
                .map(|(slot, entry)| plugin(slot, &entry.name, now))
                .collect(),
            upstreams: force
                .iter()
                .flat_map(|f| {
                    f.upstreams
                        .iter()
                        .zip(&f.config.upstreams)
                        .map(move |pair| (f, pair))
                })
                .map(|(f, (shared, upstream))| Upstream::of(shared, f.config.balancer(upstream)))
                .collect(),
        };
        serde_json::to_string_pretty(&status).unwrap_or_else(|_| "{}".to_owned())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    version: &'static str,
    state: &'static str,
    workers: usize,
    uptime_seconds: u64,
    generation: u64,
    last_reload: Option<ReloadOutcome>,
    listeners: Vec<Listener>,
    routes: usize,
    responders: usize,
    plugins: Vec<Plugin>,
    upstreams: Vec<Upstream>,
}

#[derive(Serialize)]
struct Listener {
    name: String,
    address: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Plugin {
    name: String,
    /// `active`, `last-good`, `unavailable` or `open`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Component>,
    faults: u64,
    /// Its background work, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    tick: Option<Tick>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Component {
    name: String,
    version: String,
    sha256: String,
    file: String,
    hooks: Vec<&'static str>,
    imports: Vec<String>,
    grants: Vec<String>,
}

fn plugin(slot: &Slot, name: &str, now_ns: u64) -> Plugin {
    let unit = slot.unit();
    let state = match (unit, slot.problem()) {
        (None, _) => "unavailable",
        (Some(unit), _) if unit.is_closed(now_ns) => "open",
        (Some(_), Some(_)) => "last-good",
        (Some(_), None) => "active",
    };
    Plugin {
        name: name.to_owned(),
        state,
        reason: slot.problem().map(ToString::to_string),
        faults: unit.map_or(0, |unit| unit.faults()),
        tick: unit.and_then(|unit| Tick::of(unit)),
        component: unit.map(|unit| Component {
            name: unit.manifest.name.clone(),
            version: unit.manifest.version.clone(),
            sha256: unit.hash.to_string(),
            file: unit.entry.wasm.display().to_string(),
            hooks: unit.hooks(),
            imports: unit.imports.clone(),
            grants: unit.entry.grants.shown(),
        }),
    }
}
