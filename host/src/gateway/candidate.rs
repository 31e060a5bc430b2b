//! A candidate: the next generation with its plugins loaded and each worker's first instances made, before
//! anybody serves it. It is made off the request path and knows no worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::aside::Aside;
use super::generation::Generation;
use super::view::Instances;
use crate::config::Config;
use crate::plugin::{Registry, Slot};
use crate::tls::Sessions;

/// A generation that may go into force.
pub(super) struct Candidate {
    /// The generation.
    pub generation: Arc<Generation>,
    /// For each worker, instances of units that are new.
    pub instances: Vec<Instances>,
    /// What it took.
    pub took: Duration,
}

impl Candidate {
    /// Loads plugins, takes over what `before` knows of upstreams, works out the routes and makes instances for `workers`, on a thread where it may take
    /// its time. None if that thread died.
    pub(super) async fn build(
        mut registry: Registry,
        config: Config,
        before: Option<Arc<Generation>>,
        workers: usize,
        sessions: &Arc<Sessions>,
        aside: &Aside,
    ) -> Option<(Registry, Self)> {
        let sessions = Arc::clone(sessions);
        let build = move || {
            let candidate = Self::new(&mut registry, config, before.as_deref(), workers, &sessions);
            (registry, candidate)
        };
        aside.run(build).await
    }

    fn new(
        registry: &mut Registry,
        config: Config,
        before: Option<&Generation>,
        workers: usize,
        sessions: &Sessions,
    ) -> Self {
        let began = Instant::now();
        let slots = registry.resolve(&config);
        let number = before.map_or(1, |before| before.number + 1);
        let generation = Arc::new(Generation::new(number, config, slots, before).secured(sessions));
        Self {
            instances: (0..workers).map(|_| instances(&generation)).collect(),
            generation,
            took: began.elapsed(),
        }
    }

    /// Whether it is what `before` is: the same configuration, and the same for every plugin entry.
    #[must_use]
    pub(super) fn is_same(&self, before: &Generation) -> bool {
        let (old, new) = (&before.slots, &self.generation.slots);
        self.generation.config.fingerprint == before.config.fingerprint
            && old.len() == new.len()
            && new.iter().zip(old).all(|(new, old)| new.is_same(old))
    }
}

/// An instance of each unit that did not run before.
fn instances(generation: &Generation) -> Instances {
    let fresh = generation.slots.iter().filter_map(|slot| match slot {
        Slot::Ready {
            unit, fresh: true, ..
        } => Some(unit),
        _ => None,
    });
    let made = fresh.filter_map(|unit| match unit.instantiate() {
        Ok(instance) => Some((unit.id, Box::new(instance))),
        Err(fault) => {
            tracing::warn!(plugin = &*unit.entry.name, %fault, "an instance could not be made ahead of time");
            None
        }
    });
    made.collect()
}
