//! Several limits at once, shadows, and what is counted.

use portcullis::serde_json::{self, json};

use super::*;

#[test]
fn all_limits_must_allow_and_the_first_that_refuses_is_named() {
    let mut bench = Bench::new(json!({ "limits": [
        { "name": "second", "limit": 2, "period": "1s" },
        { "name": "hour", "limit": 3, "period": "1h" },
    ] }));
    assert_eq!(bench.passing(2), 2);
    let mut refusal_of = |ms: u64| {
        let mut exchange = bench.at(ms).host.exchange();
        let action = exchange.on_request(&mut bench.plugin);
        let refusal = action.refusal().map(|refusal| refusal.extra().to_owned());
        refusal.map(|extra| serde_json::from_str::<Value>(&extra).unwrap())
    };
    let refused = |name: &str, retry: u64| Some(json!({ "violated-policies": [name], "retry-after": retry }));
    assert_eq!(refusal_of(0), refused("second", 1));
    assert_eq!(refusal_of(1_000), None);
    assert_eq!(refusal_of(1_000), refused("hour", 1_199));
    // Refused by both: the first of the list is named.
    assert_eq!(refusal_of(1_000), refused("hour", 1_199));
    assert_eq!(bench.counted("second", "allowed"), 3);
    assert_eq!(bench.counted("hour", "allowed"), 3);
    assert_eq!(
        (
            bench.counted("second", "refused"),
            bench.counted("hour", "refused")
        ),
        (1, 2)
    );
}

#[test]
fn what_is_taken_for_a_request_that_is_refused_is_given_back() {
    for algorithm in ["gcra", "fixed-window", "sliding-window"] {
        let mut bench = Bench::new(json!({ "period": "1h", "algorithm": algorithm, "limits": [
            { "name": "wide", "key": "global", "limit": 3 },
            { "name": "shadow", "key": "global", "limit": 3, "shadow": true },
            { "name": "narrow", "key": "client-ip", "limit": 1 },
        ] }));
        assert_eq!(bench.passing(10), 1);
        for client in ["192.0.2.2", "192.0.2.3"] {
            assert_eq!(bench.send(|x| x.client_ip(client)).0, Fate::Passed, "{algorithm}");
        }
        assert_eq!(bench.send(|x| x.client_ip("192.0.2.4")).0, limited());
        assert_eq!(
            (bench.counted("wide", "allowed"), bench.counted("wide", "refused")),
            (3, 1)
        );
        assert_eq!(
            (
                bench.counted("shadow", "allowed"),
                bench.counted("shadow", "shadowed")
            ),
            (3, 0)
        );
        assert_eq!(bench.counted("narrow", "refused"), 9);
    }
}

#[test]
fn limits_of_requests_at_the_same_time_are_asked_last() {
    let mut bench = Bench::new(json!({ "limits": [
        { "name": "slots", "algorithm": "concurrency", "limit": 2 },
        { "name": "rate", "limit": 3, "period": "1h" },
    ] }));
    assert_eq!(bench.passing(5), 2);
    assert_eq!(bench.counted("slots", "refused"), 3);
    bench.host.release_places();
    assert_eq!(bench.passing(5), 1, "refused requests took nothing of the rate");
    assert_eq!(bench.counted("rate", "refused"), 4);
    bench.host.release_places();
    bench.at(3_600_000);
    assert_eq!(
        bench.passing(5),
        2,
        "requests that the rate refused held no place"
    );
}

#[test]
fn what_a_limit_does_not_say_stands_beside_the_list() {
    let mut bench = Bench::new(json!({
        "key": "header:x-key", "limit": 1, "period": "1h",
        "limits": [{ "name": "own" }, { "name": "all", "key": "global", "limit": 3 }],
    }));
    for key in ["a", "b", "c"] {
        assert_eq!(bench.send(|x| x.header("x-key", key)).0, Fate::Passed);
    }
    assert_eq!(bench.send(|x| x.header("x-key", "a")).0, limited());
    assert_eq!(bench.send(|x| x.header("x-key", "d")).0, limited());
    assert_eq!(
        (bench.counted("own", "refused"), bench.counted("all", "refused")),
        (1, 1)
    );
}

#[test]
fn a_shadow_refuses_nothing_and_counts_what_it_would_have_refused() {
    let mut bench = Bench::new(json!({ "shadow": true, "limits": [
        { "name": "rate", "limit": 2, "period": "1h" },
        { "name": "slots", "algorithm": "concurrency", "limit": 3 },
        { "name": "own", "key": "header:x-key", "absent": "refuse", "limit": 1, "period": "1h" },
    ] }));
    assert_eq!(bench.passing(5), 5);
    let counted = |limit: &str| (bench.counted(limit, "allowed"), bench.counted(limit, "shadowed"));
    assert_eq!(
        (counted("rate"), counted("slots"), counted("own")),
        ((2, 3), (3, 2), (0, 5))
    );
    let names = [
        "ratelimit",
        "ratelimit-policy",
        "x-ratelimit-limit",
        "retry-after",
    ];
    assert_eq!(
        bench.told(&names),
        [None, None, None, None],
        "clients do not learn of shadows"
    );
}

#[test]
fn an_attribute_shows_which_limits_refused_where_that_is_granted() {
    let mut bench = Bench::new(json!({ "period": "1h", "limits": [
        { "name": "a", "limit": 1, "shadow": true },
        { "name": "b", "limit": 1, "shadow": true },
        { "name": "c", "limit": 2 },
    ] }));
    let mut seen = |grant: &str| {
        let (_, exchange, _) = bench.send(|x| x.grant(grant));
        let attribute = |key: &str| exchange.attribute(key).map(str::to_owned);
        (attribute("limit.shadow"), attribute("limit.refused"))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(seen("limit."), (None, None));
    assert_eq!(seen("limit."), (some("a,b"), None));
    assert_eq!(seen("limit."), (None, some("c")));
    assert_eq!(seen("auth."), (None, None));
}

#[test]
fn what_shadows_and_limits_refuse_is_logged_at_debug_only() {
    let mut bench = Bench::new(json!({ "period": "1h", "limits": [
        { "name": "a", "limit": 1, "shadow": true },
        { "name": "b", "limit": 2 },
    ] }));
    bench.passing(3);
    let lines = bench.host.lines();
    assert_eq!(lines.len(), 2);
    assert!(
        lines.iter().all(|line| line.level == log::Level::Debug),
        "{lines:?}"
    );
    bench.host.log_from(log::Level::Info);
    bench.passing(3);
    assert_eq!(bench.host.lines().len(), 2);
}

#[test]
fn a_thousand_requests_get_the_limit_and_not_one_more() {
    for algorithm in ["gcra", "fixed-window", "sliding-window", "concurrency"] {
        let period = (algorithm != "concurrency").then_some("1h");
        let config = match period {
            Some(period) => json!({ "limit": 137, "algorithm": algorithm, "period": period }),
            None => json!({ "limit": 137, "algorithm": algorithm }),
        };
        let mut bench = Bench::new(config);
        assert_eq!(bench.passing(1_000), 137, "{algorithm}");
        assert_eq!(
            (
                bench.counted("default", "allowed"),
                bench.counted("default", "refused")
            ),
            (137, 863)
        );
    }
}
