//! A unit: one entry of the configuration with one version of its component and one configuration, linked
//! and ready to be instantiated. Immutable but for its health; shared by all workers.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use super::hook::{Fault, Hook};
use super::instance::{At, Fiber, Imports, Instance};
use super::{Health, LoadError, TickLog};
use crate::abi::{EntryContext, HostState, LinkError, Linked, Manifest, Outside, PACKAGE, VERSION};
use crate::config::{Budget, OnFault, PluginEntry};
use crate::engine::{ContentHash, CpuMeter};

/// CPU time of `describe` and `configure`: off the request path, so generous.
const CONFIGURE_CPU: Duration = Duration::from_secs(10);
/// Wall time of the same.
const CONFIGURE_WALL: Duration = Duration::from_secs(30);
/// An entry with a larger `cpu` runs on a fiber, so that it cannot stall its core.
const DIRECT_CPU: Duration = Duration::from_millis(10);

/// Places of the exported functions in a component.
#[derive(Debug)]
pub(super) struct Exports {
    pub(super) describe: ComponentExportIndex,
    pub(super) configure: ComponentExportIndex,
    pub(super) route: Option<ComponentExportIndex>,
    pub(super) on_request: Option<ComponentExportIndex>,
    pub(super) on_request_body: Option<ComponentExportIndex>,
    pub(super) on_response: Option<ComponentExportIndex>,
    pub(super) on_response_body: Option<ComponentExportIndex>,
    pub(super) on_error: Option<ComponentExportIndex>,
    pub(super) on_finish: Option<ComponentExportIndex>,
    pub(super) pick: Option<ComponentExportIndex>,
    pub(super) respond: Option<ComponentExportIndex>,
    pub(super) tick: Option<ComponentExportIndex>,
    pub(super) filter: Option<FilterExports>,
}

/// Places of the functions of `body-filter`.
#[derive(Debug)]
pub(super) struct FilterExports {
    pub(super) open: ComponentExportIndex,
    pub(super) push: ComponentExportIndex,
    pub(super) finish: ComponentExportIndex,
}

impl Exports {
    fn of(component: &Component) -> Result<Self, LinkError> {
        let find = |interface: &str, function: &str| {
            let name = format!("{PACKAGE}/{interface}@{VERSION}");
            let interface = component.get_export_index(None, name.as_str())?;
            component.get_export_index(Some(&interface), function)
        };
        let handle = |interface: &str| find(interface, "handle");
        let filter = |function: &str| find("body-filter", function);
        let of_filter = || {
            Some(FilterExports {
                open: filter("open")?,
                push: filter("[method]filter.push")?,
                finish: filter("[method]filter.finish")?,
            })
        };
        Ok(Self {
            filter: of_filter(),
            describe: find("plugin", "describe").ok_or(LinkError::NotAPlugin)?,
            configure: find("plugin", "configure").ok_or(LinkError::NotAPlugin)?,
            route: find("router", "route"),
            on_request: handle("on-request"),
            on_request_body: handle("on-request-body"),
            on_response: handle("on-response"),
            on_response_body: handle("on-response-body"),
            on_error: handle("on-error"),
            on_finish: handle("on-finish"),
            pick: find("balancer", "pick"),
            respond: handle("responder"),
            tick: handle("on-tick"),
        })
    }

    fn has(&self, hook: Hook) -> bool {
        match hook {
            Hook::Configure => true,
            Hook::Router => self.route.is_some(),
            Hook::OnRequest => self.on_request.is_some(),
            Hook::OnRequestBody => self.on_request_body.is_some(),
            Hook::Responder => self.respond.is_some(),
            Hook::OnResponse => self.on_response.is_some(),
            Hook::OnResponseBody => self.on_response_body.is_some(),
            Hook::OnError => self.on_error.is_some(),
            Hook::OnFinish => self.on_finish.is_some(),
            Hook::Balancer => self.pick.is_some(),
            Hook::OnTick => self.tick.is_some(),
            Hook::BodyFilter => self.filter.is_some(),
        }
    }
}

/// A plugin entry, ready to run.
pub struct Unit {
    /// Number of this unit in the process; a changed component or configuration makes a new one.
    pub id: u64,
    /// The entry it was made for.
    pub entry: PluginEntry,
    /// The component's content.
    pub hash: ContentHash,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Interfaces of the contract that it imports.
    pub imports: Vec<String>,
    /// How faults in the way of an exchange are counted.
    pub health: Health,
    /// How faults of `on-finish` are counted: no exchange waits for it, and none that works heals it.
    pub finish_health: Health,
    /// What is known of its background work, whose faults are counted by themselves.
    pub ticks: TickLog,
    pre: InstancePre<HostState>,
    exports: Exports,
    waits: Imports,
    context: Arc<EntryContext>,
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unit")
            .field("id", &self.id)
            .field("entry", &self.entry.name)
            .finish_non_exhaustive()
    }
}

