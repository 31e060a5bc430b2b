//! What the plugin does to requests and responses, natively.

use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeExchange};

use super::*;

fn plugin(config: Value) -> RequestId {
    testing::configure(config).unwrap()
}

/// Both heads of an exchange.
fn run(plugin: &mut RequestId, exchange: FakeExchange) -> FakeExchange {
    let mut exchange = exchange.response(200);
    assert!(exchange.on_request(plugin).is_next());
    assert!(exchange.on_response(plugin).is_next());
    exchange
}

#[test]
fn by_default_upstream_client_and_attribute_get_the_gateways_id() {
    let exchange = testing::exchange()
        .header("x-request-id", "mine")
        .header("X-Request-Id", "mine, too")
        .with_response_header("x-request-id", "the upstream's");
    let exchange = run(&mut plugin(json!({})), exchange);
    let id = "0000000000000001";
    assert_eq!(exchange.request_headers("x-request-id"), [id]);
    assert_eq!(exchange.response_headers("x-request-id"), [id]);
    assert_eq!(exchange.attribute("request.id"), Some(id));
}

#[test]
fn a_valid_id_of_the_client_is_kept_where_that_is_wanted() {
    let mut plugin = plugin(json!({ "accept": "valid" }));
    let exchange = run(&mut plugin, testing::exchange().header("x-request-id", "abc-123"));
    assert_eq!(exchange.request_headers("x-request-id"), ["abc-123"]);
    assert_eq!(exchange.response_headers("x-request-id"), ["abc-123"]);
    assert_eq!(exchange.attribute("request.id"), Some("abc-123"));
}

#[test]
fn an_id_that_is_none_is_replaced() {
    let mut plugin = plugin(json!({ "accept": "valid" }));
    for exchange in [
        testing::exchange(),
        testing::exchange().header("x-request-id", ""),
        testing::exchange().header("x-request-id", "a b"),
        testing::exchange().header("x-request-id", &"a".repeat(129)),
        testing::exchange()
            .header("x-request-id", "a")
            .header("x-request-id", "b"),
    ] {
        let exchange = run(&mut plugin, exchange);
        assert_eq!(exchange.request_headers("x-request-id"), ["0000000000000001"]);
        assert_eq!(exchange.response_header("x-request-id"), Some("0000000000000001"));
    }
}

#[test]
fn uuids_are_another_in_each_request() {
    for (format, version) in [("uuid-v4", "4"), ("uuid-v7", "7")] {
        let mut plugin = plugin(json!({ "format": format }));
        let host = testing::FakeHost::new();
        let first = run(&mut plugin, host.exchange());
        let second = run(&mut plugin, host.exchange());
        let id = first.request_header("x-request-id").unwrap();
        assert_eq!(
            (id.len(), id.split('-').nth(2).and_then(|part| part.get(..1))),
            (36, Some(version))
        );
        assert_eq!(first.response_header("x-request-id"), Some(id));
        assert_ne!(second.request_header("x-request-id"), Some(id));
    }
}

#[test]
fn a_time_based_uuid_begins_with_the_gateways_clock() {
    let exchange = run(&mut plugin(json!({ "format": "uuid-v7" })), testing::exchange());
    let id = exchange.request_header("x-request-id").unwrap();
    // 2025-01-01T00:00:00Z in milliseconds.
    assert_eq!(
        id.get(..13).unwrap().replace('-', ""),
        format!("{:012x}", 1_735_689_600_000_u64)
    );
}

#[test]
fn headers_have_the_names_of_the_configuration() {
    let config = json!({ "header": "X-Correlation-Id", "response-header": "x-trace" });
    let exchange = run(&mut plugin(config), testing::exchange());
    assert_eq!(
        exchange.request_header("x-correlation-id"),
        Some("0000000000000001")
    );
    assert_eq!(exchange.response_header("x-trace"), Some("0000000000000001"));
    assert_eq!(exchange.response_header("x-correlation-id"), None);

    let exchange = run(&mut plugin(json!({ "response-header": "" })), testing::exchange());
    assert_eq!(exchange.request_header("x-request-id"), Some("0000000000000001"));
    assert_eq!(exchange.response_header("x-request-id"), None);
}

#[test]
fn what_another_plugin_wrote_as_the_id_is_not_sent_unless_it_is_one() {
    let mut plugin = plugin(json!({ "format": "uuid-v4" }));
    let mut exchange = testing::exchange()
        .response(200)
        .with_attribute("request.id", "a\r\nb: c");
    assert!(exchange.on_response(&mut plugin).is_next());
    assert_eq!(exchange.response_header("x-request-id"), None);
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    for (config, reason) in [
        (
            json!({ "header": "" }),
            "`header` is not the name of a header: \"\"",
        ),
        (
            json!({ "header": "a b" }),
            "`header` is not the name of a header: \"a b\"",
        ),
        (
            json!({ "response-header": "a:" }),
            "`response-header` is not the name of a header",
        ),
        (
            json!({ "accept": "always" }),
            "unknown variant `always`, expected `never` or `valid`",
        ),
        (json!({ "format": "ulid" }), "unknown variant `ulid`"),
        (json!({ "colour": 1 }), "unknown field `colour`"),
    ] {
        let error = testing::configure::<RequestId>(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
