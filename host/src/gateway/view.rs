//! One worker's view of a generation: its own pools of instances and connections, its own counters. What
//! did not change is taken over from the view before, warm.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::affinity::Affinity;
use super::generation::Generation;
use super::intake::Door;
use super::reach::Reach;
use super::routes::{Maker, RouteView, Routes};
use crate::abi::Outside;
use crate::config::{Recourse, Upstream};
use crate::exchange::Names;
use crate::message::via::Via;
use crate::net::Times;
use crate::pipeline::{Balancer, Pipeline, Stage};
use crate::plugin::{Instance, Pool, Slot, Warmer};
use crate::telemetry::{PluginState, Telemetry, UpstreamStats};
use crate::upstream::{Cluster, Shared};

/// Instances that were made for a worker ahead of time, by unit.
pub(super) type Instances = HashMap<u64, Box<Instance>>;

/// Place of a route in a view.
#[derive(Debug, Clone, Copy)]
pub(super) struct RouteAt {
    /// Index of the listener.
    pub listener: usize,
    /// Index in its routes; none for "no route".
    pub route: Option<usize>,
}

/// A generation as one worker runs it.
#[derive(Debug)]
pub(super) struct View {
    /// What it is a view of.
    pub generation: Arc<Generation>,
    /// Names that hooks may refer to.
    pub names: Arc<Names>,
    /// Listeners, in the order of the configuration.
    pub listeners: Vec<ListenerView>,
    /// Stands in for a listener that a reload removed.
    pub closed: ListenerView,
    /// Upstreams, in the order of the configuration.
    pub upstreams: Vec<UpstreamView>,
    /// Routers, asked before the tables of all listeners.
    pub routers: Option<Rc<Pipeline>>,
    /// Pools, in the order of the configuration's entries.
    pub pools: Vec<Option<Rc<Pool>>>,
    maker: Maker,
}

/// A listener as one worker runs it.
#[derive(Debug)]
pub(super) struct ListenerView {
    /// Its name.
    pub name: Arc<str>,
    routes: Routes,
    /// What runs when no route matches.
    pub none: RouteView,
    /// What it demands of a head.
    pub door: Door,
    /// Bounds of a connection's phases.
    pub times: Times,
}

/// An upstream as one worker uses it.
#[derive(Debug)]
pub(super) struct UpstreamView {
    /// Its name.
    pub name: Arc<str>,
    /// Its connections.
    pub cluster: Rc<Cluster>,
    /// This worker's counters.
    pub stats: Arc<UpstreamStats>,
    /// What the gateway adds to `Via`.
    pub via: Option<Via>,
    /// What is done about tries that fail, where something is.
    pub recourse: Option<Rc<Recourse>>,
    /// What ties requests to endpoints, where something does.
    pub affinity: Option<Box<Affinity>>,
    /// The plugin that picks the endpoints, where one does.
    pub balancer: Option<Rc<Balancer>>,
}

/// What a view is made with.
pub(super) struct Parts<'a> {
    /// Number of the worker.
    pub worker: usize,
    /// Counters.
    pub telemetry: &'a Arc<Telemetry>,
    /// Makes instances later.
    pub warmer: &'a Warmer,
    /// The view before.
    pub before: Option<&'a View>,
    /// Who does what plugins' imports wait for.
    pub outside: &'a Rc<Reach>,
    /// Instances for units that this worker has no pool of.
    pub instances: Instances,
}

