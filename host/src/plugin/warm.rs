//! The thread that makes and configures instances, so that no worker ever does.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use super::{Fault, Instance, Unit};

/// Instances that may be asked for at once. A pool asks for at most one at a time.
const QUEUE: usize = 4_096;

type Made = Result<Box<Instance>, Fault>;

struct Job {
    unit: Arc<Unit>,
    reply: oneshot::Sender<Made>,
}

/// Handle to the thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub struct Warmer {
    jobs: SyncSender<Job>,
}

impl std::fmt::Debug for Warmer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warmer").finish_non_exhaustive()
    }
}

impl Warmer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        std::thread::Builder::new()
            .name("portcullis-warm".into())
            .spawn(move || {
                for Job { unit, reply } in queue {
                    // Whoever asked may have gone; the instance is dropped then.
                    drop(reply.send(unit.instantiate().map(Box::new)));
                }
            })?;
        Ok(Self { jobs })
    }

    /// Asks for an instance; none when too many are asked for already.
    pub(super) fn request(&self, unit: &Arc<Unit>) -> Option<oneshot::Receiver<Made>> {
        let (reply, made) = oneshot::channel();
        match self.jobs.try_send(Job {
            unit: Arc::clone(unit),
            reply,
        }) {
            Ok(()) => Some(made),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}
