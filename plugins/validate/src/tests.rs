//! What the plugin does to requests and responses, natively.

use portcullis::log::Level;
use portcullis::serde_json::{self, Value, json};
use portcullis::testing::{self, FakeExchange, FakeHost};

use super::*;

mod requests;
mod responses;

/// A table with a number, and perhaps a list of texts.
fn order() -> Value {
    json!({
        "type": "object", "required": ["id"],
        "properties": { "id": { "type": "integer" }, "notes": { "items": { "type": "string" } } },
    })
}

fn plugin(config: Value) -> Result<Validate, String> {
    testing::configure(config)
}

/// Holds requests against [`order`], with these further keys at the top.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a literal json!(..) is what tests pass"
)]
fn of_requests(more: Value) -> Validate {
    let mut config = json!({ "request": { "schema": order() } });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    plugin(config).unwrap()
}

fn post(body: &str) -> FakeExchange {
    testing::exchange()
        .method("POST")
        .header("content-type", "application/json")
        .body(body)
}

/// Status, code and extension members of what refuses the request, in whichever hook.
fn refused(plugin: &mut Validate, mut exchange: FakeExchange) -> Option<(u16, String, Value)> {
    let extra = |refusal: &Refusal| serde_json::from_str(refusal.extra()).unwrap_or(Value::Null);
    let shown = |refusal: &Refusal| (refusal.status, refusal.code.to_string(), extra(refusal));
    if let Some(refusal) = exchange.on_request(plugin).refusal() {
        return Some(shown(refusal));
    }
    if exchange.skips_body(Side::Request) {
        return None;
    }
    exchange.on_request_body(plugin).refusal().map(shown)
}

fn code(plugin: &mut Validate, exchange: FakeExchange) -> Option<(u16, String)> {
    refused(plugin, exchange).map(|(status, code, _)| (status, code))
}

/// What the client learns of a response that is refused, in whichever hook.
fn answered(plugin: &mut Validate, mut exchange: FakeExchange) -> Option<Value> {
    let told = |refusal: &Refusal| {
        assert_eq!((refusal.status, refusal.code.as_ref()), (502, "response-invalid"));
        serde_json::from_str(refusal.extra()).unwrap_or(Value::Null)
    };
    if let Some(refusal) = exchange.on_response(plugin).refusal() {
        return Some(told(refusal));
    }
    if exchange.skips_body(Side::Response) {
        return None;
    }
    exchange.on_response_body(plugin).refusal().map(told)
}

fn answer(status: u16, body: &str) -> FakeExchange {
    testing::exchange()
        .response(status)
        .with_response_header("content-type", "application/json")
        .with_response_body(body)
}

#[test]
fn report_lets_everything_through_and_says_what_it_was() {
    let host = FakeHost::new();
    host.log_from(Level::Debug);
    let config = json!({
        "request": { "schema": order() }, "response": { "schema": order() }, "mode": "report",
    });
    let mut plugin: Validate = host.configure(config).unwrap();
    let request = || {
        host.exchange()
            .method("POST")
            .header("content-type", "application/json")
    };
    for (mut exchange, code) in [
        (request().body("{}"), "validation-failed"),
        (request().body("{"), "body-not-json"),
        (request(), "body-missing"),
        (
            request().header("content-type", "text/plain").body("{"),
            "media-type-unsupported",
        ),
    ] {
        assert!(exchange.on_request(&mut plugin).is_next());
        if !exchange.skips_body(Side::Request) {
            assert!(exchange.on_request_body(&mut plugin).is_next());
        }
        assert_eq!(exchange.attribute("validate.request"), Some(code));
        assert_eq!(
            host.metric("validate_violations_total", &["request", code]),
            Some(1.0)
        );
    }
    let mut exchange = host
        .exchange()
        .response(200)
        .with_response_header("content-type", "application/json")
        .with_response_body("{\"id\": \"secret\"}");
    assert!(exchange.on_response(&mut plugin).is_next());
    assert!(exchange.on_response_body(&mut plugin).is_next());
    assert_eq!(exchange.attribute("validate.response"), Some("validation-failed"));
    let lines = host.lines();
    assert_eq!(lines.len(), 5);
    assert!(
        lines[4].fields[1].1.contains("\"/id\": value is not of type"),
        "{lines:?}"
    );
    assert!(!format!("{lines:?}").contains("secret"));
}

#[test]
fn bodies_that_it_has_no_rule_for_are_not_asked_for() {
    let requests = json!({ "request": { "schema": order() } });
    let responses = json!({ "response": { "by-status": { "200": order() } } });
    for (config, status, skipped) in [
        (&requests, 200, (false, true)),
        (&responses, 200, (true, false)),
        (&responses, 404, (true, true)),
    ] {
        let mut plugin = plugin(config.clone()).unwrap();
        let mut exchange = post("{\"id\": 1}")
            .response(status)
            .with_response_header("content-type", "application/json");
        assert!(exchange.on_request(&mut plugin).is_next());
        assert!(exchange.on_response(&mut plugin).is_next());
        let found = (
            exchange.skips_body(Side::Request),
            exchange.skips_body(Side::Response),
        );
        assert_eq!(found, skipped, "{status}");
    }
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    let request = |more: Value| {
        let mut config = json!({ "request": { "schema": {} } });
        for (name, value) in more.as_object().unwrap() {
            config["request"][name] = value.clone();
        }
        config
    };
    let response = |key: &str| json!({ "response": { "by-status": { key: {} } } });
    for (config, reason) in [
        (json!({}), "`request` and `response` are both missing"),
        (json!({ "request": {} }), "missing field `schema`"),
        (
            json!({ "response": {} }),
            "`response` has neither `schema` nor `by-status`",
        ),
        (
            request(json!({ "schema": { "type": 1 } })),
            "`request.schema` is no JSON Schema: at `/type`",
        ),
        (
            request(json!({ "schema": "{" })),
            "`request.schema` is no JSON Schema: not JSON",
        ),
        (
            request(json!({ "schema": { "$ref": "https://example.com" } })),
            "`request.schema` refers to what it does not have",
        ),
        (
            request(json!({ "content-types": ["json"] })),
            "`request.content-types` has `json`",
        ),
        (
            response("2000"),
            "`response.by-status.2000` is no status; expected 200 to 599",
        ),
        (response("1xx"), "`response.by-status.1xx` is no status"),
        (response("+20"), "`response.by-status.+20` is no status"),
        (
            response("204"),
            "`response.by-status.204` is for an answer that has no body",
        ),
        (
            json!({ "response": { "schema": {}, "by-status": { "2xx": {} } } }),
            "`response.by-status.2xx` is there twice",
        ),
        (
            json!({ "response": { "by-status": { "200": { "type": 1 } } } }),
            "`response.by-status.200` is no JSON Schema",
        ),
        (
            json!({ "request": { "schema": {} }, "max-errors": 0 }),
            "`max-errors` is 0; expected 1 to 100",
        ),
        (
            json!({ "request": { "schema": {} }, "max-depth": 127 }),
            "`max-depth` is 127; expected 1 to 126",
        ),
        (
            json!({ "request": { "schema": {} }, "max-values": 0 }),
            "`max-values` is 0",
        ),
        (
            json!({ "request": { "schema": {} }, "mode": "sample" }),
            "unknown variant `sample`",
        ),
    ] {
        let error = plugin(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
