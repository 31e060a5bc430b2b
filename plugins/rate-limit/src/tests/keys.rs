//! What is counted apart, and what becomes of requests that lack a part of the key.

use portcullis::serde_json::json;

use super::*;

type Build = fn(FakeExchange) -> FakeExchange;

/// Whether the second request passes where one is allowed.
fn apart(key: &Value, first: Build, second: Build) -> bool {
    let mut bench = Bench::new(json!({ "key": key, "limit": 1, "period": "1h" }));
    assert_eq!(bench.send(first).0, Fate::Passed);
    bench.send(second).0 == Fate::Passed
}

#[test]
fn requests_with_equal_keys_count_together_and_others_apart() {
    let cases: [(Value, Build, Build, bool); 28] = [
        (
            json!("client-ip"),
            |x| x.client_ip("192.0.2.1"),
            |x| x.client_ip("192.0.2.1"),
            false,
        ),
        (
            json!("client-ip"),
            |x| x.client_ip("192.0.2.1"),
            |x| x.client_ip("192.0.2.2"),
            true,
        ),
        (
            json!("client-ip/24/64"),
            |x| x.client_ip("192.0.2.1"),
            |x| x.client_ip("192.0.2.2"),
            false,
        ),
        (
            json!("client-ip/24/64"),
            |x| x.client_ip("192.0.2.1"),
            |x| x.client_ip("192.0.3.1"),
            true,
        ),
        (
            json!("client-ip/24/64"),
            |x| x.client_ip("2001:db8::1"),
            |x| x.client_ip("2001:db8::2"),
            false,
        ),
        (
            json!("client-ip/24/64"),
            |x| x.client_ip("2001:db8::1"),
            |x| x.client_ip("2001:db8:1::1"),
            true,
        ),
        (
            json!("header:x-key"),
            |x| x.header("x-key", "a"),
            |x| x.header("X-Key", "a"),
            false,
        ),
        (
            json!("header:X-Key"),
            |x| x.header("x-key", "a"),
            |x| x.header("x-key", "b"),
            true,
        ),
        (
            json!("header:x-key"),
            |x| x.header("x-key", "a").header("x-key", "b"),
            |x| x.header("x-key", "a"),
            false,
        ),
        (
            json!("attribute:auth.subject"),
            |x| x.with_attribute("auth.subject", "a"),
            |x| x.with_attribute("auth.subject", "a").client_ip("192.0.2.2"),
            false,
        ),
        (
            json!("attribute:auth.subject"),
            |x| x.with_attribute("auth.subject", "a"),
            |x| x.with_attribute("auth.subject", "b"),
            true,
        ),
        (
            json!("route"),
            |x| x.route("a"),
            |x| x.route("a").target("/other"),
            false,
        ),
        (json!("route"), |x| x.route("a"), |x| x.route("b"), true),
        (json!("method"), |x| x.method("GET"), |x| x.method("PUT"), true),
        (
            json!("path"),
            |x| x.target("/a?x=1"),
            |x| x.target("/a?x=2"),
            false,
        ),
        (json!("path"), |x| x.target("/a"), |x| x.target("/b"), true),
        (
            json!("global"),
            |x| x.client_ip("192.0.2.1"),
            |x| x.client_ip("192.0.2.2").route("b"),
            false,
        ),
        (
            json!(["global", "route"]),
            |x| x.route("a"),
            |x| x.route("b"),
            true,
        ),
        (
            json!(["client-ip", "route"]),
            |x| x.route("a"),
            |x| x.route("a"),
            false,
        ),
        (
            json!(["client-ip", "route"]),
            |x| x.route("a"),
            |x| x.route("b"),
            true,
        ),
        (
            json!(["header:a", "header:b"]),
            |x| x.header("a", "1").header("b", "2"),
            |x| x.header("a", "1").header("b", "3"),
            true,
        ),
        // No text of one part passes for two.
        (
            json!(["header:a", "header:b"]),
            |x| x.header("a", "1").header("b", "2=3"),
            |x| x.header("a", "1=2").header("b", "3"),
            true,
        ),
        (
            json!(["header:a", "header:b", "header:c"]),
            |x| x.header("a", "1-").header("c", "2"),
            |x| x.header("a", "1").header("c", "2"),
            true,
        ),
        (
            json!(["header:a", "header:b"]),
            |x| x.header("a", "1").header("b", "1=1:1"),
            |x| x.header("a", "1=1:1").header("b", "1"),
            true,
        ),
        (
            json!(["header:a", "header:b"]),
            |x| x.header("a", "1"),
            |x| x.header("b", "1"),
            true,
        ),
        // Those who lack the value are one, and nobody else is like them.
        (json!("header:x-key"), |x| x, |x| x.client_ip("192.0.2.2"), false),
        (json!("header:x-key"), |x| x, |x| x.header("x-key", ""), false),
        (json!("header:x-key"), |x| x, |x| x.header("x-key", "-"), true),
    ];
    for (number, (key, first, second, wanted)) in cases.into_iter().enumerate() {
        assert_eq!(apart(&key, first, second), wanted, "case {number}: {key}");
    }
}

#[test]
fn the_client_s_address_is_the_key_when_none_is_given() {
    let mut bench = Bench::new(json!({ "limit": 1, "period": "1h" }));
    assert_eq!(bench.passing(2), 1);
    assert_eq!(bench.send(|x| x.client_ip("192.0.2.7")).0, Fate::Passed);
}

#[test]
fn a_limit_that_skips_is_not_for_requests_without_its_key() {
    let mut bench =
        Bench::new(json!({ "key": "header:x-key", "absent": "skip", "limit": 1, "period": "1h" }));
    assert_eq!(bench.passing(5), 5);
    let told = bench.told(&["ratelimit", "ratelimit-policy", "x-ratelimit-limit"]);
    assert_eq!(told, [None, None, None]);
    let keyed = |bench: &mut Bench| bench.send(|x| x.header("x-key", "a")).0;
    assert_eq!(keyed(&mut bench), Fate::Passed);
    assert_eq!(keyed(&mut bench), limited());
    assert_eq!(bench.counted("default", "allowed"), 1);
}

#[test]
fn a_limit_that_insists_refuses_requests_without_its_key() {
    let mut bench = Bench::new(json!({
        "limits": [
            { "name": "all", "key": "global", "limit": 2 },
            { "name": "own", "key": ["route", "header:x-key"], "absent": "refuse", "limit": 2 },
        ],
        "period": "1h",
    }));
    for _ in 0..5 {
        let (fate, _, headers) = bench.send(|x| x);
        let wanted = Fate::Refused {
            status: 400,
            code: "rate-limit-key-missing".to_owned(),
        };
        assert_eq!((fate, headers), (wanted, vec![]));
    }
    assert_eq!(bench.counted("own", "refused"), 5);
    let keyed = |bench: &mut Bench| bench.send(|x| x.header("x-key", "a")).0;
    assert_eq!(keyed(&mut bench), Fate::Passed, "what `all` gave was given back");
    assert_eq!(keyed(&mut bench), Fate::Passed);
    assert_eq!(keyed(&mut bench), limited());
}
