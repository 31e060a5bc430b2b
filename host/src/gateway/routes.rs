//! The routes of a generation as one worker runs them. Each is made when its first request comes: going over to ten thousand
//! routes holds no request up longer than going over to ten.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::forward::{Mirroring, Onward};
use super::generation::Generation;
use crate::config::{Policy, Step, Target, Upgrades};
use crate::pipeline::{Balancer, Pipeline, Stage};
use crate::telemetry::{RouteStats, Telemetry};

/// A route as one worker runs it.
#[derive(Debug)]
pub(super) struct RouteView {
    /// Its name.
    pub name: Arc<str>,
    /// Its plugins.
    pub pipeline: Rc<Pipeline>,
    /// Its upstream; none for a responder and for "no route".
    pub upstream: Option<u32>,
    /// Bound of the whole exchange.
    pub timeout: Option<Duration>,
    /// Bytes of a request body.
    pub max_body: u64,
    /// What its connections may go over to.
    pub upgrades: Upgrades,
    /// What it says of requests to upstreams.
    pub onward: Onward,
    /// This worker's counters.
    pub stats: Arc<RouteStats>,
}

/// The routes of one listener, by place in the generation's table.
#[derive(Debug, Default)]
pub(super) struct Routes(Box<[OnceCell<RouteView>]>);

impl Routes {
    /// So many, none of them made.
    #[must_use]
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| OnceCell::new()).collect())
    }

    /// The route at `place`, which `make` makes when it is asked for the first time.
    pub(super) fn get(&self, place: usize, make: impl FnOnce() -> Option<RouteView>) -> Option<&RouteView> {
        let cell = self.0.get(place)?;
        match cell.get() {
            Some(route) => Some(route),
            None => {
                let made = make()?;
                Some(cell.get_or_init(|| made))
            }
        }
    }
}

/// The steps of a pipeline, and the entry that answers in place of an upstream.
type Recipe = (Vec<Step>, Option<usize>);

/// What routes and pipelines are made of.
#[derive(Debug)]
pub(super) struct Maker {
    worker: usize,
    telemetry: Arc<Telemetry>,
    stages: Vec<Stage>,
    pipelines: RefCell<HashMap<Recipe, Rc<Pipeline>>>,
}

impl Maker {
    /// Makes them of `stages`, which are in the order of the configuration's entries.
    #[must_use]
    pub(super) fn new(worker: usize, telemetry: Arc<Telemetry>, stages: Vec<Stage>) -> Self {
        Self {
            worker,
            telemetry,
            stages,
            pipelines: RefCell::default(),
        }
    }

    /// The stages of these entries, those that are there.
    fn stages<'a>(&'a self, entries: &'a [usize]) -> impl Iterator<Item = Stage> + 'a {
        entries
            .iter()
            .filter_map(|&entry| self.stages.get(entry).cloned())
    }

    /// The pipeline of the routers, if there are any.
    pub(super) fn routers(&self, entries: &[usize]) -> Option<Rc<Pipeline>> {
        Pipeline::of_routers(self.stages(entries).collect())
    }

    /// The plugin that picks endpoints by this policy, if one does.
    pub(super) fn balancer(&self, policy: &Policy) -> Option<Rc<Balancer>> {
        match policy {
            Policy::Plugin { entry, .. } => self.stages.get(*entry).cloned().map(Balancer::new),
            _ => None,
        }
    }

    /// A pipeline; routes with the same steps share one.
    fn pipeline(&self, steps: Vec<Step>, responder: Option<usize>) -> Rc<Pipeline> {
        let mut pipelines = self.pipelines.borrow_mut();
        let made = pipelines
            .entry((steps, responder))
            .or_insert_with_key(|(steps, _)| {
                let (mut list, mut groups) = (Vec::new(), Vec::new());
                for step in steps {
                    let start = list.len();
                    list.extend(self.stages(step.entries()));
                    if let Step::Any(_) = step {
                        groups.push(start..list.len());
                    }
                }
                let responder = responder.and_then(|entry| self.stages.get(entry).cloned());
                Pipeline::new(list, groups, responder)
            });
        Rc::clone(made)
    }

    /// The route at `place` of a listener's table.
    pub(super) fn route(&self, generation: &Generation, listener: usize, place: usize) -> Option<RouteView> {
        let at = *generation.tables.get(listener)?.routes.get(place)?;
        let route = generation.config.routes.get(at)?;
        let listener_limit = generation.config.listeners.get(listener)?.limits.body;
        Some(RouteView {
            name: Arc::from(&*route.name),
            pipeline: self.pipeline(generation.stages(listener, Some(at)), generation.responder(at)),
            upstream: match route.target {
                Target::Upstream(upstream) => u32::try_from(upstream).ok(),
                Target::Responder(_) => None,
            },
            timeout: route.timeout,
            max_body: route.max_body.unwrap_or(listener_limit),
            upgrades: route.upgrades.clone(),
            onward: Onward {
                retries: route.retries.clone().map(Rc::new),
                mirror: route.mirror.clone().map(|rules| Rc::new(Mirroring::new(rules))),
            },
            stats: self.telemetry.route(self.worker, &route.name),
        })
    }

    /// What runs on a listener when no route matches; on none where a reload removed the listener.
    #[must_use]
    pub(super) fn no_route(&self, generation: &Generation, listener: Option<usize>) -> RouteView {
        let limit = listener.and_then(|index| generation.config.listeners.get(index));
        let steps = listener.map_or_else(Vec::new, |index| generation.stages(index, None));
        RouteView {
            name: Arc::from(""),
            pipeline: self.pipeline(steps, None),
            upstream: None,
            timeout: None,
            max_body: limit.map_or(0, |listener| listener.limits.body),
            upgrades: Upgrades::default(),
            onward: Onward::default(),
            stats: self.telemetry.route(self.worker, ""),
        }
    }
}
