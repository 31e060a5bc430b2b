//! Waiting in place of a refusal.

use portcullis::serde_json::json;

use super::*;

/// The wait that a plain request gets, in milliseconds; none if it is refused.
fn wait(bench: &mut Bench) -> Option<u64> {
    let (fate, exchange, _) = bench.send(|exchange| exchange);
    let wait = exchange
        .delay()
        .map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap());
    (fate == Fate::Passed).then_some(wait)
}

#[test]
fn requests_wait_for_the_cells_that_they_took_ahead() {
    let mut bench =
        Bench::new(json!({ "limit": 10, "period": "1s", "burst": 2, "delay": { "max": "250ms" } }));
    for (ms, waits) in [
        (0, Some(0)),
        (0, Some(0)),
        (0, Some(100)),
        (0, Some(200)),
        (0, None),
        (49, None),
        (50, Some(250)),
        (50, None),
        (150, Some(250)),
        (5_000, Some(0)),
    ] {
        assert_eq!(wait(bench.at(ms)), waits, "{ms} ms");
    }
    let counted = |outcome| bench.counted("default", outcome);
    assert_eq!(
        (counted("allowed"), counted("delayed"), counted("refused")),
        (3, 4, 3)
    );
}

#[test]
fn a_wait_shorter_than_an_interval_is_possible() {
    let mut bench = Bench::new(json!({ "limit": 1, "period": "1s", "delay": { "max": "400ms" } }));
    assert_eq!(wait(&mut bench), Some(0));
    assert_eq!(wait(bench.at(599)), None);
    assert_eq!(wait(bench.at(600)), Some(400));
    assert_eq!(wait(bench.at(1_000)), None, "the cell of 1 s is taken");
    assert_eq!(wait(bench.at(1_600)), Some(400));
}

#[test]
fn what_the_burst_has_room_for_does_not_wait() {
    for (limit, burst) in [(3, 1), (3, 2), (7, 5), (600, 7)] {
        let mut bench = Bench::new(
            json!({ "limit": limit, "period": "1s", "burst": burst, "delay": { "max": "900ms" } }),
        );
        for request in 0..burst {
            assert_eq!(wait(&mut bench), Some(0), "{limit} {burst} {request}");
        }
        // An interval, rounded up by less than 2 ms.
        let waits = wait(&mut bench).unwrap();
        assert!(
            waits * limit >= 1_000 && (waits - 2) * limit < 1_000,
            "{limit} {waits}"
        );
    }
}

#[test]
fn a_refusal_tells_when_no_wait_is_needed() {
    let mut bench = Bench::new(json!({ "limit": 1, "period": "10s", "delay": { "max": "100ms" } }));
    let names = ["ratelimit", "x-ratelimit-reset", "retry-after"];
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        bench.told(&names),
        [some("\"default\";r=0;t=10"), some("10"), None]
    );
    bench.at(5_000);
    assert_eq!(
        bench.told(&names),
        [some("\"default\";r=0;t=5"), some("5"), some("5")]
    );
    assert_eq!(
        bench.told(&names),
        [some("\"default\";r=0;t=5"), some("5"), some("5")]
    );
    bench.at(9_950);
    assert_eq!(
        bench.told(&names),
        [some("\"default\";r=0;t=11"), some("11"), None]
    );
}

#[test]
fn waiting_lets_no_more_pass_than_the_algorithm_promises() {
    for (limit, period_ms, burst, max_ms) in [
        (10, 1_000, 3, 250),
        (3, 1_000, 1, 900),
        (7, 1_000, 2, 500),
        (1, 60, 1, 59),
    ] {
        let mut bench = Bench::new(json!({
            "limit": limit, "period": format!("{period_ms}ms"), "burst": burst, "delay": { "max": format!("{max_ms}ms") },
        }));
        // Requests come in bunches; what counts is when they go on.
        let mut passed_at: Vec<u64> = Vec::new();
        for step in 0..600_u64 {
            let ms = step * 17;
            for _ in 0..(step % 5) {
                let waits = wait(bench.at(ms));
                assert!(waits.is_none_or(|waits| waits <= max_ms), "{waits:?}");
                passed_at.extend(waits.map(|waits| ms + waits));
            }
        }
        assert!(passed_at.is_sorted(), "in the order in which they came");
        assert!(passed_at.len() >= 30, "{}", passed_at.len());
        for (first, from) in passed_at.iter().enumerate() {
            for (last, to) in passed_at.iter().enumerate().skip(first) {
                let passed = u64::try_from(last - first + 1).unwrap();
                // Waits are rounded up by less than 2 ms, each for itself.
                let promised = burst + (to - from + 2) * limit / period_ms;
                assert!(
                    passed <= promised,
                    "{passed} from {from} to {to} ms, promised {promised}"
                );
            }
        }
    }
}

#[test]
fn a_wait_that_the_exchange_has_no_time_for_is_a_refusal() {
    // An exchange of the fake host lasts for a second.
    let mut bench = Bench::new(json!({ "limits": [
        { "name": "wide", "limit": 100, "period": "1h" },
        { "name": "paced", "limit": 1, "period": "10s", "delay": { "max": "1m" } },
    ] }));
    assert_eq!(wait(&mut bench), Some(0));
    let names = ["ratelimit", "retry-after"];
    assert_eq!(
        bench.told(&names),
        [Some("\"paced\";r=0;t=10".to_owned()), Some("10".to_owned())]
    );
    assert_eq!(wait(bench.at(9_500)), Some(500), "what was refused took nothing");
    assert_eq!(
        (
            bench.counted("paced", "delayed"),
            bench.counted("paced", "refused")
        ),
        (1, 1)
    );
    assert_eq!(bench.counted("wide", "allowed"), 2);
}

#[test]
fn the_longest_wait_of_several_limits_is_waited() {
    let mut bench = Bench::new(json!({ "delay": { "max": "900ms" }, "limits": [
        { "name": "fast", "limit": 10, "period": "1s", "burst": 1 },
        { "name": "slow", "limit": 2, "period": "1s", "burst": 1 },
    ] }));
    assert_eq!(wait(&mut bench), Some(0));
    assert_eq!(wait(&mut bench), Some(500));
    assert_eq!(wait(&mut bench), None);
    assert_eq!(wait(bench.at(100)), Some(900));
}

#[test]
fn a_shadow_makes_nobody_wait() {
    let mut bench =
        Bench::new(json!({ "limit": 1, "period": "1s", "shadow": true, "delay": { "max": "500ms" } }));
    assert_eq!(wait(&mut bench), Some(0));
    assert_eq!(wait(bench.at(700)), Some(0));
    assert_eq!(wait(&mut bench), Some(0));
    assert_eq!(
        (
            bench.counted("default", "allowed"),
            bench.counted("default", "shadowed")
        ),
        (2, 1)
    );
}
