//! Each algorithm by tables of time, verdict and fields.

use portcullis::serde_json::json;

use super::*;

/// One row: when, and what the client is told: `RateLimit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`, `Retry-After`.
type Row = (
    u64,
    bool,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

fn check(config: Value, rows: &[Row]) {
    let mut bench = Bench::new(config);
    for (number, (ms, passes, standard, remaining, reset, retry)) in rows.iter().enumerate() {
        bench.at(*ms);
        let (fate, exchange, refused) = bench.send(|exchange| exchange);
        let told = |name: &str| match fate {
            Fate::Passed => exchange.response_header(name).map(str::to_owned),
            Fate::Refused { .. } => refused
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value.clone()),
        };
        let got = (
            fate == Fate::Passed,
            told("ratelimit"),
            told("x-ratelimit-remaining"),
            told("x-ratelimit-reset"),
            told("retry-after"),
        );
        let wanted = (
            *passes,
            Some((*standard).to_owned()),
            Some((*remaining).to_owned()),
            Some((*reset).to_owned()),
            retry.map(str::to_owned),
        );
        assert_eq!(got, wanted, "row {number}, {ms} ms");
    }
}

#[test]
fn gcra_gives_the_burst_then_one_cell_each_interval() {
    check(
        json!({ "limit": 6, "period": "60s", "burst": 3 }),
        &[
            (0, true, "\"default\";r=2;t=10", "2", "10", None),
            (0, true, "\"default\";r=1;t=20", "1", "20", None),
            (0, true, "\"default\";r=0;t=30", "0", "30", None),
            (0, false, "\"default\";r=0;t=10", "0", "30", Some("10")),
            (9_999, false, "\"default\";r=0;t=1", "0", "21", Some("1")),
            (10_000, true, "\"default\";r=0;t=30", "0", "30", None),
            (10_000, false, "\"default\";r=0;t=10", "0", "30", Some("10")),
            // Two and a half intervals later: two cells, and half of the way to a third.
            (35_000, true, "\"default\";r=1;t=15", "1", "15", None),
            (35_000, true, "\"default\";r=0;t=25", "0", "25", None),
            (35_000, false, "\"default\";r=0;t=5", "0", "25", Some("5")),
            (600_000, true, "\"default\";r=2;t=10", "2", "10", None),
        ],
    );
}

#[test]
fn gcra_without_a_burst_of_its_own_gives_the_limit_at_once() {
    let mut bench = Bench::new(json!({ "limit": 10, "period": "1s" }));
    assert_eq!(bench.passing(20), 10);
    assert_eq!(bench.at(99).passing(5), 0);
    assert_eq!(bench.at(100).passing(5), 1);
    assert_eq!(bench.at(1_000).passing(20), 9);
}

#[test]
fn gcra_gives_no_more_than_the_rate_over_a_long_time() {
    let mut bench = Bench::new(json!({ "limit": 3, "period": "1s", "burst": 2 }));
    let passed: usize = (0..=3_000).map(|step| bench.at(step * 10).passing(1)).sum();
    // The burst of 2, then three a second for 30 s; a try each 10 ms comes up to 10 ms late for each.
    assert!((90..=92).contains(&passed), "{passed}");
}

#[test]
fn a_fixed_window_is_from_the_first_request_until_a_period_later() {
    check(
        json!({ "limit": 2, "period": "60s", "algorithm": "fixed-window" }),
        &[
            (5_000, true, "\"default\";r=1;t=60", "1", "60", None),
            (35_000, true, "\"default\";r=0;t=30", "0", "30", None),
            (35_001, false, "\"default\";r=0;t=30", "0", "30", Some("30")),
            (64_999, false, "\"default\";r=0;t=1", "0", "1", Some("1")),
            (65_000, true, "\"default\";r=1;t=60", "1", "60", None),
            (65_000, true, "\"default\";r=0;t=60", "0", "60", None),
            (124_999, false, "\"default\";r=0;t=1", "0", "1", Some("1")),
            (200_000, true, "\"default\";r=1;t=60", "1", "60", None),
        ],
    );
}

