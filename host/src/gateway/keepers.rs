//! The tasks that look after upstreams: one for each that needs it, on the control thread. It refuses to know what they do.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::upstream::{PROBES_AT_ONCE, Shared, look_after};

/// The tasks of the upstreams in force. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Keepers {
    probes: Rc<Semaphore>,
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    upstream: Arc<Shared>,
    /// None for an upstream that needs nobody.
    handle: Option<AbortHandle>,
}

impl Default for Keepers {
    fn default() -> Self {
        Self {
            probes: Rc::new(Semaphore::new(PROBES_AT_ONCE)),
            tasks: Vec::new(),
        }
    }
}

impl Keepers {
    /// From now on these upstreams are looked after, and no others. Within a `LocalSet`.
    pub(super) fn follow(&mut self, upstreams: &[Arc<Shared>]) {
        let mut before = std::mem::take(&mut self.tasks);
        for upstream in upstreams {
            let known = before
                .iter()
                .position(|task| Arc::ptr_eq(&task.upstream, upstream));
            let task = match known {
                Some(at) => before.swap_remove(at),
                None => Task {
                    upstream: Arc::clone(upstream),
                    handle: look_after(upstream, &self.probes)
                        .map(|work| tokio::task::spawn_local(work).abort_handle()),
                },
            };
            self.tasks.push(task);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}
