//! The thread for work that takes its time: reading the configuration, loading plugins, building tables, taking old ones
//! apart. One thread, so that its memory is one heap that is used again. While there is traffic it has a low priority, for a
//! machine whose cores are all at work has none left for it. It refuses to know what the work is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

/// How far the thread stands back (`nice`, -20 to 19): about a tenth of the share of a worker.
const NICENESS: i32 = 10;
/// Work that may wait; the control thread gives one piece after the other.
const WAITING: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

/// The thread, from outside. It ends with the work in hand when this is dropped.
#[derive(Debug)]
pub(super) struct Aside(SyncSender<Work>);

impl Aside {
    /// Starts the thread, with the priority of the others.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, queue) = sync_channel(WAITING);
        let log = super::current_log();
        std::thread::Builder::new()
            .name("portcullis-load".to_owned())
            .spawn(move || super::logged(&log, || work_off(&queue)))?;
        Ok(Self(sender))
    }

    /// Does `work` there; none if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let work = move || {
            // Nobody may wait for it any more.
            drop(done.send(work()));
        };
        if self.0.send(Box::new(work)).is_err() {
            return None;
        }
        result.await.ok()
    }

    /// From now on its work gives way to traffic.
    pub(super) async fn stand_back(&self) {
        // No process id: the calling thread (setpriority(2), "C library/kernel differences").
        let lowered = self.run(|| rustix::process::setpriority_process(None, NICENESS));
        if let Some(Err(error)) = lowered.await {
            tracing::debug!(%error, "the loading thread keeps its priority");
        }
    }
}

fn work_off(queue: &Receiver<Work>) {
    while let Ok(work) = queue.recv() {
        // Whoever waits for it learns it from the missing answer; the panic itself is on standard error.
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!("work of the loading thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_in_turn_on_one_thread() {
        let aside = Aside::start().unwrap();
        let id = || std::thread::current().id();
        let first = aside.run(id).await;
        aside.stand_back().await;
        assert!(first.is_some() && first != Some(id()));
        assert_eq!(aside.run(id).await, first);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_is_missing_and_the_thread_goes_on() {
        let aside = Aside::start().unwrap();
        let failed: Option<()> = aside.run(|| panic!("on purpose")).await;
        assert_eq!(failed, None);
        assert_eq!(aside.run(|| 7).await, Some(7));
    }
}
