//! The limiter in the store against that of this process, and against itself.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::{Builder, Runtime};

use super::super::testing::{LONG, Server};
use super::*;
use crate::store::counters::Counters;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn want(key: &str, quota: Quota, cost: u64) -> Want {
    Want {
        key: key.to_owned(),
        quota,
        cost,
    }
}

fn quota(limit: u64, period_ms: u64, burst: u64, algorithm: Algorithm) -> Quota {
    Quota::new(limit, period_ms, burst, algorithm).unwrap()
}

#[derive(Debug, Clone)]
struct Step {
    after_us: u64,
    key: u8,
    quota: usize,
    cost: u64,
    what: u8,
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop_oneof![
        Just(Algorithm::Gcra),
        Just(Algorithm::FixedWindow),
        Just(Algorithm::SlidingWindow)
    ]
}

/// Quotas of one period, and steps whose times are on its scale.
fn cases() -> impl Strategy<Value = (Vec<Quota>, Vec<Step>)> {
    let periods = prop_oneof![1..50_u64, 1_000..100_000_u64, 86_400_000..315_000_000_000_u64];
    let cells = || prop_oneof![0..20_u64, 1..5_000_u64, 1..MAX_CELLS];
    periods.prop_flat_map(move |period_ms| {
        // Scripts count in numbers that are exact up to 2^53 microseconds, 285 years.
        let exact = move |limit: u64, burst: u64| {
            u128::from(limit.max(burst)) * u128::from(period_ms) * 1_000 / u128::from(limit.max(1)) <= 1 << 53
        };
        let quota = (cells(), prop_oneof![Just(0), cells()], algorithms())
            .prop_filter("beyond what is exact", move |(limit, burst, _)| {
                exact(*limit, *burst)
            })
            .prop_map(move |(limit, burst, algorithm)| quota(limit, period_ms, burst, algorithm));
        let quotas = proptest::collection::vec(quota, 1..4);
        let times = prop_oneof![Just(0), 0..period_ms * 20, 0..period_ms * 2_500];
        let costs = prop_oneof![0..4_u64, 0..50_u64, 0..MAX_CELLS];
        let step =
            (times, 0..2_u8, 0..4_usize, costs, 0..10_u8).prop_map(|(after_us, key, quota, cost, what)| {
                Step {
                    after_us,
                    key,
                    quota,
                    cost,
                    what,
                }
            });
        (quotas, proptest::collection::vec(step, 1..40))
    })
}

