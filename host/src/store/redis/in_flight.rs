//! A command between its sending and its answer, also when nobody waits for the answer any more. It refuses to know what
//! the command says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::store::redis::link::{Live, Pending};

/// How much longer an answer that nobody waits for is expected; then its connection is taken for dead.
const STALE: Duration = Duration::from_secs(1);

type Work = Pin<Box<dyn Future<Output = RedisResult<Value>> + Send>>;

/// A command under way. Dropped before its answer, it goes on aside: its place counts until the store has answered, so
/// that what a store owes is bounded, and one that owes answers for long is connected anew.
pub(super) struct InFlight {
    live: Arc<Live>,
    /// None once it is answered.
    work: Option<Work>,
}

impl InFlight {
    /// Sends `command` when it is polled.
    pub(super) fn new(live: Arc<Live>, command: Cmd, place: Pending) -> Self {
        let mut connection = live.connection();
        let work = async move {
            // An error that the store answers with is an answer to the crate.
            let answer = connection.send(&command).await.and_then(Value::extract_error);
            drop(place);
            answer
        };
        Self {
            live,
            work: Some(Box::pin(work)),
        }
    }

    /// The answer; to be asked for once.
    pub(super) async fn answer(&mut self) -> RedisResult<Value> {
        let Some(work) = &mut self.work else {
            return Ok(Value::Nil);
        };
        let answer = work.await;
        self.work = None;
        if answer.is_ok() {
            self.live.works();
        }
        answer
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let live = Arc::clone(&self.live);
        drop(runtime.spawn(async move {
            if timeout(STALE, work).await.is_err() {
                live.is_stale();
            }
        }));
    }
}
