//! How much of an upstream this process uses at once: exchanges, connections that carry one, and exchanges that wait for
//! such a connection. It refuses to know what they are used for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The limits of one upstream, over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRules {
    /// Connections that carry an exchange; those that are kept idle do not count.
    pub connections: Option<usize>,
    /// Exchanges that may wait for a connection.
    pub pending: usize,
    /// How long they may wait.
    pub pending_timeout: Duration,
    /// Exchanges, those that wait included.
    pub requests: Option<usize>,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// As many connections are in use as may be, and as many exchanges wait for one.
    Pending,
    /// No connection came free in time.
    PendingTimeout,
    /// There are as many exchanges as may be.
    Requests,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::PendingTimeout, Self::Requests];

    /// The word for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::PendingTimeout => "pending-timeout",
            Self::Requests => "requests",
        }
    }
}

/// What is in use.
#[derive(Debug)]
pub struct Limits {
    rules: LimitRules,
    requests: Arc<AtomicUsize>,
    pending: Arc<AtomicUsize>,
    connections: Option<Arc<Semaphore>>,
    refused: [AtomicUsize; Limit::ALL.len()],
}

/// The permission for one exchange; its places are free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _request: Option<Place>,
    _connection: Option<OwnedSemaphorePermit>,
}

/// What is in use at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InUse {
    /// Exchanges; 0 without a limit on them.
    pub requests: usize,
    /// Exchanges that wait for a connection.
    pub pending: usize,
    /// Connections; 0 without a limit on them.
    pub connections: usize,
}

impl Limits {
    /// Nothing is in use.
    #[must_use]
    pub fn new(rules: LimitRules) -> Self {
        let most = |connections: usize| Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self {
            connections: rules.connections.map(most),
            rules,
            requests: Arc::default(),
            pending: Arc::default(),
            refused: Default::default(),
        }
    }

    /// What it goes by.
    #[must_use]
    pub fn rules(&self) -> &LimitRules {
        &self.rules
    }

    /// What is in use now.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        let free = self.connections.as_ref().map(|free| free.available_permits());
        InUse {
            requests: self.requests.load(Ordering::Relaxed),
            pending: self.pending.load(Ordering::Relaxed),
            connections: self
                .rules
                .connections
                .map_or(0, |most| most.saturating_sub(free.unwrap_or(most))),
        }
    }

    /// How often an exchange was refused because of `limit`.
    #[must_use]
    pub fn refused(&self, limit: Limit) -> u64 {
        let at = Limit::ALL.iter().position(|known| *known == limit);
        let count = at.and_then(|at| self.refused.get(at));
        count.map_or(0, |count| count.load(Ordering::Relaxed) as u64)
    }

    /// Asks for one exchange, and waits for a connection if there may be one in time; those who wait are served in turn.
    /// Waiting ends at `deadline`, too.
    ///
    /// # Errors
    /// The limit that was reached.
    pub async fn enter(&self, deadline: Option<Instant>) -> Result<Permit, Limit> {
        let entered = self.try_enter(deadline).await;
        if let Err(limit) = entered {
            let at = Limit::ALL.iter().position(|known| *known == limit);
            if let Some(count) = at.and_then(|at| self.refused.get(at)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        entered
    }

    async fn try_enter(&self, deadline: Option<Instant>) -> Result<Permit, Limit> {
        let request = match self.rules.requests {
            Some(most) => Some(Place::take(&self.requests, most).ok_or(Limit::Requests)?),
            None => None,
        };
        let Some(connections) = &self.connections else {
            return Ok(Permit {
                _request: request,
                _connection: None,
            });
        };
        let free = Arc::clone(connections).try_acquire_owned();
        let connection = match free {
            Ok(connection) => connection,
            Err(_) => {
                let place = Place::take(&self.pending, self.rules.pending).ok_or(Limit::Pending)?;
                let last = Instant::now().checked_add(self.rules.pending_timeout);
                let due = match (last, deadline) {
                    (Some(last), Some(deadline)) => Some(last.min(deadline)),
                    (last, deadline) => last.or(deadline),
                };
                let turn = Arc::clone(connections).acquire_owned();
                let came = match due {
                    Some(due) => timeout_at(due, turn).await.ok(),
                    None => Some(turn.await),
                };
                drop(place);
                // The semaphore is never closed.
                came.and_then(Result::ok).ok_or(Limit::PendingTimeout)?
            }
        };
        Ok(Permit {
            _request: request,
            _connection: Some(connection),
        })
    }
}

/// One of a limited number, until it is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let one_more = |taken| (taken < most).then_some(taken + 1);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    fn rules() -> LimitRules {
        LimitRules {
            connections: None,
            pending: 0,
            pending_timeout: Duration::from_secs(5),
            requests: None,
        }
    }

    /// What a future gives without being waited for.
    async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        poll_fn(|cx| match pin!(&mut *future).poll(cx) {
            Poll::Ready(found) => Poll::Ready(Some(found)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn so_many_exchanges_and_the_next_when_one_has_ended() {
        let limits = Limits::new(LimitRules {
            requests: Some(2),
            ..rules()
        });
        let first = limits.enter(None).await.unwrap();
        let _second = limits.enter(None).await.unwrap();
        assert_eq!(limits.enter(None).await.unwrap_err(), Limit::Requests);
        drop(first);
        let _third = limits.enter(None).await.unwrap();
        assert_eq!(limits.in_use().requests, 2);
        assert_eq!(limits.refused(Limit::Requests), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_connection_is_served_in_turn() {
        let limits = Limits::new(LimitRules {
            connections: Some(1),
            pending: 2,
            ..rules()
        });
        let busy = limits.enter(None).await.unwrap();
        let (mut one, mut two) = (Box::pin(limits.enter(None)), Box::pin(limits.enter(None)));
        assert!(now(&mut one).await.is_none() && now(&mut two).await.is_none());
        assert_eq!(
            limits.in_use(),
            InUse {
                requests: 0,
                pending: 2,
                connections: 1
            }
        );
        assert_eq!(limits.enter(None).await.unwrap_err(), Limit::Pending);
        drop(busy);
        assert!(now(&mut two).await.is_none());
        let turn = now(&mut one).await.unwrap().unwrap();
        // One that gives up leaves its place.
        drop(two);
        assert_eq!(
            limits.in_use(),
            InUse {
                requests: 0,
                pending: 0,
                connections: 1
            }
        );
        drop(turn);
        assert_eq!(limits.in_use(), InUse::default());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_said_or_than_the_exchange_may_last() {
        let limits = Limits::new(LimitRules {
            connections: Some(1),
            pending: 1,
            ..rules()
        });
        let _busy = limits.enter(None).await.unwrap();
        let began = Instant::now();
        for (deadline, waited) in [(None, 5), (Some(2), 2), (Some(9), 5)] {
            let began = Instant::now();
            let deadline = deadline.map(|seconds| began + Duration::from_secs(seconds));
            assert_eq!(limits.enter(deadline).await.unwrap_err(), Limit::PendingTimeout);
            assert_eq!(began.elapsed().as_secs(), waited);
        }
        assert_eq!(began.elapsed().as_secs(), 12);
        assert_eq!(limits.in_use().pending, 0);
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let limits = Limits::new(LimitRules {
            requests: Some(3),
            connections: Some(3),
            ..rules()
        });
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_time()
                        .build()
                        .unwrap();
                    for _ in 0..500 {
                        if let Ok(_permit) = runtime.block_on(limits.enter(None)) {
                            most.fetch_max(limits.in_use().connections, Ordering::Relaxed);
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(limits.in_use(), InUse::default());
    }
}
