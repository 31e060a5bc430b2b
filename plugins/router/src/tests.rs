//! What the plugin does with requests, natively.

use std::collections::BTreeMap;

use portcullis::serde_json::{Value, from_str, json};
use portcullis::testing::{self, FakeExchange, FakeHost};

use super::*;

const UPSTREAMS: [&str; 3] = ["v1", "v2", "v3"];

fn plugin(rules: Value) -> Result<Router, String> {
    let mut config = json!({});
    config["rules"] = rules;
    testing::configure(config)
}

fn request() -> FakeExchange {
    with_upstreams(testing::exchange())
}

fn with_upstreams(exchange: FakeExchange) -> FakeExchange {
    UPSTREAMS.into_iter().fold(exchange, FakeExchange::with_upstream)
}

/// The upstream that the request goes to.
fn sent(plugin: &mut Router, mut exchange: FakeExchange) -> Option<String> {
    assert!(exchange.on_request(plugin).is_next());
    exchange.upstream().map(str::to_owned)
}

#[test]
fn the_first_rule_that_fits_decides() {
    let mut plugin = plugin(json!([
        { "when": { "header": { "X-Canary": "always" } }, "to": "v2" },
        { "when": { "header": { "x-canary": "never" } }, "to": "v1" },
        { "when": { "cookie": { "beta": { "present": true } }, "method": ["GET", "HEAD"] }, "to": "v2" },
        { "when": { "query": { "version": { "regex": "^3(\\.|$)" } } }, "to": "v3" },
        { "when": { "header": { "user-agent": { "prefix": "curl/" } }, "query": { "debug": { "present": false } } }, "to": "v3" },
    ]))
    .unwrap();
    for (exchange, upstream) in [
        (request(), None),
        (request().header("x-canary", "always"), Some("v2")),
        (
            request().header("x-canary", "never").header("cookie", "beta=1"),
            Some("v1"),
        ),
        (request().header("x-canary", "perhaps"), None),
        (request().header("cookie", "a=b; beta="), Some("v2")),
        (
            request().header("cookie", "a=b").header("cookie", "beta=1"),
            Some("v2"),
        ),
        (request().method("POST").header("cookie", "beta=1"), None),
        (request().target("/?version=3.1"), Some("v3")),
        (request().target("/?version=1&version=3"), Some("v3")),
        (request().target("/?vers%69on=%33"), Some("v3")),
        (request().target("/?version=31"), None),
        (request().header("user-agent", "curl/8"), Some("v3")),
        (request().header("user-agent", "curl/8").target("/?debug"), None),
    ] {
        let told = format!("{exchange:?}");
        assert_eq!(sent(&mut plugin, exchange).as_deref(), upstream, "{told}");
    }
}

#[test]
fn weights_split_the_requests() {
    let to = json!([{ "upstream": "v1", "weight": 90 }, { "upstream": "v2", "weight": 10 }, { "upstream": "v3", "weight": 0 }]);
    let mut plugin = plugin(json!([{ "to": to }])).unwrap();
    let host = FakeHost::new();
    let mut counts = BTreeMap::new();
    for _ in 0..10_000 {
        let upstream = sent(&mut plugin, with_upstreams(host.exchange())).unwrap();
        *counts.entry(upstream).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 2, "{counts:?}");
    // The fake's random numbers are the same in every run.
    assert!((800..1_200).contains(&counts["v2"]), "{counts:?}");
}

#[test]
fn one_key_is_one_choice_wherever_it_stands() {
    let to = json!([{ "upstream": "v1" }, { "upstream": "v2" }, { "upstream": "v3" }]);
    let client = |n: u32| format!("client-{n}");
    for (by, with) in [
        (
            "header:X-User",
            (|n| request().header("x-user", &format!("client-{n}"))) as fn(u32) -> FakeExchange,
        ),
        ("attribute:auth.subject", |n| {
            request().with_attribute("auth.subject", &format!("client-{n}"))
        }),
        ("client-ip", |n| request().client_ip(&format!("client-{n}"))),
    ] {
        let mut one = plugin(json!([{ "to": to, "sticky": { "by": by } }])).unwrap();
        let mut other = plugin(json!([{ "to": to, "sticky": { "by": by } }])).unwrap();
        let mut seen = BTreeMap::new();
        for n in 0..60 {
            let first = sent(&mut one, with(n)).unwrap();
            assert_eq!(sent(&mut other, with(n)).unwrap(), first, "{by} {}", client(n));
            *seen.entry(first).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 3, "{by}: {seen:?}");
    }
}

