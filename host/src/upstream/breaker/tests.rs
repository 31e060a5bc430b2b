//! The breaker as its users see it: paused time, tables of outcomes, and many threads at once.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::clock;

fn now_ms() -> u64 {
    clock::monotonic_ns() / 1_000_000
}

fn rules() -> BreakerRules {
    BreakerRules {
        consecutive: None,
        error_percent: None,
        slow_percent: None,
        slow_after: Duration::from_millis(500),
        min_requests: 10,
        window: Duration::from_secs(10),
        pauses: Pauses {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(3),
            trials: 3,
            successes: 3,
        },
    }
}

const FAST: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_millis(500);

/// One exchange from its arrival to its end.
fn exchange(
    breaker: &Breaker,
    rules: &BreakerRules,
    verdict: Verdict,
    took: Duration,
) -> Result<Option<Transition>, Refused> {
    let (passage, _) = breaker.admit(rules, now_ms)?;
    Ok(breaker.ended(passage, verdict, took, rules, now_ms))
}

/// Exchanges as letters: `.` passed, `x` failed, `s` passed slowly, `-` void. Gives the first transition with its place.
fn play(breaker: &Breaker, rules: &BreakerRules, letters: &str) -> Option<(usize, Transition)> {
    letters.chars().enumerate().find_map(|(at, letter)| {
        let (verdict, took) = match letter {
            'x' => (Verdict::Failed, FAST),
            's' => (Verdict::Passed, SLOW),
            '-' => (Verdict::Void, FAST),
            _ => (Verdict::Passed, FAST),
        };
        exchange(breaker, rules, verdict, took)
            .unwrap()
            .map(|change| (at, change))
    })
}