#[test]
fn a_sliding_window_weighs_the_window_before() {
    check(
        json!({ "limit": 4, "period": "60s", "algorithm": "sliding-window" }),
        &[
            (0, true, "\"default\";r=3;t=120", "3", "120", None),
            (0, true, "\"default\";r=2;t=120", "2", "120", None),
            (0, true, "\"default\";r=1;t=120", "1", "120", None),
            (0, true, "\"default\";r=0;t=120", "0", "120", None),
            // The window before counts whole at first; a quarter of it is gone after 15 s.
            (60_000, false, "\"default\";r=0;t=15", "0", "60", Some("15")),
            (74_999, false, "\"default\";r=0;t=1", "0", "46", Some("1")),
            (75_000, true, "\"default\";r=0;t=105", "0", "105", None),
            (75_000, false, "\"default\";r=0;t=15", "0", "105", Some("15")),
            (90_000, true, "\"default\";r=0;t=90", "0", "90", None),
            (400_000, true, "\"default\";r=3;t=120", "3", "120", None),
        ],
    );
}

#[test]
fn concurrency_gives_places_back_when_exchanges_end() {
    let mut bench = Bench::new(json!({ "limit": 2, "algorithm": "concurrency" }));
    assert_eq!(bench.passing(5), 2);
    assert_eq!(bench.at(3_600_000).passing(1), 0, "time gives no place back");
    bench.host.release_places();
    assert_eq!(bench.passing(5), 2);
}

#[test]
fn concurrency_tells_no_time_that_nobody_knows() {
    let mut bench = Bench::new(json!({ "limit": 1, "algorithm": "concurrency", "name": "slots" }));
    let names = [
        "ratelimit-policy",
        "ratelimit",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    let some = |text: &str| Some(text.to_owned());
    let policy = some("\"slots\";q=1;qu=\"concurrent-requests\"");
    assert_eq!(bench.told(&names), [policy.clone(), None, None, None, None, None]);
    let refused = [policy, some("\"slots\";r=0"), None, some("1"), some("0"), None];
    assert_eq!(bench.told(&names), refused);
}

#[test]
fn a_request_takes_what_it_costs() {
    let config = json!({
        "limit": 10, "period": "10s", "cost": 2, "cost-of-methods": { "POST": 5, "OPTIONS": 0 },
        "cost-from": "attribute:cells", "cost-max": 8,
    });
    for (method, told, remaining) in [
        ("GET", None, Some("8")),
        ("POST", None, Some("5")),
        ("OPTIONS", None, None),
        ("POST", Some("3"), Some("7")),
        ("OPTIONS", Some("1"), Some("9")),
        ("GET", Some("8"), Some("2")),
        ("GET", Some("1000000"), Some("2")),
        ("GET", Some("99999999999999999999999"), Some("2")),
        ("POST", Some("0"), Some("5")),
        ("POST", Some("-1"), Some("5")),
        ("POST", Some("many"), Some("5")),
        ("POST", Some(""), Some("5")),
    ] {
        let mut bench = Bench::new(config.clone());
        let (fate, exchange, _) = bench.send(|exchange| {
            let exchange = exchange.method(method);
            match told {
                Some(cells) => exchange.with_attribute("cells", cells),
                None => exchange,
            }
        });
        assert_eq!(fate, Fate::Passed);
        let found = exchange.response_header("x-ratelimit-remaining");
        assert_eq!(found, remaining, "{method} {told:?}");
    }
}

#[test]
fn a_request_that_costs_more_than_is_left_takes_nothing() {
    let mut bench = Bench::new(json!({ "limit": 5, "period": "5s", "cost-of-methods": { "POST": 3 } }));
    let post = |exchange: FakeExchange| exchange.method("POST");
    assert_eq!(bench.send(post).0, Fate::Passed);
    let (fate, _, headers) = bench.send(post);
    assert_eq!(fate, limited());
    let told = |name: &str| {
        headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        (told("ratelimit"), told("retry-after")),
        (Some("\"default\";r=2;t=1"), Some("1"))
    );
    assert_eq!(bench.passing(5), 2);
}