impl View {
    /// Makes the view of `generation`.
    #[must_use]
    pub(super) fn new(generation: Arc<Generation>, mut parts: Parts<'_>) -> Rc<Self> {
        let config = Arc::clone(&generation.config);
        let via = config.gateway.via.as_deref().and_then(Via::new);
        let upstreams = generation.upstreams.iter().zip(&config.upstreams);
        let mut upstreams: Vec<_> = upstreams
            .map(|(shared, config)| upstream(shared, config, via.as_ref(), &parts))
            .collect();
        let names = Names {
            upstreams: upstreams.iter().map(|u| Arc::from(&*u.name)).collect(),
        };
        let pools: Vec<_> = generation
            .slots
            .iter()
            .map(|slot| pool(slot, &mut parts))
            .collect();
        let stages: Vec<Stage> = config
            .plugins
            .iter()
            .zip(&pools)
            .zip(&generation.slots)
            .map(|((entry, pool), slot)| Stage {
                name: Arc::clone(&entry.name),
                pool: pool.clone(),
                state: if slot.problem().is_some() {
                    PluginState::LastGood
                } else {
                    PluginState::Active
                },
                stats: parts.telemetry.plugin(parts.worker, &entry.name),
                telemetry: Arc::clone(parts.telemetry),
            })
            .collect();
        let maker = Maker::new(parts.worker, Arc::clone(parts.telemetry), stages);
        for (upstream, config) in upstreams.iter_mut().zip(&config.upstreams) {
            upstream.balancer = maker.balancer(&config.balance.policy);
        }
        let listeners = config.listeners.iter().zip(&generation.tables).enumerate();
        let listeners = listeners.map(|(index, (l, routing))| ListenerView {
            name: Arc::clone(&l.name),
            routes: Routes::new(routing.routes.len()),
            none: maker.no_route(&generation, Some(index)),
            door: Door::of(l, config.gateway.via.as_ref()),
            times: Times {
                handshake: l.tls.as_ref().map_or(Duration::MAX, |tls| tls.handshake_timeout),
                keep_alive: l.limits.keep_alive,
                header: l.limits.header_timeout,
                body: l.limits.body_timeout,
            },
        });
        let listeners = listeners.collect();
        Rc::new(Self {
            names: Arc::new(names),
            listeners,
            closed: ListenerView::closed(maker.no_route(&generation, None)),
            upstreams,
            routers: maker.routers(&config.gateway.routers),
            pools,
            maker,
            generation,
        })
    }

    /// A route, or what runs where there is none; none where the place is no route's.
    #[must_use]
    pub(super) fn route(&self, at: RouteAt) -> Option<&RouteView> {
        let listener = self.listeners.get(at.listener)?;
        let Some(place) = at.route else {
            return Some(&listener.none);
        };
        let make = || self.maker.route(&self.generation, at.listener, place);
        listener.routes.get(place, make)
    }

    /// Index of the listener with this name.
    #[must_use]
    pub(super) fn listener(&self, name: &str) -> Option<usize> {
        self.listeners.iter().position(|l| &*l.name == name)
    }
}

impl ListenerView {
    fn closed(none: RouteView) -> Self {
        let patience = Duration::from_secs(10);
        Self {
            name: Arc::from(""),
            routes: Routes::default(),
            none,
            door: Door::closed(),
            times: Times {
                handshake: patience,
                keep_alive: patience,
                header: patience,
                body: patience,
            },
        }
    }
}

fn pool(slot: &Slot, parts: &mut Parts<'_>) -> Option<Rc<Pool>> {
    let unit = slot.unit()?;
    unit.connect();
    let kept = parts.before.and_then(|view| {
        view.pools
            .iter()
            .flatten()
            .find(|pool| pool.unit().id == unit.id)
            .map(Rc::clone)
    });
    // The newest attempt to load the entry may have failed: an old unit goes on with its pool.
    kept.or_else(|| {
        Some(Pool::new(
            Arc::clone(unit),
            parts.warmer.clone(),
            Some(Rc::clone(parts.outside) as Rc<dyn Outside>),
            parts.instances.remove(&unit.id),
            parts.telemetry.plugin(parts.worker, &unit.entry.name),
        ))
    })
}

fn upstream(shared: &Arc<Shared>, config: &Upstream, via: Option<&Via>, parts: &Parts<'_>) -> UpstreamView {
    let kept = parts.before.and_then(|view| {
        let mut upstreams = view.upstreams.iter();
        upstreams.find(|upstream| Arc::ptr_eq(upstream.cluster.shared(), shared))
    });
    let name = &shared.settings().name;
    UpstreamView {
        name: Arc::clone(name),
        cluster: kept.map_or_else(
            || Cluster::new(Arc::clone(shared)),
            |kept| Rc::clone(&kept.cluster),
        ),
        stats: parts.telemetry.upstream(parts.worker, name),
        via: via.cloned(),
        recourse: Some(&config.recourse)
            .filter(|recourse| **recourse != Recourse::default())
            .map(|recourse| Rc::new(recourse.clone())),
        affinity: Affinity::of(config),
        // Set when there are stages.
        balancer: None,
    }
}
