//! Behaviour of the limit algorithms: by example, against naive models, and as promises about waiting.

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;
const ALL: [Algorithm; 3] = [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow];

fn quota(limit: u64, period_ms: u64, burst: u64, algorithm: Algorithm) -> Quota {
    Quota::new(limit, period_ms, burst, algorithm).unwrap()
}

fn admitted(level: &mut Level, now_ns: u64, quota: &Quota, tries: u64) -> u64 {
    (0..tries)
        .map(|_| u64::from(level.take(now_ns, quota, 1).allowed))
        .sum()
}

#[test]
fn gcra_gives_the_burst_then_one_cell_per_interval() {
    let quota = quota(10, 1_000, 3, Algorithm::Gcra);
    let mut level = Level::default();
    assert_eq!(admitted(&mut level, 5 * S, &quota, 100), 3);
    let refused = level.take(5 * S, &quota, 1);
    assert_eq!(
        refused,
        Verdict {
            allowed: false,
            remaining: 0,
            retry_after_ms: 100,
            reset_after_ms: 300
        }
    );
    assert_eq!(admitted(&mut level, 5 * S + 100 * MS - 1, &quota, 100), 0);
    assert_eq!(admitted(&mut level, 5 * S + 100 * MS, &quota, 100), 1);
    assert_eq!(admitted(&mut level, 5 * S + 350 * MS, &quota, 100), 2);
}

#[test]
fn gcra_does_not_drift_when_the_interval_is_no_whole_number() {
    let quota = quota(3, 1_000, 1, Algorithm::Gcra);
    let mut level = Level::default();
    let passed: u64 = (0..=300_000)
        .map(|n| admitted(&mut level, n * MS, &quota, 1))
        .sum();
    // One at the start and at most three a second for 300 s; a try per millisecond comes up to 1 ms late each time.
    assert!((898..=901).contains(&passed), "{passed}");
    let fast = self::quota(3_000_000_000, 1_000, 0, Algorithm::Gcra);
    let mut level = Level::default();
    assert!(level.take(0, &fast, 3_000_000_000).allowed);
    assert!(!level.take(0, &fast, 1).allowed);
    assert!(level.take(1, &fast, 3).allowed, "three cells a nanosecond");
    assert!(!level.take(1, &fast, 1).allowed);
}

#[test]
fn a_fixed_window_begins_with_the_first_take() {
    let quota = quota(2, 1_000, 0, Algorithm::FixedWindow);
    let mut level = Level::default();
    assert_eq!(admitted(&mut level, 700 * MS, &quota, 5), 2);
    let refused = level.take(1_200 * MS, &quota, 1);
    assert_eq!((refused.retry_after_ms, refused.reset_after_ms), (500, 500));
    assert_eq!(admitted(&mut level, 1_700 * MS, &quota, 5), 2);
}

#[test]
fn a_sliding_window_weighs_the_window_before() {
    let quota = quota(10, 1_000, 0, Algorithm::SlidingWindow);
    let mut level = Level::default();
    assert_eq!(admitted(&mut level, 0, &quota, 20), 10);
    assert_eq!(
        admitted(&mut level, S, &quota, 20),
        0,
        "the window before still counts whole"
    );
    assert_eq!(admitted(&mut level, S + 500 * MS, &quota, 20), 5);
    let refused = level.take(S + 500 * MS, &quota, 1);
    assert_eq!(refused.retry_after_ms, 100);
    assert_eq!(admitted(&mut level, 4 * S, &quota, 20), 10);
}

#[test]
fn a_refused_take_takes_nothing() {
    for algorithm in ALL {
        let quota = quota(5, 1_000, 0, algorithm);
        let mut level = Level::default();
        assert!(level.take(0, &quota, 3).allowed);
        assert!(!level.take(0, &quota, 3).allowed);
        assert!(level.take(0, &quota, 2).allowed, "{algorithm:?}");
    }
}

#[test]
fn what_is_given_back_can_be_taken_again() {
    for algorithm in ALL {
        let quota = quota(5, 1_000, 0, algorithm);
        let mut level = Level::default();
        assert_eq!(level.take(0, &quota, 5).remaining, 0);
        level.give_back(0, &quota, 2);
        assert_eq!(level.take(0, &quota, 0).remaining, 2);
        level.give_back(0, &quota, u64::MAX);
        assert_eq!(level.take(0, &quota, 0).remaining, 5, "{algorithm:?}");
    }
}

#[test]
fn what_can_never_fit_says_so() {
    for algorithm in ALL {
        let mut level = Level::default();
        let verdict = level.take(0, &quota(5, 1_000, 0, algorithm), 6);
        assert_eq!(
            (verdict.allowed, verdict.retry_after_ms, verdict.remaining),
            (false, NEVER_MS, 5)
        );
        let verdict = level.take(0, &quota(0, 1_000, 9, algorithm), 1);
        assert_eq!(
            (verdict.allowed, verdict.retry_after_ms, verdict.remaining),
            (false, NEVER_MS, 0)
        );
    }
}

#[test]
fn a_changed_quota_keeps_what_was_taken() {
    let mut level = Level::default();
    assert!(level.take(0, &quota(10, 1_000, 0, Algorithm::Gcra), 6).allowed);
    assert_eq!(
        level.take(0, &quota(10, 60_000, 0, Algorithm::Gcra), 0).remaining,
        4
    );
    assert_eq!(
        level.take(0, &quota(20, 333, 0, Algorithm::Gcra), 0).remaining,
        14
    );
    assert_eq!(
        level.take(0, &quota(2, 1_000, 0, Algorithm::Gcra), 0).remaining,
        0
    );
    assert_eq!(
        level
            .take(0, &quota(2, 1_000, 0, Algorithm::FixedWindow), 0)
            .remaining,
        2
    );
}