#[test]
fn the_store_says_what_the_limiter_of_this_process_says() {
    let (server, runtime) = (Server::start(), runtime());
    let case = std::cell::Cell::new(0);
    // The same cases in every run. Known to differ, by rounding to microseconds: quotas of several sizes that share a key, and
    // cells of broken microseconds in periods of years.
    TestRunner::deterministic()
        .run(&cases(), |(quotas, steps)| {
            case.set(case.get() + 1);
            let (remote, local) = (server.entry(&case.get().to_string()), Counters::new(100));
            let mut now_us = 1_700_000_000_000_000;
            for step in steps {
                now_us += step.after_us;
                let quota = quotas[step.quota % quotas.len()];
                let want = want(
                    &format!("{} {}", step.key, step.quota % quotas.len()),
                    quota,
                    step.cost,
                );
                let clock = Clock::At(now_us);
                if step.what == 0 {
                    runtime.block_on(remote.give_back_at(clock, &want, LONG)).unwrap();
                    local.give_back(now_us * 1_000, &want.key, &quota, step.cost);
                    continue;
                }
                let wants = std::slice::from_ref(&want);
                let told = runtime.block_on(remote.take_all_at(clock, wants, LONG)).unwrap();
                let known = local.take(now_us * 1_000, &want.key, &quota, step.cost);
                // Beyond 285 years a wait is as good as any other; one that no waiting makes fit is told from it.
                let exact = |ms: u64| {
                    if ms == NEVER_MS && step.cost > quota.capacity() {
                        ms
                    } else {
                        ms.min((1 << 53) / 1_000)
                    }
                };
                let known = Verdict {
                    retry_after_ms: exact(known.retry_after_ms),
                    reset_after_ms: exact(known.reset_after_ms),
                    ..known
                };
                let told = Verdict {
                    retry_after_ms: exact(told[0].retry_after_ms),
                    reset_after_ms: exact(told[0].reset_after_ms),
                    ..told[0]
                };
                prop_assert_eq!(told, known, "{:?} of {:?}", step, quota);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn another_period_or_algorithm_does_what_it_does_in_this_process() {
    let (server, runtime) = (Server::start(), runtime());
    let (remote, local) = (server.entry("e"), Counters::new(100));
    let (minute, hour) = (
        quota(10, 60_000, 0, Algorithm::Gcra),
        quota(10, 3_600_000, 0, Algorithm::Gcra),
    );
    let window = quota(10, 3_600_000, 0, Algorithm::FixedWindow);
    for (at_ms, quota, cost) in [
        (1_000, minute, 9),
        (4_000, minute, 0),
        (4_000, hour, 0),
        (4_000, hour, 1),
        (7_000, minute, 1),
        (7_000, window, 3),
        (8_000, hour, 1),
    ] {
        let wants = [want("k", quota, cost)];
        let told = runtime.block_on(remote.take_all_at(Clock::At(at_ms * 1_000), &wants, LONG));
        assert_eq!(
            told.unwrap()[0],
            local.take(at_ms * 1_000_000, "k", &quota, cost),
            "{at_ms} {cost}"
        );
    }
}

#[test]
fn a_clock_that_goes_back_gives_nothing_away() {
    let (server, runtime) = (Server::start(), runtime());
    let (remote, local) = (server.entry("e"), Counters::new(100));
    for algorithm in [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow] {
        let quota = quota(3, 1_000, 0, algorithm);
        for at_ms in [5_000, 5_100, 4_000, 4_500, 5_200, 5_900, 6_100] {
            let wants = [want(&format!("{algorithm:?}"), quota, 1)];
            let told = remote.take_all_at(Clock::At(at_ms * 1_000), &wants, LONG);
            let told = runtime.block_on(told).unwrap()[0];
            let known = local.take(at_ms * 1_000_000, &wants[0].key, &quota, 1);
            assert_eq!(told, known, "{algorithm:?} at {at_ms}");
        }
    }
}

#[tokio::test]
async fn several_quotas_are_taken_all_or_none() {
    let server = Server::start();
    let remote = server.entry("e");
    let (few, many) = (
        quota(2, 60_000, 0, Algorithm::Gcra),
        quota(100, 60_000, 0, Algorithm::FixedWindow),
    );
    let both = [want("few", few, 1), want("many", many, 1)];
    for left in [1, 0] {
        let verdicts = remote.take_all(&both, LONG).await.unwrap();
        assert!(verdicts.iter().all(|verdict| verdict.allowed));
        assert_eq!((verdicts[0].remaining, verdicts[1].remaining), (left, 98 + left));
    }
    let verdicts = remote.take_all(&both, LONG).await.unwrap();
    assert_eq!(
        verdicts.iter().map(|v| v.allowed).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(verdicts[1].remaining, 98, "nothing was taken");
    remote.give_back(&both[0], LONG).await.unwrap();
    assert!(remote.take(&both[0], LONG).await.unwrap().allowed);
    // Twice the same key: the second sees what the first takes.
    let twice = [want("t", few, 2), want("t", few, 1)];
    let verdicts = remote.take_all(&twice, LONG).await.unwrap();
    assert_eq!(
        verdicts.iter().map(|v| v.allowed).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(verdicts[0].remaining, 2, "nothing was taken");
}

#[tokio::test]
async fn many_at_once_get_exactly_the_limit_by_the_clock_of_the_store() {
    let server = Server::start();
    let (one, other) = (server.entry("e"), server.entry("e"));
    let want = want("k", quota(100, 3_600_000, 0, Algorithm::FixedWindow), 1);
    let takes = (0..40).map(|n| {
        let (remote, want) = (if n % 2 == 0 { one.clone() } else { other.clone() }, want.clone());
        tokio::spawn(async move {
            let mut allowed = 0;
            for _ in 0..10 {
                allowed += usize::from(remote.take(&want, LONG).await.unwrap().allowed);
            }
            allowed
        })
    });
    let takes: Vec<_> = takes.collect();
    let mut allowed = 0;
    for take in takes {
        allowed += take.await.unwrap();
    }
    assert_eq!(allowed, 100);
    let verdict = server.entry("another").take(&want, LONG).await.unwrap();
    assert_eq!(verdict.remaining, 99, "entries have keys of their own");
}

#[tokio::test]
async fn a_total_stays_within_its_bits_and_keeps_its_end() {
    let server = Server::start();
    let remote = server.entry("e");
    assert_eq!(remote.add("k", 0, 1, LONG).await, Ok(0));
    assert_eq!(remote.add("k", i64::MAX - 1, 0, LONG).await, Ok(i64::MAX - 1));
    assert_eq!(remote.add("k", 5, 0, LONG).await, Ok(i64::MAX));
    assert_eq!(remote.add("k", -7, 0, LONG).await, Ok(i64::MAX - 7));
    assert_eq!(remote.add("low", i64::MIN, 60_000, LONG).await, Ok(i64::MIN));
    assert_eq!(remote.add("low", -1, 0, LONG).await, Ok(i64::MIN));
    // A minute, also after the write that hit the bound.
    let command = redis::cmd("PTTL").arg("test:{e}:t:low").to_owned();
    let left = remote.call(command, remote.until(LONG)).await.unwrap();
    assert!(matches!(left, Value::Int(1..=60_000)), "{left:?}");
}

#[tokio::test]
async fn scripts_are_sent_again_to_a_store_that_lost_them() {
    let server = Server::start();
    let remote = server.entry("e");
    let want = want("k", quota(5, 60_000, 0, Algorithm::Gcra), 1);
    assert_eq!(remote.take(&want, LONG).await.unwrap().remaining, 4);
    let flush = redis::cmd("SCRIPT").arg("FLUSH").to_owned();
    remote.call(flush, remote.until(LONG)).await.unwrap();
    assert_eq!(remote.take(&want, LONG).await.unwrap().remaining, 3);
}

#[tokio::test]
async fn what_the_store_cannot_count_is_refused() {
    let server = Server::start();
    let remote = server.entry("e");
    let quota = quota(MAX_CELLS + 1, 1_000, 0, Algorithm::Gcra);
    let refused = remote.take(&want("k", quota, 1), LONG).await;
    assert!(matches!(refused, Err(RemoteError::Invalid(_))), "{refused:?}");
    let wants = vec![want("k", quota, 1); MAX_AT_ONCE + 1];
    let refused = remote.take_all(&wants, LONG).await;
    assert!(matches!(refused, Err(RemoteError::Limit(_))), "{refused:?}");
}
