//! One place in a pipeline: the pool of an entry, or the fact that it has nothing to run.

use std::rc::Rc;
use std::sync::Arc;

use crate::plugin::{Hook, Pool};
use crate::telemetry::events::PluginRecovered;
use crate::telemetry::{PluginState, PluginStats, Telemetry};

/// One entry at its place.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Name of the entry.
    pub name: Arc<str>,
    /// Its instances; none when no version of it could be loaded.
    pub pool: Option<Rc<Pool>>,
    /// Which version of the entry runs.
    pub state: PluginState,
    /// This worker's counters for the entry.
    pub stats: Arc<PluginStats>,
    /// Where its events are counted.
    pub telemetry: Arc<Telemetry>,
}

impl Stage {
    /// It exports the hook.
    #[must_use]
    pub fn has(&self, hook: Hook) -> bool {
        self.pool.as_ref().is_some_and(|pool| pool.unit().has(hook))
    }

    /// An exchange in which it did not fail has ended.
    pub(super) fn worked(&self) {
        if self
            .pool
            .as_ref()
            .is_some_and(|pool| pool.unit().health.success())
        {
            self.recovered();
        }
    }

    /// Says that it works again.
    pub(super) fn recovered(&self) {
        PluginRecovered {
            plugin: &self.name,
            state: self.state,
        }
        .emit(&self.telemetry);
    }

    /// There is something to run.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.pool.is_some()
    }
}