impl Unit {
    /// Describes the component and makes the unit. The instance it was described in is gone afterwards.
    pub(super) fn new(
        entry: PluginEntry,
        component: &Component,
        hash: ContentHash,
        linked: Linked,
        context: Arc<EntryContext>,
    ) -> Result<Self, LoadError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let exports = Exports::of(component)?;
        let (manifest, waits) = (manifest(&linked, &exports, &context)?, waits(&linked));
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            entry,
            hash,
            manifest,
            imports: linked.imports,
            health: Health::default(),
            finish_health: Health::default(),
            ticks: TickLog::default(),
            waits,
            pre: linked.pre,
            exports,
            context,
        })
    }

    /// What a component says of itself, without an entry that uses it.
    pub(super) fn describe(
        component: &Component,
        linked: &Linked,
        context: &Arc<EntryContext>,
    ) -> Result<Manifest, LoadError> {
        manifest(linked, &Exports::of(component)?, context)
    }

    /// Its component, compiled.
    pub(super) fn component(&self) -> &Component {
        self.pre.component()
    }

    /// It exports the hook.
    #[must_use]
    pub fn has(&self, hook: Hook) -> bool {
        self.exports.has(hook)
    }

    /// Names of the hooks that it exports and this version calls.
    #[must_use]
    pub fn hooks(&self) -> Vec<&'static str> {
        let hooks = Hook::ALL
            .into_iter()
            .filter(|hook| *hook != Hook::Configure && self.has(*hook));
        hooks.map(Hook::name).collect()
    }

    /// How faults of this hook are counted.
    #[must_use]
    pub fn health_of(&self, hook: Hook) -> &Health {
        match hook {
            Hook::OnFinish => &self.finish_health,
            _ => &self.health,
        }
    }

    /// Faults since it was loaded.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.health.faults() + self.finish_health.faults() + self.ticks.faults()
    }

    /// It is let alone at this moment, for some of its hooks at least.
    #[must_use]
    pub fn is_closed(&self, now_ns: u64) -> bool {
        self.health.is_closed(now_ns) || self.finish_health.is_closed(now_ns)
    }

    /// How often its background work runs; none where it has none, or nobody says how often.
    #[must_use]
    pub fn tick_period(&self) -> Option<Duration> {
        let period = self.entry.tick.period(self.manifest.tick_ms);
        period.filter(|_| self.has(Hook::OnTick))
    }

    /// Its limits.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.entry.budget
    }

    /// What a fault means for the exchange. A plugin that labels itself `security` is not skipped unless
    /// the operator said so.
    #[must_use]
    pub fn on_fault(&self) -> OnFault {
        let security = self.manifest.label("security").is_some();
        match self.entry.budget.on_fault {
            OnFault::Skip if security && !self.entry.allow_fail_open => OnFault::Reject,
            other => other,
        }
    }

    /// Has this thread connect to the store that the entry is granted, if it uses one.
    pub fn connect(&self) {
        if let Some(remote) = self.context.remote.as_ref().filter(|_| self.may_wait()) {
            remote.connect();
        }
    }

    /// It has imports that may wait.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.waits == Imports::Waiting
    }

    /// How its hooks are called at a stage, where `outside` does what its imports wait for, and no call goes on after `until`.
    #[must_use]
    pub fn at(&self, stage: usize, outside: Option<&Rc<dyn Outside>>, until: impl FnOnce() -> Instant) -> At {
        let fiber = self.may_wait() || self.entry.budget.cpu > DIRECT_CPU;
        At {
            stage,
            fiber: fiber.then(|| Fiber {
                until: until(),
                outside: outside.filter(|_| self.may_wait()).map(Rc::clone),
            }),
        }
    }

    /// Makes an instance and configures it. Takes from 10 us to seconds: never on the request path.
    ///
    /// # Errors
    /// A fault, or the plugin's own refusal of its configuration.
    pub fn instantiate(&self) -> Result<Instance, Fault> {
        let state = HostState::new(
            Arc::clone(&self.context),
            CpuMeter::new(CONFIGURE_CPU, CONFIGURE_WALL),
        );
        let mut instance = Instance::start(&self.pre, &self.exports, state, self.waits)?;
        instance
            .configure(self.entry.config.json())?
            .map_err(Fault::refusal)?;
        instance.set_budget(CpuMeter::new(self.entry.budget.cpu, self.entry.budget.timeout));
        Ok(instance)
    }
}

fn waits(linked: &Linked) -> Imports {
    if linked.waits {
        Imports::Waiting
    } else {
        Imports::Local
    }
}

/// Calls `describe` in an instance of its own.
fn manifest(linked: &Linked, exports: &Exports, context: &Arc<EntryContext>) -> Result<Manifest, LoadError> {
    let state = HostState::new(Arc::clone(context), CpuMeter::new(CONFIGURE_CPU, CONFIGURE_WALL));
    Ok(Instance::start(&linked.pre, exports, state, waits(linked))?.describe()?)
}
