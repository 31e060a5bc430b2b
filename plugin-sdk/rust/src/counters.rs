//! Atomic limiters of this node, per plugin entry. Knows no key of its own and no answer 429.

use std::time::Duration;

use crate::{Problem, host::counters as host};

/// How much is allowed in which time.
#[derive(Clone, Debug)]
pub struct Quota(pub(crate) host::Quota);

impl Quota {
    /// `limit` cells per `period` (in whole milliseconds), with no burst beyond the limit's own.
    #[must_use]
    pub fn new(limit: u64, period: Duration) -> Self {
        let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
        Self(host::Quota {
            limit,
            period_ms,
            burst: limit,
            options: Vec::new(),
        })
    }

    /// How many cells may go at once.
    #[must_use]
    pub fn burst(mut self, burst: u64) -> Self {
        self.0.burst = burst;
        self
    }

    /// Another algorithm than `gcra`: `sliding-window`, `fixed-window` ...
    #[must_use]
    pub fn algorithm(mut self, name: &str) -> Self {
        self.0.options.retain(|(key, _)| key != "algorithm");
        self.0.options.push(("algorithm".to_owned(), name.to_owned()));
        self
    }
}

/// [`Verdict::retry_after`] of a cost that no waiting makes fit: it is larger than the quota ever holds.
pub const NEVER: Duration = Duration::from_millis(u64::MAX);

/// What [`take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the cells were taken.
    pub allowed: bool,
    /// Cells left.
    pub remaining: u64,
    /// Until so many cells could be taken, in whole milliseconds, rounded up; zero when they were, [`NEVER`] if never.
    pub retry_after: Duration,
    /// Until all cells are there again if nobody takes any meanwhile, in whole milliseconds, rounded up.
    pub reset_after: Duration,
}

/// Takes `cost` cells or none. A cost of 0 only looks.
///
/// # Errors
/// [`Problem::Invalid`] for a quota or algorithm that cannot be, [`Problem::Limit`] when the key is too long or the
/// entry has too many.
pub fn take(key: &str, quota: &Quota, cost: u64) -> Result<Verdict, Problem> {
    host::take(key, &quota.0, cost)
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

/// Takes one of `limit` places at the same time; the host gives it back when the exchange ends. False = none left.
///
/// # Errors
/// As for [`take`].
pub fn acquire(key: &str, limit: u64) -> Result<bool, Problem> {
    host::acquire(key, limit)
}
