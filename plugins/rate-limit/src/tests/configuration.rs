//! What a configuration may say.

use portcullis::serde_json::json;
use portcullis::testing;

use super::*;

#[test]
fn a_bad_configuration_is_refused_with_the_key_and_what_is_expected() {
    let many: Vec<Value> = (0..17).map(|n| json!({ "name": format!("n{n}") })).collect();
    for (config, told) in [
        (json!({}), "`limit` is missing"),
        (json!({ "limit": 1 }), "`period` is missing"),
        (
            json!({ "limit": 0, "period": "1s" }),
            "`limit` is not between 1 and",
        ),
        (
            json!({ "limit": 1_000_000_000_000_000_u64, "period": "1s" }),
            "`limit` is not between 1 and",
        ),
        (
            json!({ "limit": 1, "period": "0s" }),
            "`period` is not a number of whole milliseconds",
        ),
        (
            json!({ "limit": 1, "period": "1500us" }),
            "`period` is not a number of whole milliseconds",
        ),
        (
            json!({ "limit": 1, "period": "87649h" }),
            "`period` is not a number of whole milliseconds",
        ),
        (json!({ "limit": 1, "period": "1d" }), "`1d` is no span of time"),
        (json!({ "limit": 1, "period": 5 }), "a span of time"),
        (
            json!({ "limit": 1, "period": "1s", "burst": 0 }),
            "`burst` is not between 1 and",
        ),
        (
            json!({ "limit": 1, "period": "1s", "burst": 2, "algorithm": "fixed-window" }),
            "`burst` is only for",
        ),
        (
            json!({ "limit": 1, "period": "1s", "delay": { "max": "1s" }, "algorithm": "sliding-window" }),
            "`delay` is only for",
        ),
        (
            json!({ "limit": 1, "period": "1s", "delay": { "max": "0s" } }),
            "`delay.max` is not",
        ),
        (
            json!({ "limit": 1, "period": "1s", "delay": { "max": "2h" } }),
            "`delay.max` is not",
        ),
        (
            json!({ "limit": 1, "period": "1s", "delay": {} }),
            "missing field `max`",
        ),
        (
            json!({ "limit": 1, "period": "1s", "algorithm": "concurrency" }),
            "`period` is not for",
        ),
        (
            json!({ "limit": 1, "cost": 1, "algorithm": "concurrency" }),
            "`cost` is not for",
        ),
        (
            json!({ "limit": 1, "period": "1s", "algorithm": "leaky" }),
            "unknown variant `leaky`",
        ),
        (
            json!({ "limit": 1, "period": "1s", "absent": "pass" }),
            "unknown variant `pass`",
        ),
        (
            json!({ "limit": 1, "period": "1s", "headers": "both" }),
            "unknown variant `both`",
        ),
        (json!({ "limit": 1, "period": "1s", "cost": 0 }), "`cost` is 0"),
        (
            json!({ "limit": 5, "period": "1s", "cost": 6 }),
            "`cost` is 6, but only 5 cells",
        ),
        (
            json!({ "limit": 5, "period": "1s", "burst": 2, "cost": 3 }),
            "`cost` is 3, but only 2 cells",
        ),
        (
            json!({ "limit": 5, "period": "1s", "cost-of-methods": { "PUT": 6 } }),
            "`cost-of-methods.PUT` is 6",
        ),
        (
            json!({ "limit": 5, "period": "1s", "cost-from": "x-cost" }),
            "`cost-from` is \"x-cost\": use `header:NAME`",
        ),
        (
            json!({ "limit": 5, "period": "1s", "cost-from": "header:x", "cost-max": 6 }),
            "`cost-max` is 6",
        ),
        (
            json!({ "limit": 5, "period": "1s", "cost-max": 2 }),
            "`cost-max` is only for `cost-from`",
        ),
        (
            json!({ "limit": 5, "period": "1s", "name": "a b" }),
            "`name` is \"a b\"",
        ),
        (
            json!({ "limit": 5, "period": "1s", "name": "" }),
            "`name` is \"\"",
        ),
        (
            json!({ "limit": 5, "period": "1s", "key": "ip" }),
            "`key` has \"ip\": use `client-ip`",
        ),
        (json!({ "limit": 5, "period": "1s", "key": [] }), "`key` is empty"),
        (
            json!({ "limit": 5, "period": "1s", "rate": 1 }),
            "unknown field `rate`",
        ),
        (
            json!({ "limits": [{ "limit": 5 }] }),
            "limits[0]: `period` is missing",
        ),
        (
            json!({ "period": "1s", "limits": [{ "limit": 5 }, { "limit": 6 }] }),
            "limits[1]: the name `default` is taken",
        ),
        (
            json!({ "period": "1s", "limits": [{ "limit": 5, "limits": [] }] }),
            "unknown field `limits`",
        ),
        (
            json!({ "period": "1s", "limit": 1, "limits": many }),
            "`limits` has 17 limits",
        ),
    ] {
        let error = testing::configure::<RateLimit>(config.clone()).unwrap_err();
        assert!(error.contains(told), "{config}: {error}");
    }
}

#[test]
fn the_largest_numbers_are_possible() {
    let cells = 999_999_999_999_999_u64;
    let mut bench = Bench::new(json!({
        "limit": cells, "burst": cells, "period": "87648h", "cost": cells, "delay": { "max": "1h" },
    }));
    assert!(bench.passes());
    assert!(!bench.passes());
    let mut bench = Bench::new(json!({ "limit": cells, "period": "1ms", "delay": { "max": "1h" } }));
    assert!(bench.passes());
}
