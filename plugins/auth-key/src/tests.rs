//! What the plugin does to requests, natively.

use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeExchange};

use super::*;

fn plugin(more: Value) -> Result<AuthKey, String> {
    let mut config = json!({ "keys": { "acme": "k-acme", "beta": ["k-beta-1", "k-beta-2"] } });
    let Value::Object(more) = more else {
        unreachable!("a table")
    };
    for (name, value) in more {
        config[name] = value;
    }
    testing::configure(config)
}

fn granted() -> FakeExchange {
    testing::exchange().grant("auth.")
}

fn refused(exchange: &mut FakeExchange, plugin: &mut AuthKey) -> (u16, String) {
    let action = exchange.on_request(plugin);
    let refusal = action.refusal().expect("the request is refused");
    (refusal.status, refusal.code.to_string())
}

#[test]
fn a_known_key_passes_and_names_the_consumer() {
    let mut plugin = plugin(json!({})).unwrap();
    for (key, consumer) in [("k-acme", "acme"), ("k-beta-1", "beta"), ("k-beta-2", "beta")] {
        let mut exchange = granted().header("x-api-key", key);
        assert!(exchange.on_request(&mut plugin).is_next());
        assert_eq!(exchange.request_header("x-consumer"), Some(consumer));
        assert_eq!(exchange.attribute("auth.subject"), Some(consumer));
        assert_eq!(
            exchange.request_header("x-api-key"),
            None,
            "the key stays in the gateway"
        );
    }
}

#[test]
fn a_request_without_a_valid_key_is_challenged() {
    let mut plugin = plugin(json!({ "realm": "the \"shop\"" })).unwrap();
    for (exchange, code) in [
        (granted(), "key-missing"),
        (granted().header("x-api-key", ""), "key-missing"),
        (granted().header("x-api-key", "nope"), "key-invalid"),
        (granted().header("x-api-key", "k-acme "), "key-invalid"),
    ] {
        let mut exchange = exchange;
        let action = exchange.on_request(&mut plugin);
        let refusal = action.refusal().unwrap();
        assert_eq!((refusal.status, refusal.code.as_ref()), (401, code));
        let challenge = (
            "www-authenticate".to_owned(),
            "ApiKey realm=\"the \\\"shop\\\"\"".to_owned(),
        );
        assert_eq!(refusal.headers, [challenge]);
    }
}

#[test]
fn a_spoofed_consumer_never_reaches_the_upstream() {
    let mut plugin = plugin(json!({})).unwrap();
    let mut exchange = granted()
        .header("x-consumer", "root")
        .header("x-consumer", "admin")
        .header("x-api-key", "k-acme");
    assert!(exchange.on_request(&mut plugin).is_next());
    assert_eq!(exchange.request_headers("x-consumer"), ["acme"]);
}

#[test]
fn more_than_one_key_is_refused() {
    let mut plugin = plugin(json!({ "query": "key" })).unwrap();
    for mut exchange in [
        granted()
            .header("x-api-key", "k-acme")
            .header("x-api-key", "k-acme"),
        granted().target("/?key=k-acme&key=k-acme"),
        granted().target("/?key=k-acme").header("x-api-key", "k-acme"),
    ] {
        assert_eq!(
            refused(&mut exchange, &mut plugin),
            (400, "key-ambiguous".to_owned())
        );
    }
}

#[test]
fn the_query_carries_a_key_and_loses_it() {
    let mut plugin = plugin(json!({ "header": "", "query": "key" })).unwrap();
    let mut exchange = granted().target("/a%20b?x=1&key=k%2Dacme&y=2");
    assert!(exchange.on_request(&mut plugin).is_next());
    assert_eq!(exchange.request_target(), "/a%20b?x=1&y=2");

    let mut exchange = granted().target("/a?key=k-acme");
    assert!(exchange.on_request(&mut plugin).is_next());
    assert_eq!(exchange.request_target(), "/a");

    let mut exchange = granted().header("x-api-key", "k-acme");
    assert_eq!(
        refused(&mut exchange, &mut plugin).1,
        "key-missing",
        "the header is switched off"
    );
}

#[test]
fn a_key_may_stay_in_the_request() {
    let mut plugin = plugin(json!({ "hide": false, "query": "key", "upstream-header": "" })).unwrap();
    let mut exchange = granted().header("x-api-key", "k-acme");
    assert!(exchange.on_request(&mut plugin).is_next());
    assert_eq!(exchange.request_header("x-api-key"), Some("k-acme"));
    assert_eq!(exchange.request_header("x-consumer"), None);
}

#[test]
fn without_the_grant_no_request_passes_and_the_log_says_why() {
    let mut plugin = plugin(json!({})).unwrap();
    let mut exchange = testing::exchange().header("x-api-key", "k-acme");
    assert_eq!(
        refused(&mut exchange, &mut plugin),
        (500, "plugin-error".to_owned())
    );
    let lines = exchange.host().lines();
    assert!(lines[0].fields[0].1.contains("auth.subject"), "{lines:?}");
}

#[test]
fn keys_are_compared_as_bytes() {
    let mut plugin = plugin(json!({ "keys": { "cafe": "caf\u{e9}\n" } })).unwrap();
    let mut exchange = granted().header("x-api-key", "caf\u{c3}\u{a9}");
    assert!(exchange.on_request(&mut plugin).is_next());
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    for (config, reason) in [
        (
            json!({ "keys": { "acme": "" } }),
            "consumer `acme` has an empty key",
        ),
        (json!({ "keys": { "acme": [] } }), "consumer `acme` has no key"),
        (
            json!({ "keys": { "acme": ["k", " k"] } }),
            "consumer `acme` has the same key twice",
        ),
        (
            json!({ "keys": { "acme": "k", "beta": "k" } }),
            "consumers `acme` and `beta` share a key",
        ),
        (
            json!({ "keys": { "a\nb": "k" } }),
            "a consumer's name must fit into a header: \"a\\nb\"",
        ),
        (
            json!({ "header": "", "query": "" }),
            "there is no place for a key",
        ),
        (
            json!({ "header": "a b" }),
            "`header` is not the name of a header: \"a b\"",
        ),
        (
            json!({ "header": "x-consumer" }),
            "`header` and `upstream-header` are the same",
        ),
        (
            json!({ "realm": "\u{e9}" }),
            "`realm` has characters beyond printable ASCII",
        ),
        (json!({ "colour": 1 }), "unknown field `colour`"),
    ] {
        let error = plugin(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let text = format!("{:?}", plugin(json!({})).unwrap());
    assert!(
        !text.contains("k-acme") && text.contains("3 keys of 2 consumers"),
        "{text}"
    );
}

#[test]
fn the_schema_describes_the_configuration() {
    let schema: Value = portcullis::serde_json::from_str(&AuthKey::schema()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], json!(["keys"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["properties"]["upstream-header"]["default"], "x-consumer");
}
