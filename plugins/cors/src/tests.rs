//! What the plugin does to requests and responses, natively.

use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeExchange};

use super::*;

const PAGE: &str = "https://app.example.com";

fn plugin(config: Value) -> Result<Cors, String> {
    testing::configure(config)
}

fn from(origin: &str) -> FakeExchange {
    testing::exchange().header("origin", origin)
}

fn preflight(origin: &str) -> FakeExchange {
    from(origin)
        .method("OPTIONS")
        .header("access-control-request-method", "PUT")
}

/// The fields of the answer to this preflight, without `Vary`, which is always the same.
fn permitted(plugin: &mut Cors, mut exchange: FakeExchange) -> Vec<(String, String)> {
    let action = exchange.on_request(plugin);
    let reply = action.reply().expect("a preflight is answered here");
    assert_eq!(reply.status, 204);
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    assert!(reply.headers.contains(&("vary".to_owned(), vary.to_owned())));
    let rest = reply.headers.iter().filter(|(name, _)| name != "vary");
    rest.cloned().collect()
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| (format!("access-control-{name}"), (*value).to_owned()))
        .collect()
}

/// The fields of the protocol and `Vary` on the response.
fn fields_of(exchange: &FakeExchange) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for name in FIELDS.into_iter().chain(["vary"]) {
        for value in exchange.response_headers(name) {
            fields.push((
                name.trim_start_matches("access-control-").to_owned(),
                value.to_owned(),
            ));
        }
    }
    fields
}

/// The same after both hooks.
fn served(plugin: &mut Cors, mut exchange: FakeExchange) -> Vec<(String, String)> {
    assert!(!matches!(
        exchange.on_request(plugin),
        Action::Respond(_) | Action::Refuse(_)
    ));
    assert!(exchange.on_response(plugin).is_next());
    fields_of(&exchange)
}