#[tokio::test(start_paused = true)]
async fn it_opens_at_the_outcome_that_is_too_much_and_not_before() {
    let row = BreakerRules {
        consecutive: Some(3),
        ..rules()
    };
    let errors = BreakerRules {
        error_percent: Some(50),
        ..rules()
    };
    let slow = BreakerRules {
        slow_percent: Some(30),
        ..rules()
    };
    let both = BreakerRules {
        consecutive: Some(3),
        error_percent: Some(50),
        ..rules()
    };
    use Cause::{Consecutive, ErrorRatio, SlowRatio};
    #[rustfmt::skip]
    let table = [
        (&row, "xx.xx.xx", None),
        (&row, ".xxx", Some((3, Consecutive))),
        // A client that leaves neither fails nor heals anything.
        (&row, "x-x--x", Some((5, Consecutive))),
        (&row, "ssssssssssss", None),
        // The window must hold enough.
        (&errors, "xxxxxxxxx", None),
        (&errors, "xxxxxxxxxx", Some((9, ErrorRatio))),
        (&errors, "x.x.x.x.x.x", Some((10, ErrorRatio))),
        (&errors, "......xxxxx", None),
        (&errors, "......xxxxxx", Some((11, ErrorRatio))),
        // Slow ones count where they are watched, and nowhere else.
        (&errors, "ssssssssssss", None),
        (&slow, "xxxxxxxxxxxx", None),
        (&slow, ".......ss.s", None),
        (&slow, ".......sss", Some((9, SlowRatio))),
        (&both, "xxx", Some((2, Consecutive))),
        (&both, "xx.xx.xx.xx", Some((9, ErrorRatio))),
    ];
    for (rules, letters, want) in table {
        let breaker = Breaker::default();
        let want = want.map(|(at, cause)| (at, Transition::Opened(cause, Duration::from_secs(1))));
        assert_eq!(play(&breaker, rules, letters), want, "{letters}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_lies_behind_the_window_does_not_open_it() {
    let (breaker, rules) = (
        Breaker::default(),
        BreakerRules {
            error_percent: Some(50),
            ..rules()
        },
    );
    assert_eq!(play(&breaker, &rules, "xxxxxxxxx"), None);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(play(&breaker, &rules, "x........"), None);
}

#[tokio::test(start_paused = true)]
async fn open_then_half_open_with_its_quota_then_closed() {
    let (breaker, rules) = (
        Breaker::default(),
        BreakerRules {
            consecutive: Some(2),
            ..rules()
        },
    );
    play(&breaker, &rules, "xx").unwrap();
    tokio::time::advance(Duration::from_millis(400)).await;
    assert_eq!(breaker.state(now_ms()), BreakerState::Open);
    let refused = breaker.admit(&rules, now_ms).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_millis(600));
    assert!(breaker.ask(&rules, now_ms).is_err());

    tokio::time::advance(refused.retry_after).await;
    assert!(breaker.ask(&rules, now_ms).is_ok());
    assert_eq!(breaker.state(now_ms()), BreakerState::HalfOpen);
    let (trial, change) = breaker.admit(&rules, now_ms).unwrap();
    assert_eq!(change, Some(Transition::HalfOpened));
    let others: Vec<_> = (0..2).map(|_| breaker.admit(&rules, now_ms).unwrap()).collect();
    assert!(others.iter().all(|(_, change)| change.is_none()));
    assert!(breaker.admit(&rules, now_ms).is_err() && breaker.ask(&rules, now_ms).is_err());

    // The client of one of them leaves: another may be tried.
    assert_eq!(breaker.ended(trial, Verdict::Void, FAST, &rules, now_ms), None);
    let (trial, _) = breaker.admit(&rules, now_ms).unwrap();
    assert_eq!(breaker.ended(trial, Verdict::Passed, FAST, &rules, now_ms), None);
    assert_eq!(
        breaker.ended(others[0].0, Verdict::Passed, FAST, &rules, now_ms),
        None
    );
    let last = breaker.ended(others[1].0, Verdict::Passed, FAST, &rules, now_ms);
    assert_eq!(last, Some(Transition::Closed));
    assert_eq!(breaker.state(now_ms()), BreakerState::Closed);
    // It starts from the beginning.
    assert_eq!(play(&breaker, &rules, "x.x."), None);
    let opened = Transition::Opened(Cause::Consecutive, Duration::from_secs(1));
    assert_eq!(play(&breaker, &rules, "xx"), Some((1, opened)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_trial_opens_it_for_longer_and_late_ends_change_nothing() {
    let (breaker, rules) = (
        Breaker::default(),
        BreakerRules {
            consecutive: Some(1),
            slow_percent: Some(50),
            ..rules()
        },
    );
    let (early, _) = breaker.admit(&rules, now_ms).unwrap();
    play(&breaker, &rules, "x").unwrap();
    let mut pauses = vec![1];
    for (verdict, took) in [
        (Verdict::Failed, FAST),
        (Verdict::Passed, SLOW),
        (Verdict::Failed, FAST),
    ] {
        tokio::time::advance(Duration::from_secs(*pauses.last().unwrap())).await;
        let (trial, _) = breaker.admit(&rules, now_ms).unwrap();
        let (late, _) = breaker.admit(&rules, now_ms).unwrap();
        match breaker.ended(trial, verdict, took, &rules, now_ms) {
            Some(Transition::Opened(Cause::Trial, pause)) => pauses.push(pause.as_secs()),
            other => panic!("{other:?}"),
        }
        assert_eq!(breaker.ended(late, Verdict::Passed, FAST, &rules, now_ms), None);
        assert_eq!(breaker.ended(early, Verdict::Failed, FAST, &rules, now_ms), None);
        assert_eq!(breaker.state(now_ms()), BreakerState::Open);
    }
    assert_eq!(pauses, [1, 2, 3, 3]);
}

#[test]
fn threads_are_let_through_exactly_as_often_as_the_quota_says() {
    for _ in 0..50 {
        let (breaker, rules) = (
            Breaker::default(),
            BreakerRules {
                consecutive: Some(1),
                ..rules()
            },
        );
        breaker
            .ended(Passage::Free, Verdict::Failed, FAST, &rules, || 0)
            .unwrap();
        let (through, opened) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if let Ok((_, change)) = breaker.admit(&rules, || 1_000) {
                            through.fetch_add(1, Ordering::Relaxed);
                            opened.fetch_add(usize::from(change.is_some()), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!((through.into_inner(), opened.into_inner()), (3, 1));
    }
}
