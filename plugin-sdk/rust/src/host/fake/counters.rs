//! The fake `counters`: the gateway's limiters on the fake clock, plain counters, and places that a test gives back
//! itself.

use std::collections::BTreeMap;

mod level;

use self::level::{Checked, Level};
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
    limiters: BTreeMap<String, Level>,
    /// Value, and when it expires in milliseconds.
    plain: BTreeMap<String, (i64, u64)>,
    /// Places in use.
    pub(crate) places: BTreeMap<String, u64>,
}

pub(crate) fn take(key: &str, quota: &Quota, cost: u64) -> Result<Verdict, Problem> {
    let quota = Checked::of(quota).map_err(Problem::Invalid)?;
    with_world(|world| {
        let now_ns = u128::from(world.monotonic_ns());
        let found = world.counters.limiters.get(key).copied();
        let mut level = found.unwrap_or_else(|| Level::new(quota, now_ns));
        let verdict = level.take(now_ns, quota, cost);
        if verdict.allowed && cost > 0 {
            world.counters.limiters.insert(key.to_owned(), level);
        }
        Ok(verdict)
    })
}

pub(crate) fn give_back(key: &str, quota: &Quota, cost: u64) -> Result<(), Problem> {
    let quota = Checked::of(quota).map_err(Problem::Invalid)?;
    with_world(|world| {
        let now_ns = u128::from(world.monotonic_ns());
        if let Some(level) = world.counters.limiters.get_mut(key) {
            level.give_back(now_ns, quota, cost);
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
