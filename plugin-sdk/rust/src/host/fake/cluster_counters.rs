//! The fake `cluster-counters`: limiters of their own on the fake clock, unless a test says that the store fails.

use super::{counters, with_world};
use crate::counters::{Quota as Wanted, Verdict};
use crate::{Problem, host::fake::counters::Quota};

/// Does something with the store's counters in place of the node's.
fn in_store<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    let swap = || with_world(|world| std::mem::swap(&mut world.counters, &mut world.cluster_counters));
    if let Some(problem) = with_world(|world| world.store_fails.clone()) {
        return Err(problem);
    }
    swap();
    let done = work();
    swap();
    done
}

pub(crate) fn take(key: &str, quota: &Quota, cost: u64) -> Result<Verdict, Problem> {
    in_store(|| counters::take(key, quota, cost))
}

pub(crate) fn take_all(wants: &[(&str, &Wanted, u64)]) -> Result<Vec<Verdict>, Problem> {
    if wants.is_empty() {
        return match with_world(|world| world.store_fails.clone()) {
            Some(denied @ Problem::Denied(_)) => Err(denied),
            _ => Ok(Vec::new()),
        };
    }
    in_store(|| {
        let mut verdicts = Vec::new();
        for (key, quota, cost) in wants {
            verdicts.push(counters::take(key, &quota.0, *cost)?);
        }
        if !verdicts.iter().all(|verdict| verdict.allowed) {
            for ((key, quota, cost), verdict) in wants.iter().zip(&mut verdicts) {
                if verdict.allowed {
                    counters::give_back(key, &quota.0, *cost)?;
                    verdict.remaining = counters::take(key, &quota.0, 0)?.remaining;
                }
            }
        }
        Ok(verdicts)
    })
}

pub(crate) fn give_back(key: &str, quota: &Quota, cost: u64) -> Result<(), Problem> {
    in_store(|| counters::give_back(key, quota, cost))
}

pub(crate) fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Problem> {
    in_store(|| counters::add(key, delta, ttl_ms))
}
