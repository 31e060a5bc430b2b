//! One thread's connection to a store: made, watched, and made again. It refuses to know what the commands mean.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::store::redis::connect::{Connection, connect};
use crate::store::redis::in_flight::InFlight;
use crate::store::redis::script::NO_SCRIPT;
use crate::store::redis::{RemoteError, Settings};
use crate::telemetry::StoreStats;

/// The shortest and the longest pause between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(2));
/// A connection that lasted so long was a good one: the next pause is the shortest again.
const GOOD: Duration = Duration::from_secs(5);
/// Failures of a cluster in a row after which it is connected anew.
const IN_A_ROW: u32 = 32;

/// The connection of one thread.
pub(super) struct Link {
    live: ArcSwapOption<Live>,
    pending: AtomicUsize,
    most_pending: usize,
    /// Whether the first attempt to connect is over.
    tried: watch::Sender<bool>,
    ended: AtomicBool,
}

/// A connection that works, as far as anybody knows.
pub(super) struct Live {
    connection: Connection,
    lost: Arc<Notify>,
    failures: AtomicU32,
}

impl Link {
    /// A link whose task runs in this runtime until the store is no more.
    pub(super) fn start(
        runtime: &Handle,
        settings: Arc<Settings>,
        stats: Arc<StoreStats>,
        open: watch::Receiver<()>,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            live: ArcSwapOption::empty(),
            pending: AtomicUsize::new(0),
            most_pending: settings.max_pending,
            tried: watch::Sender::new(false),
            ended: AtomicBool::new(false),
        });
        let kept = Keeper {
            link: Arc::clone(&link),
            settings,
            stats,
        };
        // Its end is the end of the store; nobody waits for it.
        drop(runtime.spawn(kept.keep(open)));
        link
    }

    /// Its store is no more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// One command and its answer.
    pub(super) async fn call(self: &Arc<Self>, command: Cmd, until: Instant) -> Result<Value, RemoteError> {
        let live = match self.live.load_full() {
            Some(live) => live,
            None => self.first(until).await.ok_or(RemoteError::Disconnected)?,
        };
        let place = Pending::take(self).ok_or(RemoteError::Busy)?;
        let mut in_flight = InFlight::new(Arc::clone(&live), command, place);
        let answer = timeout_at(until, in_flight.answer())
            .await
            .map_err(|_| RemoteError::Timeout)?;
        answer.map_err(|error| live.judge(&error))
    }

    /// The connection that the first attempt makes, if it is still under way; afterwards nobody waits for one.
    async fn first(&self, until: Instant) -> Option<Arc<Live>> {
        if !*self.tried.borrow() {
            let mut tried = self.tried.subscribe();
            // Over in either case.
            drop(timeout_at(until, tried.wait_for(|tried| *tried)).await);
        }
        self.live.load_full()
    }
}

impl Live {
    /// A handle of the connection.
    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Nobody expects an answer from it any more.
    pub(super) fn is_stale(&self) {
        if self.connection.breaks_as_a_whole() {
            self.lost.notify_one();
        } else {
            self.count_failure();
        }
    }

    /// A command was answered.
    pub(super) fn works(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    fn count_failure(&self) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= IN_A_ROW {
            self.lost.notify_one();
        }
    }

    /// What an error means for the caller, and for the connection.
    fn judge(&self, error: &RedisError) -> RemoteError {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => RemoteError::Refused(NO_SCRIPT.to_owned()),
            ErrorKind::Server(_) | ErrorKind::Extension => RemoteError::Refused(error.to_string()),
            _ if self.connection.breaks_as_a_whole() => {
                self.lost.notify_one();
                RemoteError::Broken
            }
            _ => {
                self.count_failure();
                if error.is_timeout() {
                    RemoteError::Timeout
                } else {
                    RemoteError::Broken
                }
            }
        }
    }
}

/// A command that is under way.
pub(super) struct Pending(Arc<Link>);

impl Pending {
    fn take(link: &Arc<Link>) -> Option<Self> {
        let before = link.pending.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(link));
        // Dropped, it gives back what was added.
        (before < link.most_pending).then_some(place)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What keeps a link connected.
struct Keeper {
    link: Arc<Link>,
    settings: Arc<Settings>,
    stats: Arc<StoreStats>,
}

impl Keeper {
    /// Connects, waits until the connection is lost, and begins again, until the store is dropped.
    async fn keep(self, mut open: watch::Receiver<()>) {
        let mut pause = Pause::default();
        loop {
            let done = tokio::select! {
                // Its sender is never used: it ends.
                _ = open.changed() => break,
                done = self.once() => done,
            };
            if done == Attempt::WasGood {
                pause = Pause::default();
            }
            tokio::select! {
                _ = open.changed() => break,
                () = sleep(pause.next()) => {}
            }
        }
        self.link.ended.store(true, Ordering::Relaxed);
    }

    /// One connection from its beginning to its end.
    async fn once(&self) -> Attempt {
        let store = &*self.settings.name;
        let lost = Arc::new(Notify::new());
        let connecting = connect(&self.settings, Arc::clone(&lost));
        let connection = match timeout(self.settings.connect_timeout, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return self.failed(&error.to_string()),
            Err(_) => return self.failed("it took too long"),
        };
        let began = Instant::now();
        let up = Up::new(
            self,
            Live {
                connection,
                lost: Arc::clone(&lost),
                failures: AtomicU32::new(0),
            },
        );
        lost.notified().await;
        drop(up);
        if self.stats.unreachable() {
            tracing::warn!(store, "a store was lost; connecting again");
        }
        if began.elapsed() >= GOOD {
            Attempt::WasGood
        } else {
            Attempt::Failed
        }
    }

    fn failed(&self, cause: &str) -> Attempt {
        self.link.tried.send_replace(true);
        if self.stats.unreachable() {
            tracing::warn!(
                store = &*self.settings.name,
                cause,
                "a store cannot be reached; trying on"
            );
        }
        Attempt::Failed
    }
}

/// While this lives, commands have the connection.
struct Up<'k>(&'k Keeper);

impl<'k> Up<'k> {
    fn new(keeper: &'k Keeper, live: Live) -> Self {
        keeper.link.live.store(Some(Arc::new(live)));
        if keeper.stats.connected() {
            tracing::info!(store = &*keeper.settings.name, "a store is connected again");
        }
        keeper.link.tried.send_replace(true);
        Self(keeper)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.link.live.store(None);
        self.0.stats.disconnected();
    }
}

/// How an attempt to be connected ended.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Failed,
    WasGood,
}

/// Pauses that double, each shortened by up to a half at random, so that gateways do not come back all at once.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSES.0)
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let whole = self.0;
        self.0 = (whole * 2).min(PAUSES.1);
        let dice = RandomState::new().hash_one(0) % 512;
        whole.mul_f64(1.0 - dice as f64 / 1024.0)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_never_the_half_shorter() {
        let mut pause = Pause::default();
        for whole in [25, 50, 100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let whole = Duration::from_millis(whole);
            let next = pause.next();
            assert!(next <= whole && next >= whole / 2, "{next:?} of {whole:?}");
        }
    }
}