fn list(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_page_of_an_allowed_origin_may_read_the_response() {
    let config = json!({ "origins": PAGE, "credentials": true, "expose": ["X-Total", "etag"] });
    let expected = list(&[
        ("allow-origin", PAGE),
        ("allow-credentials", "true"),
        ("expose-headers", "x-total, etag"),
        ("vary", "Origin"),
    ]);
    assert_eq!(
        served(&mut plugin(config).unwrap(), from(PAGE).response(200)),
        expected
    );
}

#[test]
fn a_page_of_another_origin_gets_no_permission_and_caches_know_why() {
    let mut plugin = plugin(json!({ "origins": [PAGE], "credentials": true, "expose": "x" })).unwrap();
    for exchange in [
        from("https://evil.test"),
        from("null"),
        from(""),
        from(PAGE).header("origin", PAGE),
        testing::exchange(),
    ] {
        assert_eq!(
            served(&mut plugin, exchange.response(200)),
            list(&[("vary", "Origin")])
        );
    }
}

#[test]
fn a_permission_for_all_does_not_depend_on_the_origin() {
    let mut plugin = plugin(json!({ "origins": "*", "expose": "*" })).unwrap();
    let expected = list(&[("allow-origin", "*"), ("expose-headers", "*")]);
    for exchange in [from(PAGE), from("null"), testing::exchange()] {
        assert_eq!(served(&mut plugin, exchange.response(200)), expected);
    }
}

#[test]
fn what_the_upstream_says_of_the_protocol_is_replaced() {
    let mut plugin = plugin(json!({ "origins": [PAGE] })).unwrap();
    let answered = |mut exchange: FakeExchange| {
        for name in FIELDS {
            exchange = exchange
                .with_response_header(name, "*")
                .with_response_header(name, "true");
        }
        exchange.response(200)
    };
    let expected = list(&[("allow-origin", PAGE), ("vary", "Origin")]);
    assert_eq!(served(&mut plugin, answered(from(PAGE))), expected);
    let expected = list(&[("vary", "Origin")]);
    assert_eq!(served(&mut plugin, answered(from("https://evil.test"))), expected);
    assert_eq!(served(&mut plugin, answered(testing::exchange())), expected);
}

#[test]
fn vary_is_added_to_once() {
    let mut plugin = plugin(json!({ "origins": [PAGE] })).unwrap();
    for (before, after) in [
        (vec!["Accept"], vec!["Accept", "Origin"]),
        (vec!["accept, ORIGIN"], vec!["accept, ORIGIN"]),
        (vec!["Accept", "origin"], vec!["Accept", "origin"]),
        (vec!["*"], vec!["*"]),
        (vec!["X-Origin"], vec!["X-Origin", "Origin"]),
    ] {
        let mut exchange = testing::exchange().response(200);
        for value in before {
            exchange = exchange.with_response_header("vary", value);
        }
        assert!(exchange.on_response(&mut plugin).is_next());
        assert_eq!(exchange.response_headers("vary"), after);
    }
}

#[test]
fn a_preflight_is_answered_with_what_is_permitted() {
    let config = json!({
        "origins": ["https://*.example.com"], "credentials": true, "methods": ["PUT", "DELETE"],
        "headers": ["Content-Type", "x-api-key"], "expose": "x-total", "max-age": "10m",
    });
    let expected = pairs(&[
        ("allow-origin", PAGE),
        ("allow-credentials", "true"),
        ("allow-methods", "PUT, DELETE"),
        ("allow-headers", "content-type, x-api-key"),
        ("max-age", "600"),
    ]);
    let mut plugin = plugin(config).unwrap();
    assert_eq!(permitted(&mut plugin, preflight(PAGE)), expected);
    assert_eq!(permitted(&mut plugin, preflight("https://evil.test")), []);
    assert_eq!(permitted(&mut plugin, preflight(PAGE).header("origin", PAGE)), []);
}

#[test]
fn a_preflight_for_all_says_so() {
    let config = json!({ "origins": "*", "methods": "*", "headers": ["*", "authorization"] });
    let expected = pairs(&[
        ("allow-origin", "*"),
        ("allow-methods", "*"),
        ("allow-headers", "*, authorization"),
    ]);
    assert_eq!(permitted(&mut plugin(config).unwrap(), preflight(PAGE)), expected);
}

#[test]
fn headers_that_are_asked_for_are_permitted_where_that_is_said() {
    let mut plugin = plugin(json!({ "origins": [PAGE], "reflect-headers": true })).unwrap();
    let many = vec!["x"; 101].join(",");
    for (asked, expected) in [
        ("Authorization,x-a", Some("authorization, x-a")),
        (" x-a , , x-b ", Some("x-a, x-b")),
        ("", None),
        ("x a", None),
        ("x-a\u{e9}", None),
        (many.as_str(), None),
        (&"x".repeat(5000), None),
    ] {
        let exchange = preflight(PAGE).header("access-control-request-headers", asked);
        let mut fields = vec![("allow-origin", PAGE)];
        fields.extend(expected.map(|names| ("allow-headers", names)));
        assert_eq!(permitted(&mut plugin, exchange), pairs(&fields), "{asked:.100}");
    }
}

#[test]
fn a_private_network_is_opened_only_where_the_browser_asks_and_the_operator_says_so() {
    let ask = || preflight(PAGE).header("access-control-request-private-network", "true");
    let opened = (
        "access-control-allow-private-network".to_owned(),
        "true".to_owned(),
    );
    let mut open = plugin(json!({ "origins": [PAGE], "private-network": true })).unwrap();
    assert!(permitted(&mut open, ask()).contains(&opened));
    assert!(!permitted(&mut open, preflight(PAGE)).contains(&opened));
    let mut closed = plugin(json!({ "origins": [PAGE] })).unwrap();
    assert!(!permitted(&mut closed, ask()).contains(&opened));
}

#[test]
fn options_that_are_no_preflight_go_to_the_upstream() {
    let mut plugin = plugin(json!({ "origins": [PAGE] })).unwrap();
    let request = || {
        testing::exchange()
            .method("OPTIONS")
            .header("access-control-request-method", "PUT")
    };
    assert!(request().on_request(&mut plugin).is_next());
    let mut exchange = from(PAGE).method("OPTIONS");
    assert!(matches!(exchange.on_request(&mut plugin), Action::Next));
    assert_eq!(
        exchange.state::<Cors>().map(|state| state.origin).as_deref(),
        Some(PAGE)
    );
    let mut exchange = preflight(PAGE).method("GET");
    assert!(exchange.on_request(&mut plugin).reply().is_none());
}

#[test]
fn other_origins_are_refused_where_that_is_said() {
    let mut plugin = plugin(json!({ "origins": [PAGE], "reject": true })).unwrap();
    for mut exchange in [
        from("https://evil.test"),
        from("null"),
        preflight("https://evil.test"),
        from(PAGE).header("origin", PAGE),
    ] {
        let action = exchange.on_request(&mut plugin);
        let refusal = action.refusal().unwrap();
        assert_eq!(
            (refusal.status, refusal.code.as_ref()),
            (403, "cors-origin-denied")
        );
        assert_eq!(refusal.headers, list(&[("vary", "Origin")]));
    }
    for exchange in [from(PAGE), testing::exchange()] {
        served(&mut plugin, exchange.response(200));
    }
}

#[test]
fn pages_of_the_apis_own_host_are_no_others() {
    let mut plugin = plugin(json!({ "origins": [PAGE], "reject": true })).unwrap();
    for (authority, origin) in [
        ("api.example.com", "https://api.example.com"),
        ("API.example.com:8443", "https://api.example.com:8443"),
    ] {
        let exchange = from(origin).authority(authority).response(200);
        assert_eq!(served(&mut plugin, exchange), list(&[("vary", "Origin")]));
    }
    let mut exchange = from("https://api.example.com:8443").authority("api.example.com");
    assert!(exchange.on_request(&mut plugin).refusal().is_some());
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    for (config, reason) in [
        (json!({}), "missing field `origins`"),
        (json!({ "origins": [] }), "`origins` is empty"),
        (
            json!({ "origins": ["*", PAGE] }),
            "`origins` has `*` beside others",
        ),
        (
            json!({ "origins": "example.com" }),
            "`origins` has `example.com`, which is no origin",
        ),
        (
            json!({ "origins": "*", "credentials": true }),
            "`credentials` cannot go with `origins = [\"*\"]`",
        ),
        (
            json!({ "origins": ["null"], "credentials": true }),
            "`credentials` cannot go with the origin `null`",
        ),
        (
            json!({ "origins": PAGE, "credentials": true, "methods": "*" }),
            "`methods` has `*`",
        ),
        (
            json!({ "origins": PAGE, "credentials": true, "headers": "*" }),
            "`headers` has `*`",
        ),
        (
            json!({ "origins": PAGE, "credentials": true, "expose": "*" }),
            "`expose` has `*`",
        ),
        (
            json!({ "origins": PAGE, "methods": "patch" }),
            "`methods` has `patch`",
        ),
        (
            json!({ "origins": PAGE, "methods": "GET, PUT" }),
            "`methods` has `GET, PUT`",
        ),
        (
            json!({ "origins": PAGE, "headers": "a b" }),
            "`headers` has `a b`",
        ),
        (json!({ "origins": PAGE, "expose": "a:" }), "`expose` has `a:`"),
        (
            json!({ "origins": PAGE, "headers": "a", "reflect-headers": true }),
            "`headers` has no effect beside `reflect-headers`",
        ),
        (json!({ "origins": PAGE, "max-age": "1500ms" }), "`max-age`"),
        (json!({ "origins": PAGE, "colour": 1 }), "unknown field `colour`"),
    ] {
        let error = plugin(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
