//! The thread for plugins' background work: one for all entries that have some, so that neither a worker nor a reload waits
//! for it. It is started with the first such entry. It refuses to know when an entry's work is due.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::generation::Generation;
use super::reach::Reach;
use super::view::UpstreamView;
use crate::abi::Outside;
use crate::plugin::{Hook, Slot, Ticker, Unit, Warmer};
use crate::telemetry::{BACKGROUND, Telemetry};
use crate::upstream::{Cluster, Shared};

/// Calls under way at the same time; more wait for their turn.
const AT_ONCE: usize = 64;
/// How long a call under way goes on when its version is no longer in force.
const PARTING: Duration = Duration::from_secs(1);
/// How often connections that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// The thread, from outside. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Ticks {
    warmer: Warmer,
    telemetry: Arc<Telemetry>,
    thread: Option<watch::Sender<InForce>>,
}

/// What a generation has to do with ticks.
#[derive(Debug, Clone, Default)]
struct InForce {
    units: Vec<Arc<Unit>>,
    upstreams: Vec<Arc<Shared>>,
}

impl Ticks {
    /// Nothing runs yet.
    pub(super) fn new(warmer: Warmer, telemetry: Arc<Telemetry>) -> Self {
        Self {
            warmer,
            telemetry,
            thread: None,
        }
    }

    /// From now on the background work of this generation's units runs, and no other.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn follow(&mut self, generation: &Generation) -> std::io::Result<()> {
        let units = generation.slots.iter().filter_map(Slot::unit);
        let units: Vec<_> = units
            .filter(|unit| unit.tick_period().is_some())
            .map(Arc::clone)
            .collect();
        let in_force = InForce {
            // Without such units there is nobody to reach them.
            upstreams: if units.is_empty() {
                Vec::new()
            } else {
                generation.upstreams.clone()
            },
            units,
        };
        if let Some(thread) = &self.thread {
            thread.send_replace(in_force);
        } else if !in_force.units.is_empty() {
            self.thread = Some(start(&self.warmer, &self.telemetry, in_force)?);
        }
        Ok(())
    }
}

/// Logs what the configuration says of ticks that cannot be.
pub(super) fn warn(generation: &Generation) {
    for unit in generation.slots.iter().filter_map(Slot::unit) {
        let plugin = &*unit.entry.name;
        // Entries with overrides say what the one that they are made of says.
        if unit.entry.tick.every.is_some() && !unit.has(Hook::OnTick) && !plugin.contains('@') {
            tracing::warn!(plugin, "an entry with `tick` has no hook `on-tick`");
        }
    }
}

fn start(
    warmer: &Warmer,
    telemetry: &Arc<Telemetry>,
    in_force: InForce,
) -> std::io::Result<watch::Sender<InForce>> {
    let (sender, changes) = watch::channel(in_force);
    let (warmer, telemetry) = (warmer.clone(), Arc::clone(telemetry));
    let log = super::current_log();
    std::thread::Builder::new()
        .name("portcullis-tick".to_owned())
        .spawn(move || {
            super::logged(&log, || {
                // A runtime stays on the thread that made it.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                match runtime {
                    Ok(runtime) => runtime.block_on(work(changes, warmer, telemetry)),
                    Err(error) => {
                        tracing::error!(%error, "background work of plugins could not be started");
                    }
                }
            });
        })?;
    Ok(sender)
}

/// What all calls on the thread share.
struct Means {
    warmer: Warmer,
    telemetry: Arc<Telemetry>,
    reach: Rc<Reach>,
    places: Semaphore,
}

/// The entry's work, whichever version of it is in force.
struct Entry {
    unit: watch::Sender<Option<Arc<Unit>>>,
    task: AbortHandle,
}

