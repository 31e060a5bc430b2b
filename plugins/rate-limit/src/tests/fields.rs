//! The fields that tell clients their limits.

use portcullis::serde_json::json;

use super::*;

const NAMES: [&str; 6] = [
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
];

fn some(texts: [&str; 6]) -> Vec<Option<String>> {
    texts
        .iter()
        .map(|text| Some((*text).to_owned()).filter(|text| !text.is_empty()))
        .collect()
}

#[test]
fn every_answer_tells_the_limit() {
    let mut bench = Bench::new(json!({ "name": "orders", "limit": 2, "period": "1m" }));
    let policy = "\"orders\";q=2;w=60";
    assert_eq!(
        bench.told(&NAMES),
        some([policy, "\"orders\";r=1;t=30", "2", "1", "30", ""])
    );
    assert_eq!(
        bench.told(&NAMES),
        some([policy, "\"orders\";r=0;t=60", "2", "0", "60", ""])
    );
    assert_eq!(
        bench.told(&NAMES),
        some([policy, "\"orders\";r=0;t=30", "2", "0", "60", "30"])
    );
}

#[test]
fn the_fields_are_those_that_are_wanted() {
    for (headers, standard, legacy) in [
        ("all", true, true),
        ("standard", true, false),
        ("legacy", false, true),
        ("none", false, false),
    ] {
        let mut bench = Bench::new(json!({ "limit": 1, "period": "1s", "headers": headers }));
        for retry in [false, true] {
            let told: Vec<bool> = bench.told(&NAMES).iter().map(Option::is_some).collect();
            assert_eq!(
                told,
                [standard, standard, legacy, legacy, legacy, retry],
                "{headers}"
            );
        }
    }
}

#[test]
fn several_limits_are_a_list_and_the_tightest_is_told_in_the_legacy_fields() {
    let mut bench = Bench::new(json!({ "limits": [
        { "name": "hour", "limit": 3, "period": "1h", "algorithm": "fixed-window" },
        { "name": "slots", "limit": 9, "algorithm": "concurrency" },
        { "name": "second", "limit": 4, "period": "2s", "burst": 2 },
    ] }));
    let policy = "\"hour\";q=3;w=3600, \"second\";q=4;w=2;portcullis-burst=2, \"slots\";q=9;qu=\"concurrent-requests\"";
    let items = "\"hour\";r=2;t=3600, \"second\";r=1;t=1";
    assert_eq!(bench.told(&NAMES), some([policy, items, "2", "1", "1", ""]));
    bench.told(&NAMES);
    assert_eq!(
        bench.told(&NAMES),
        some([policy, "\"second\";r=0;t=1", "2", "0", "1", "1"])
    );
    bench.at(500);
    let items = "\"hour\";r=0;t=3600, \"second\";r=0;t=1";
    assert_eq!(bench.told(&NAMES), some([policy, items, "3", "0", "3600", ""]));
    assert_eq!(
        bench.told(&NAMES),
        some([policy, "\"hour\";r=0;t=3600", "3", "0", "3600", "3600"])
    );
}

#[test]
fn what_the_upstream_says_of_its_own_limits_stays() {
    let mut bench = Bench::new(json!({ "limit": 2, "period": "1s" }));
    let mut exchange = bench.host.exchange();
    exchange.on_request(&mut bench.plugin);
    let mut exchange = exchange
        .response(200)
        .with_response_header("ratelimit-policy", "\"origin\";q=5")
        .with_response_header("ratelimit", "\"origin\";r=1")
        .with_response_header("x-ratelimit-limit", "5");
    exchange.pass_response();
    assert_eq!(
        exchange.response_headers("ratelimit-policy"),
        ["\"origin\";q=5", "\"default\";q=2;w=1"]
    );
    assert_eq!(
        exchange.response_headers("ratelimit"),
        ["\"origin\";r=1", "\"default\";r=1;t=1"]
    );
    assert_eq!(exchange.response_headers("x-ratelimit-limit"), ["2"]);
}
