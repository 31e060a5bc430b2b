//! Atomic limiters in the store that gateways share, per plugin entry. Needs the grant `allow.store`. Knows no key of its own
//! and no answer 429; whether a request passes while the store fails is the plugin's choice.

use std::time::Duration;

use crate::counters::{Quota, Verdict};
use crate::{Problem, host::cluster_counters as host};

/// Takes `cost` cells or none, in one round trip. A cost of 0 only looks.
///
/// # Errors
/// [`Problem::Denied`] without the grant, [`Problem::Invalid`] for a quota that cannot be, [`Problem::Timeout`] and
/// [`Problem::Failed`] when the store does not answer, [`Problem::Limit`] when too many commands wait for it.
pub fn take(key: &str, quota: &Quota, cost: u64) -> Result<Verdict, Problem> {
    host::take(key, &quota.0, cost)
}

/// Takes from all quotas or from none, in one round trip. A refusal tells of each whether it would have allowed its part.
/// Without any it only tells whether the store is granted, also in `new`.
///
/// # Errors
/// As for [`take`].
pub fn take_all(wants: &[(&str, &Quota, u64)]) -> Result<Vec<Verdict>, Problem> {
    host::take_all(wants)
}

/// Gives cells back that were taken in vain.
///
/// # Errors
/// As for [`take`].
pub fn give_back(key: &str, quota: &Quota, cost: u64) -> Result<(), Problem> {
    host::give_back(key, &quota.0, cost)
}

/// Adds to a plain counter, which expires `ttl` after its first write; gives the new value.
///
/// # Errors
/// As for [`take`].
pub fn add(key: &str, delta: i64, ttl: Duration) -> Result<i64, Problem> {
    host::add(key, delta, u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}