#[test]
fn options_name_the_algorithm() {
    let option = |value: &str| {
        [
            ("x".to_owned(), "y".to_owned()),
            ("algorithm".to_owned(), value.to_owned()),
        ]
    };
    assert_eq!(Algorithm::from_options(&[]), Ok(Algorithm::Gcra));
    assert_eq!(
        Algorithm::from_options(&option("fixed-window")),
        Ok(Algorithm::FixedWindow)
    );
    assert_eq!(
        Algorithm::from_options(&option("sliding-window")),
        Ok(Algorithm::SlidingWindow)
    );
    let error = Algorithm::from_options(&option("leaky")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown algorithm `leaky` (known: gcra, sliding-window, fixed-window)"
    );
    assert_eq!(Quota::new(1, 0, 0, Algorithm::Gcra), Err(QuotaError::Period(0)));
}

/// Steps of time (ns) and costs.
fn script() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0..400 * MS, 0..6_u64), 0..80)
}

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![Just(ALL[0]), Just(ALL[1]), Just(ALL[2])]
}

proptest! {
    /// I.371's virtual scheduling: a theoretical arrival time, here times the limit, so that it is a whole number.
    #[test]
    fn gcra_agrees_with_virtual_scheduling(
        limit in 1..50_u64, period_ms in 1..5_000_u64, burst in 1..20_u64, script in script()
    ) {
        let quota = quota(limit, period_ms, burst, Algorithm::Gcra);
        let mut level = Level::default();
        let (mut now, mut arrival) = (0_u64, 0_u128);
        let increment = u128::from(period_ms * MS);
        for (step, cost) in script {
            now += step;
            let scaled_now = u128::from(now) * u128::from(limit);
            let next = arrival.max(scaled_now) + u128::from(cost.max(1)) * increment;
            let conforms = next <= scaled_now + u128::from(burst) * increment;
            prop_assert_eq!(level.take(now, &quota, cost).allowed, conforms);
            if conforms && cost > 0 {
                arrival = next;
            }
        }
    }

    #[test]
    fn windows_agree_with_a_list_of_takes(
        limit in 1..20_u64, period_ms in 1..900_u64, script in script(), sliding: bool
    ) {
        let algorithm = if sliding { Algorithm::SlidingWindow } else { Algorithm::FixedWindow };
        let quota = quota(limit, period_ms, 0, algorithm);
        let period = period_ms * MS;
        let mut level = Level::default();
        let mut now = 0;
        // (window number, cost) since the first window of the run of windows at hand.
        let mut start: Option<u64> = None;
        let mut takes: Vec<(u64, u64)> = Vec::new();
        for (step, cost) in script {
            now += step;
            let windows = if sliding { 2 } else { 1 };
            let last = takes.iter().map(|(window, _)| *window).max().unwrap_or(0);
            let idle = start.is_none_or(|s| (now - s) / period >= last + windows);
            if idle {
                takes.clear();
                start = None;
            }
            let begin = start.unwrap_or(now);
            let (window, elapsed) = ((now - begin) / period, (now - begin) % period);
            let sum = |of: u64| -> u128 { takes.iter().filter(|(w, _)| *w == of).map(|(_, c)| u128::from(*c)).sum() };
            let before = if sliding && window > 0 { sum(window - 1) } else { 0 };
            let weighted = before * u128::from(period - elapsed)
                + (sum(window) + u128::from(cost.max(1))) * u128::from(period);
            let fits = weighted <= u128::from(limit) * u128::from(period);
            let verdict = level.take(now, &quota, cost);
            prop_assert_eq!(verdict.allowed, fits);
            if fits && cost > 0 {
                start = Some(begin);
                takes.push((window, cost));
            }
        }
    }

    #[test]
    fn waiting_as_told_is_enough_and_waiting_less_is_not(
        limit in 1..20_u64, period_ms in 1..2_000_u64, burst in 0..20_u64,
        algorithm in any_algorithm(), script in script(), cost in 1..8_u64
    ) {
        let quota = quota(limit, period_ms, burst, algorithm);
        let mut level = Level::default();
        let mut now = 0;
        for (step, cost) in script {
            now += step;
            level.take(now, &quota, cost);
        }
        let verdict = level.take(now, &quota, cost);
        prop_assert!(verdict.remaining <= quota.capacity());
        if verdict.allowed {
            prop_assert_eq!(verdict.retry_after_ms, 0);
        } else if verdict.retry_after_ms == NEVER_MS {
            prop_assert!(cost > quota.capacity());
        } else {
            let wait_ns = verdict.retry_after_ms * MS;
            prop_assert!(level.clone().take(now + wait_ns, &quota, cost).allowed);
            prop_assert!(!level.clone().take(now + wait_ns - MS, &quota, cost).allowed);
        }
        let whole = level.clone().take(now + verdict.reset_after_ms * MS, &quota, 0);
        prop_assert_eq!(whole.remaining, quota.capacity());
        prop_assert_eq!(whole.reset_after_ms, 0);
    }

    #[test]
    fn extreme_numbers_do_not_overflow(
        limit: u64, period_ms in 1..=MAX_PERIOD_MS, burst: u64, algorithm in any_algorithm(),
        script in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..20)
    ) {
        let quota = quota(limit, period_ms, burst, algorithm);
        let mut level = Level::default();
        for (now, cost, back) in script {
            if back {
                level.give_back(now, &quota, cost);
            } else {
                prop_assert!(level.take(now, &quota, cost).remaining <= quota.capacity());
            }
        }
    }
}