#[test]
fn without_its_key_a_request_is_a_choice_of_its_own() {
    let to = json!([{ "upstream": "v1" }, { "upstream": "v2" }]);
    let host = FakeHost::new();
    for by in ["header:x-user", "attribute:auth.subject"] {
        let mut plugin = plugin(json!([{ "to": to, "sticky": { "by": by } }])).unwrap();
        let mut seen = BTreeMap::new();
        for _ in 0..200 {
            let exchange = with_upstreams(host.exchange())
                .header("x-user", "")
                .with_attribute("auth.subject", "");
            *seen.entry(sent(&mut plugin, exchange)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 2, "{by}: {seen:?}");
    }
}

#[test]
fn a_salt_makes_two_rules_independent() {
    let rule = |salt: &str| {
        let to = json!([{ "upstream": "v1" }, { "upstream": "v2" }]);
        plugin(json!([{ "to": to, "sticky": { "by": "header:x-user", "salt": salt } }])).unwrap()
    };
    let (mut one, mut other) = (rule("first"), rule("second"));
    let same = (0..400).filter(|n| {
        let with = || request().header("x-user", &format!("u{n}"));
        sent(&mut one, with()) == sent(&mut other, with())
    });
    let same = same.count();
    assert!((120..280).contains(&same), "half of them, give or take: {same}");
}

#[test]
fn a_sticky_cookie_is_set_once_and_honoured_then() {
    let to = json!([{ "upstream": "v1" }, { "upstream": "v2" }]);
    let sticky = json!({ "by": "cookie", "name": "canary", "max-age": "1h" });
    let mut plugin = plugin(json!([{ "to": to, "sticky": sticky }])).unwrap();
    let host = FakeHost::new();
    let mut seen = BTreeMap::new();
    for _ in 0..50 {
        let mut first = with_upstreams(host.exchange())
            .response(200)
            .with_response_header("set-cookie", "a=b");
        assert!(first.on_request(&mut plugin).is_next());
        assert!(first.on_response(&mut plugin).is_next());
        let chosen = first.upstream().unwrap().to_owned();
        let fields = first.response_headers("set-cookie");
        assert_eq!((fields.len(), fields[0]), (2, "a=b"), "the upstream's own stays");
        let (pair, rest) = fields[1].split_once("; ").unwrap();
        assert_eq!(rest, "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
        assert!(!pair.contains(&chosen), "{pair} says nothing of names");

        let mut again = with_upstreams(host.exchange())
            .header("cookie", &format!("x=y; {pair}"))
            .response(200);
        assert!(again.on_request(&mut plugin).is_next());
        assert!(again.on_response(&mut plugin).is_next());
        assert_eq!(again.upstream(), Some(chosen.as_str()));
        assert_eq!(again.response_header("set-cookie"), None, "it has its cookie");
        *seen.entry((chosen, pair.to_owned())).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "one token for each target: {seen:?}");
}

#[test]
fn a_cookie_that_nobody_gave_is_a_new_choice() {
    let to = json!([{ "upstream": "v1" }, { "upstream": "v2" }]);
    let mut plugin = plugin(json!([{ "to": to, "sticky": { "by": "cookie" } }])).unwrap();
    for value in ["v1", "", "0000000000000000", "x; y", "\u{e9}", &"f".repeat(17)] {
        let mut exchange = request()
            .header("cookie", &format!("portcullis-sticky={value}"))
            .response(200);
        assert!(exchange.on_request(&mut plugin).is_next());
        assert!(exchange.on_response(&mut plugin).is_next());
        assert!(exchange.response_header("set-cookie").is_some(), "{value:?}");
    }
}

#[test]
fn where_no_choice_is_made_no_cookie_is_set() {
    let rules = json!([{
        "when": { "header": { "x-split": "1" } },
        "to": [{ "upstream": "v1" }, { "upstream": "v2" }],
        "sticky": { "by": "cookie" },
    }]);
    let mut plugin = plugin(rules).unwrap();
    let mut exchange = request().response(200);
    assert!(exchange.on_request(&mut plugin).is_next());
    assert!(exchange.on_response(&mut plugin).is_next());
    assert_eq!(
        (exchange.upstream(), exchange.response_header("set-cookie")),
        (None, None)
    );
}

#[test]
fn as_a_router_it_names_routes_and_as_a_stage_it_sets_upstreams() {
    let mut plugin = plugin(json!([
        { "when": { "header": { "x-to": "route" } }, "to": { "route": "v1" } },
        { "when": { "header": { "x-to": "upstream" } }, "to": { "upstream": "v2" } },
        { "when": { "header": { "x-to": "route" } }, "to": { "upstream": "v3" } },
        { "when": { "header": { "x-to": "either" } }, "to": "v3" },
    ]))
    .unwrap();
    for (to, route, upstream) in [
        ("route", Some("v1"), Some("v3")),
        ("upstream", None, Some("v2")),
        ("either", Some("v3"), Some("v3")),
        ("", None, None),
    ] {
        let request = || request().header("x-to", to);
        assert_eq!(request().routed(&mut plugin).as_deref(), route, "{to}");
        assert_eq!(sent(&mut plugin, request()).as_deref(), upstream, "{to}");
    }
}

#[test]
fn an_upstream_that_is_not_there_is_an_error_whose_cause_is_logged() {
    let mut plugin = plugin(json!([{ "to": "v9" }])).unwrap();
    let mut exchange = request();
    let action = exchange.on_request(&mut plugin);
    assert_eq!(action.refusal().map(|refusal| refusal.status), Some(500));
    assert!(
        exchange.host().lines()[0].fields[0]
            .1
            .contains("no upstream is called `v9`")
    );
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    let with = |key: &str, value: Value| {
        let mut rule = json!({ "to": "v1" });
        rule[key] = value;
        json!([rule])
    };
    for (rules, reason) in [
        (json!([]), "`rules` has 1 to 256 rules"),
        (
            json!(vec![json!({ "to": "v1" }); MAX_RULES + 1]),
            "`rules` has 1 to 256 rules",
        ),
        (
            json!([{ "to": "v1" }, { "to": [] }]),
            "rules[1]: `to` has no target",
        ),
        (
            with("when", json!({ "method": [] })),
            "rules[0]: `when.method` is empty",
        ),
        (
            with("when", json!({ "method": "get" })),
            "\"get\" is not a method in upper case",
        ),
        (
            with("when", json!({ "header": { "a b": "c" } })),
            "`when.header`: \"a b\" is not the name of a header",
        ),
        (
            with("when", json!({ "header": { "x-a": { "regex": "(" } } })),
            "`when.header.x-a`: the regular expression",
        ),
        (
            with("when", json!({ "cookie": { "a": {} } })),
            "`when.cookie.a`: write a text",
        ),
        (
            with("when", json!({ "query": { "a": {} } })),
            "`when.query.a`: write a text",
        ),
        (
            with("when", json!({ "expression": "1" })),
            "`when.expression`: it gives a value of type int",
        ),
        (
            with("sticky", json!({ "by": "ip" })),
            "`sticky.by` is \"ip\": write `cookie`",
        ),
        (with("sticky", json!({ "by": "header:a b" })), "`sticky.by`"),
        (with("sticky", json!({ "by": "attribute:" })), "`sticky.by`"),
        (
            with("sticky", json!({ "by": "client-ip", "secure": true })),
            "`sticky.secure` is about a cookie",
        ),
        (
            json!([{ "to": { "route": "v1" }, "sticky": { "by": "cookie" } }]),
            "a router sees no response",
        ),
        (json!([{ "to": "v1", "colour": 1 }]), "colour"),
    ] {
        let error = plugin(rules).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}

#[test]
fn the_schema_describes_the_configuration() {
    let schema: Value = from_str(&Router::schema()).unwrap();
    assert_eq!(schema["required"], json!(["rules"]));
    let rule = &schema["$defs"]["Rule"];
    assert_eq!(
        (&rule["required"], &rule["additionalProperties"]),
        (&json!(["to"]), &json!(false))
    );
}
