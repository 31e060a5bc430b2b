//! Interface `counters`: the entry's limiters of this process.

use std::sync::Arc;

use super::imports::counters::{Host, Quota as WitQuota, Verdict};
use super::imports::types::Problem;
use super::{Fallible, HostState};
use crate::clock::monotonic_ns;
use crate::exchange::{Held, Release};
use crate::store::EntryStore;
use crate::store::limit::{self, Algorithm, Quota};

/// Places that one exchange may hold.
const MAX_HELD: usize = 16;

pub(super) fn quota(wit: &WitQuota) -> Result<Quota, Problem> {
    let algorithm = Algorithm::from_options(&wit.options);
    algorithm
        .and_then(|algorithm| Quota::new(wit.limit, wit.period_ms, wit.burst, algorithm))
        .map_err(|e| Problem::Invalid(e.to_string()))
}

/// A verdict as plugins read it.
pub(super) fn told(verdict: &limit::Verdict) -> Verdict {
    Verdict {
        allowed: verdict.allowed,
        remaining: verdict.remaining,
        retry_after_ms: verdict.retry_after_ms,
        reset_after_ms: verdict.reset_after_ms,
    }
}

impl Host for HostState {
    fn take(&mut self, key: String, wanted: WitQuota, cost: u64) -> Fallible<Verdict> {
        Ok(quota(&wanted).map(|quota| {
            let verdict = self.entry.store.counters.take(monotonic_ns(), &key, &quota, cost);
            told(&verdict)
        }))
    }

    fn give_back(&mut self, key: String, wanted: WitQuota, cost: u64) -> Fallible<()> {
        Ok(quota(&wanted).map(|quota| {
            self.entry
                .store
                .counters
                .give_back(monotonic_ns(), &key, &quota, cost)
        }))
    }

    fn add(&mut self, key: String, delta: i64, ttl_ms: u64) -> Fallible<i64> {
        Ok(Ok(self.entry.store.counters.add(
            monotonic_ns(),
            &key,
            delta,
            ttl_ms,
        )))
    }

    fn acquire(&mut self, key: String, limit: u64) -> Fallible<bool> {
        let (store, stage) = (Arc::clone(&self.entry.store), self.stage);
        let held = &mut self.current()?.held;
        if held.len() >= MAX_HELD {
            return Ok(Err(Problem::Limit(format!(
                "an exchange holds at most {MAX_HELD} places"
            ))));
        }
        if !store.counters.acquire(&key, limit) {
            return Ok(Ok(false));
        }
        held.push(Held {
            stage,
            key: None,
            release: Box::new(Place {
                store,
                key: Some(key),
            }),
        });
        Ok(Ok(true))
    }
}

/// One place of a concurrency limit.
#[derive(Debug)]
struct Place {
    store: Arc<EntryStore>,
    key: Option<String>,
}

impl Release for Place {
    fn release(&mut self) {
        if let Some(key) = self.key.take() {
            self.store.counters.release(&key);
        }
    }
}