async fn work(mut changes: watch::Receiver<InForce>, warmer: Warmer, telemetry: Arc<Telemetry>) {
    let means = Rc::new(Means {
        warmer,
        telemetry,
        reach: Rc::new(Reach::default()),
        places: Semaphore::new(AT_ONCE),
    });
    let mut entries: HashMap<Arc<str>, Entry> = HashMap::new();
    let mut upstreams = Vec::new();
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let in_force = changes.borrow_and_update().clone();
        upstreams = adopt(&in_force.upstreams, &upstreams, &means.telemetry);
        means.reach.adopt_upstreams(upstreams.clone());
        follow(&mut entries, in_force.units, &means);
        loop {
            let idle = entries.is_empty();
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                _ = sweep.tick(), if !idle => {
                    means.reach.sweep();
                    upstreams.iter().for_each(|upstream| upstream.cluster.sweep());
                    // Those that the configuration no longer has, once their last call has ended.
                    entries.retain(|_, entry| !entry.task.is_finished());
                }
            }
        }
    }
}

/// Gives every entry the unit in force, or none; new entries get a task.
fn follow(entries: &mut HashMap<Arc<str>, Entry>, units: Vec<Arc<Unit>>, means: &Rc<Means>) {
    let mut units: HashMap<_, _> = units
        .into_iter()
        .map(|unit| (Arc::clone(&unit.entry.name), unit))
        .collect();
    for (name, entry) in entries.iter().filter(|(_, entry)| !entry.task.is_finished()) {
        let unit = units.remove(name);
        entry.unit.send_if_modified(|now| {
            let changes = now.as_ref().map(|unit| unit.id) != unit.as_ref().map(|unit| unit.id);
            if changes {
                *now = unit;
            }
            changes
        });
    }
    for (name, unit) in units {
        let (sender, receiver) = watch::channel(Some(unit));
        let task = tokio::task::spawn_local(keep(receiver, Rc::clone(means))).abort_handle();
        entries.insert(name, Entry { unit: sender, task });
    }
}

/// Runs the background work of one entry, so that no two calls of it overlap, whichever their versions.
async fn keep(mut units: watch::Receiver<Option<Arc<Unit>>>, means: Rc<Means>) {
    loop {
        let unit = units.borrow_and_update().clone();
        let outside = Rc::clone(&means.reach) as Rc<dyn Outside>;
        let ticker = unit.and_then(|unit| Ticker::new(&unit, &means.warmer, outside, &means.telemetry));
        let Some(mut ticker) = ticker else { return };
        loop {
            tokio::select! {
                changed = units.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = ticker.rest() => {}
            }
            let call = async {
                // The semaphore is never closed.
                let _place = means.places.acquire().await;
                ticker.tick().await;
            };
            let mut call = std::pin::pin!(call);
            let changed = tokio::select! {
                () = &mut call => continue,
                changed = units.changed() => changed,
            };
            // An older version does not put off the newer one for long.
            let ended = timeout(PARTING, call).await;
            if ended.is_err() {
                tracing::debug!("background work of a version that is no longer in force was given up");
            }
            match changed {
                Ok(()) => break,
                Err(_) => return,
            }
        }
    }
}

/// Connections to the upstreams, taken over where they did not change.
fn adopt(
    upstreams: &[Arc<Shared>],
    before: &[Rc<UpstreamView>],
    telemetry: &Arc<Telemetry>,
) -> Vec<Rc<UpstreamView>> {
    let view = |shared: &Arc<Shared>| {
        let kept = before
            .iter()
            .find(|upstream| Arc::ptr_eq(upstream.cluster.shared(), shared));
        kept.map_or_else(
            || {
                let name = &shared.settings().name;
                Rc::new(UpstreamView {
                    name: Arc::clone(name),
                    cluster: Cluster::new(Arc::clone(shared)),
                    stats: telemetry.upstream(BACKGROUND, name),
                    via: None,
                    recourse: None,
                    affinity: None,
                    balancer: None,
                })
            },
            Rc::clone,
        )
    };
    upstreams.iter().map(view).collect()
}
