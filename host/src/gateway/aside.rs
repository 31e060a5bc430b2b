//! Work that takes its time and gives way: reading the configuration, loading plugins, building tables. While there is
//! traffic it runs on threads of low priority, for a machine whose cores are all at work has none left for it. It refuses
//! to know what the work is.

use std::cell::Cell;

/// How far such a thread stands back (`nice`, -20 to 19): about a tenth of the share of a worker.
const NICENESS: i32 = 10;

/// What the work competes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// Nothing yet: the gateway starts, and everybody waits for it.
    Nobody,
    /// Requests.
    Traffic,
}

/// Runs `work`; none if its thread died.
pub(super) async fn aside<T: Send + 'static>(
    beside: Beside,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let log = super::current_log();
    let done = tokio::task::spawn_blocking(move || {
        if beside == Beside::Traffic {
            stand_back();
        }
        super::logged(&log, work)
    });
    match done.await {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::error!(%error, "a loading thread failed");
            None
        }
    }
}

/// Lowers the priority of the thread, once.
fn stand_back() {
    thread_local! {
        static DONE: Cell<bool> = const { Cell::new(false) };
    }
    if DONE.replace(true) {
        return;
    }
    // No process id: the calling thread (setpriority(2), "C library/kernel differences").
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a loading thread keeps its priority");
    }
}
