//! The fake `counters`: GCRA for every algorithm, plain counters, and places that a test gives back itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::with_world;
use crate::{Problem, counters::Verdict};

/// The contract's record.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    pub(crate) limit: u64,
    pub(crate) period_ms: u64,
    pub(crate) burst: u64,
    pub(crate) options: Vec<(String, String)>,
}

/// The state of all counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Theoretical arrival times, nanoseconds.
    arrivals: BTreeMap<String, u64>,
    /// Value, and when it expires in milliseconds.
    plain: BTreeMap<String, (i64, u64)>,
    /// Places in use.
    pub(crate) places: BTreeMap<String, u64>,
}

/// Nanoseconds per cell, and for a whole burst.
fn pace(quota: &Quota) -> Result<(u64, u64), Problem> {
    let known = ["gcra", "sliding-window", "fixed-window"];
    if let Some((_, name)) = quota
        .options
        .iter()
        .find(|(key, name)| key == "algorithm" && !known.contains(&&**name))
    {
        return Err(Problem::Invalid(format!("no algorithm is called `{name}`")));
    }
    let cell = quota.period_ms.saturating_mul(1_000_000).checked_div(quota.limit);
    match cell {
        Some(cell) if quota.burst > 0 && quota.period_ms > 0 => Ok((cell, cell.saturating_mul(quota.burst))),
        _ => Err(Problem::Invalid(
            "a quota has a limit, a period and a burst above zero".to_owned(),
        )),
    }
}

pub(crate) fn take(key: &str, quota: &Quota, cost: u64) -> Result<Verdict, Problem> {
    let (cell, window) = pace(quota)?;
    with_world(|world| {
        let now = world.monotonic_ns();
        let stored = world.counters.arrivals.get(key).copied().unwrap_or(0).max(now);
        let wanted = stored.saturating_add(cell.saturating_mul(cost));
        let allowed = wanted <= now.saturating_add(window);
        let arrival = if allowed { wanted } else { stored };
        if cost > 0 {
            world.counters.arrivals.insert(key.to_owned(), arrival);
        }
        let left = now.saturating_add(window).saturating_sub(arrival);
        let wait = if allowed {
            0
        } else {
            wanted.saturating_sub(now.saturating_add(window))
        };
        Ok(Verdict {
            allowed,
            remaining: left.checked_div(cell).unwrap_or(quota.burst),
            retry_after: Duration::from_millis(wait.div_ceil(1_000_000)),
            reset_after: Duration::from_millis((arrival - now).div_ceil(1_000_000)),
        })
    })
}

pub(crate) fn give_back(key: &str, quota: &Quota, cost: u64) -> Result<(), Problem> {
    let (cell, _) = pace(quota)?;
    with_world(|world| {
        if let Some(arrival) = world.counters.arrivals.get_mut(key) {
            *arrival = arrival.saturating_sub(cell.saturating_mul(cost));
        }
    });
    Ok(())
}

pub(crate) fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Problem> {
    with_world(|world| {
        let now_ms = world.unix_ms();
        let counter = world
            .counters
            .plain
            .entry(key.to_owned())
            .or_insert((0, now_ms.saturating_add(ttl_ms)));
        if counter.1 <= now_ms {
            *counter = (0, now_ms.saturating_add(ttl_ms));
        }
        counter.0 = counter.0.saturating_add(delta);
        Ok(counter.0)
    })
}

pub(crate) fn acquire(key: &str, limit: u64) -> Result<bool, Problem> {
    with_world(|world| {
        let places = world.counters.places.entry(key.to_owned()).or_default();
        let free = *places < limit;
        if free {
            *places += 1;
        }
        Ok(free)
    })
}
