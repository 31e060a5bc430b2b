//! Interface `cluster-counters`: the entry's limiters in the store that it is granted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::counters::{quota, told};
use super::imports::cluster_counters::Host;
use super::imports::counters::{Quota, Verdict};
use super::imports::types::Problem;
use super::{EntryContext, Fallible, HostState};
use crate::store::redis::{EntryRemote, RemoteError, Want};

impl From<RemoteError> for Problem {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Timeout => Self::Timeout,
            RemoteError::Invalid(text) => Self::Invalid(text),
            RemoteError::Limit(text) => Self::Limit(text),
            RemoteError::Busy => Self::Limit(error.to_string()),
            RemoteError::Disconnected | RemoteError::Broken | RemoteError::Refused(_) => {
                Self::Failed(error.to_string())
            }
        }
    }
}

/// A granted store, and the time that the running call has for it.
pub(super) struct Granted {
    entry: Arc<EntryContext>,
    /// What is left of the call.
    pub(super) left: Duration,
}

impl Granted {
    /// The part of the store that is the entry's.
    pub(super) fn remote(&self) -> Result<&EntryRemote, RemoteError> {
        // Linked only where a store is granted.
        self.entry.remote.as_ref().ok_or(RemoteError::Disconnected)
    }
}

impl HostState {
    /// The store for the running call.
    pub(super) fn granted_store(&self) -> Granted {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        Granted {
            entry: Arc::clone(&self.entry),
            left: left.unwrap_or_default(),
        }
    }
}

fn want((key, wanted, cost): (String, Quota, u64)) -> Result<Want, Problem> {
    let quota = quota(&wanted)?;
    Ok(Want { key, quota, cost })
}

impl Host for HostState {
    async fn take(&mut self, key: String, wanted: Quota, cost: u64) -> Fallible<Verdict> {
        let want = match want((key, wanted, cost)) {
            Ok(want) => want,
            Err(problem) => return Ok(Err(problem)),
        };
        let store = self.granted_store();
        let verdict = self
            .wait(async { store.remote()?.take(&want, store.left).await })
            .await;
        Ok(verdict.and_then(|verdict| Ok(told(&verdict?))))
    }

    async fn take_all(&mut self, wants: Vec<(String, Quota, u64)>) -> Fallible<Vec<Verdict>> {
        let wants = wants.into_iter().map(want).collect::<Result<Vec<_>, _>>();
        let wants = match wants {
            // Whether it is granted can be asked in this way, also where nothing can wait.
            Ok(wants) if wants.is_empty() => return Ok(Ok(Vec::new())),
            Ok(wants) => wants,
            Err(problem) => return Ok(Err(problem)),
        };
        let store = self.granted_store();
        let verdicts = self
            .wait(async { store.remote()?.take_all(&wants, store.left).await })
            .await;
        Ok(verdicts.and_then(|verdicts| Ok(verdicts?.iter().map(told).collect())))
    }

    async fn give_back(&mut self, key: String, wanted: Quota, cost: u64) -> Fallible<()> {
        let want = match want((key, wanted, cost)) {
            Ok(want) => want,
            Err(problem) => return Ok(Err(problem)),
        };
        let store = self.granted_store();
        let given = self
            .wait(async { store.remote()?.give_back(&want, store.left).await })
            .await;
        Ok(given.and_then(|given| Ok(given?)))
    }

    async fn add(&mut self, key: String, delta: i64, ttl_ms: u64) -> Fallible<i64> {
        let store = self.granted_store();
        let total = self
            .wait(async { store.remote()?.add(&key, delta, ttl_ms, store.left).await })
            .await;
        Ok(total.and_then(|total| Ok(total?)))
    }
}
