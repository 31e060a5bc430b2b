//! What the plugin does to requests and responses, natively.

use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeExchange};

use super::*;

mod mistakes;
mod redirects;

fn plugin(config: Value) -> Transform {
    testing::configure(config).unwrap()
}

/// The request after the edits of this table `request`.
fn edited(request: &Value, mut exchange: FakeExchange) -> FakeExchange {
    let action = exchange.on_request(&mut plugin(json!({ "request": request })));
    assert!(action.is_next(), "{action:?}");
    exchange
}

/// The response after the edits of this table `response`.
fn answered(response: &Value, mut exchange: FakeExchange) -> FakeExchange {
    let action = exchange.on_response(&mut plugin(json!({ "response": response })));
    assert!(action.is_next(), "{action:?}");
    exchange
}

/// Status and code of the refusal of a request.
fn refused(config: Value, exchange: FakeExchange) -> (u16, String) {
    let mut exchange = exchange;
    let action = exchange.on_request(&mut plugin(config));
    let refusal = action.refusal().expect("the request is refused");
    (refusal.status, refusal.code.to_string())
}

#[test]
fn without_edits_a_message_stays_as_it_is() {
    let exchange = testing::exchange().method("PUT").target("/a?b").header("x", "1");
    let exchange = edited(&json!({}), exchange);
    assert_eq!(
        (exchange.request_method(), exchange.request_target().as_str()),
        ("PUT", "/a?b")
    );
    assert_eq!(exchange.request_header("x"), Some("1"));
}

#[test]
fn headers_are_edited_in_order() {
    let headers = json!({
        "remove": ["X-Gone", "x-never"],
        "rename": { "x-old": "X-New", "x-absent": "x-kept" },
        "set": { "x-set": ["1", "2"], "x-new-too": "n" },
        "default": { "x-given": "default", "x-missing": "default", "x-gone": "again" },
        "append": { "x-list": ["b", "c"], "x-set": "3" },
    });
    let exchange = testing::exchange()
        .header("x-gone", "0")
        .header("x-old", "1")
        .header("x-old", "2")
        .header("x-new", "9")
        .header("x-kept", "k")
        .header("x-set", "9")
        .header("x-given", "g")
        .header("x-list", "a");
    let exchange = edited(&json!({ "headers": headers }), exchange);
    let expected: [(&str, &[&str]); 9] = [
        ("x-gone", &["again"]),
        ("x-old", &[]),
        ("x-new", &["1", "2"]),
        ("x-kept", &["k"]),
        ("x-set", &["1", "2", "3"]),
        ("x-new-too", &["n"]),
        ("x-given", &["g"]),
        ("x-missing", &["default"]),
        ("x-list", &["a", "b", "c"]),
    ];
    for (name, values) in expected {
        assert_eq!(exchange.request_headers(name), values, "{name}");
    }
}

#[test]
fn templates_see_the_request_as_it_came() {
    let request = json!({
        "method": "POST",
        "host": "internal.example:8080",
        "path": { "strip-prefix": "/api" },
        "query": { "remove": "a" },
        "headers": {
            "remove": "x-user",
            "set": {
                "x-line": "{{ request.method }} {{ request.scheme }}://{{ request.authority }}{{ request.path }}?{{ request.query }}",
                "x-who": "{{ client_ip }} {{ route }} {{ attributes['auth.subject'] }} {{ request.headers['x-user'] }}",
                "x-a": "{{ request.params.a }}, {{ request.host }}",
            },
        },
    });
    let exchange = testing::exchange()
        .target("/api/x%20y?a=%C3%A9+1&b")
        .authority("shop.example:443")
        .header("x-user", "caf\u{c3}\u{a9}")
        .header("x-forwarded-proto", "HTTPS")
        .with_attribute("auth.subject", "acme");
    let exchange = edited(&request, exchange);
    for (name, value) in [
        ("x-line", "GET https://shop.example:443/api/x%20y?a=%C3%A9+1&b"),
        ("x-who", "192.0.2.1 test acme caf\u{c3}\u{a9}"),
        ("x-a", "\u{c3}\u{a9} 1, shop.example"),
    ] {
        assert_eq!(exchange.request_header(name), Some(value));
    }
    assert_eq!(exchange.request_target(), "/x%20y?b");
    assert_eq!(
        (exchange.request_method(), exchange.request_authority()),
        ("POST", "internal.example:8080")
    );
    assert_eq!(exchange.request_header("x-user"), None);
}

#[test]
fn a_template_that_gives_nothing_leaves_the_field_out() {
    let request = json!({
        "method": "{% if request.headers['x-method'] == 'put' %}PUT{% endif %}",
        "path": { "set": "{{ request.headers['x-path'] }}" },
        "query": { "set": { "a": "{{ request.headers['x'] }}" }, "append": { "b": "{{ request.headers['x'] }}" } },
        "headers": {
            "set": { "x-set": "{{ request.headers['x'] }}" },
            "append": { "x-list": ["{{ request.headers['x'] }}", "b"] },
            "default": { "x-default": "{{ request.headers['x'] }}" },
        },
    });
    let exchange = testing::exchange()
        .target("/p?a=1")
        .header("x-set", "old")
        .header("x-list", "a");
    let exchange = edited(&request, exchange);
    assert_eq!(
        (exchange.request_method(), exchange.request_target().as_str()),
        ("GET", "/p")
    );
    assert_eq!(exchange.request_header("x-set"), None);
    assert_eq!(exchange.request_headers("x-list"), ["a", "b"]);
    assert_eq!(exchange.request_header("x-default"), None);
}

#[test]
fn a_path_is_made_from_the_groups_of_the_old_one() {
    let request = json!({
        "when": { "path-regex": "^/shop/(?<id>[^/]+)/(.*)$" },
        "path": { "set": "/v2/orders/{{ captures.id }}/{{ captures[2] }}" },
        "query": { "set": { "id": "{{ captures.id }}" } },
        "headers": { "set": { "x-id": "{{ captures.id }}" } },
    });
    let exchange = edited(&request, testing::exchange().target("/shop/a%20b/c/d?x=1&id=0"));
    assert_eq!(exchange.request_target(), "/v2/orders/a%20b/c/d?x=1&id=a%2520b");
    assert_eq!(exchange.request_header("x-id"), Some("a%20b"));
    let exchange = edited(&request, testing::exchange().target("/other?id=0"));
    assert_eq!(exchange.request_target(), "/other?id=0");
    assert_eq!(exchange.request_header("x-id"), None);
}

#[test]
fn a_value_of_the_client_stays_within_its_segment_or_parameter() {
    let request = json!({
        "path": { "set": "/tenants/{{ request.headers['x-tenant'] }}/data" },
        "query": { "set": { "t": "{{ request.headers['x-tenant'] }}" } },
    });
    let exchange = testing::exchange().header("x-tenant", "a b?c&d=e#f%41");
    let exchange = edited(&request, exchange);
    assert_eq!(
        exchange.request_target(),
        "/tenants/a%20b%3Fc%26d%3De%23f%2541/data?t=a%20b%3Fc%26d%3De%23f%2541"
    );
    let exchange = testing::exchange().header("x-tenant", "..");
    let refusal = refused(json!({ "request": request }), exchange);
    assert_eq!(refusal, (400, "transform-invalid".to_owned()));
}

#[test]
fn a_value_that_cannot_be_sent_refuses_the_request() {
    for request in [
        json!({ "headers": { "set": { "x": "{{ request.params.x }}" } } }),
        json!({ "headers": { "append": { "x": "a{{ request.params.x }}b" } } }),
        json!({ "method": "{{ request.params.x }}" }),
        json!({ "host": "{{ request.params.x }}" }),
        json!({ "path": { "set": "{{ request.params.x|safe }}" } }),
    ] {
        let exchange = testing::exchange().target("/?x=a%0D%0Ab:%20c");
        let refusal = refused(json!({ "request": request }), exchange);
        assert_eq!(refusal, (400, "transform-invalid".to_owned()), "{request}");
    }
}

#[test]
fn a_template_that_fails_refuses_the_request_and_says_why_in_the_log() {
    let config = json!({ "request": { "headers": { "set": { "x-n": "{{ request.headers['n']|int }}" } } } });
    let mut plugin = plugin(config);
    let mut exchange = testing::exchange().header("n", "many");
    let action = exchange.on_request(&mut plugin);
    let refusal = action.refusal().unwrap();
    assert_eq!((refusal.status, refusal.code.as_ref()), (500, "transform-failed"));
    assert!(!refusal.detail.contains("many"));
    let lines = exchange.host().lines();
    assert!(
        lines[0].fields[0].1.contains("`request.headers.set.x-n`"),
        "{lines:?}"
    );
    assert_eq!(exchange.request_header("x-n"), None);
}

#[test]
fn a_request_that_is_refused_was_not_edited() {
    let request = json!({
        "method": "PUT",
        "headers": { "remove": "x", "set": { "y": "{{ request.params.y }}" } },
    });
    let mut exchange = testing::exchange().target("/?y=%00").header("x", "1");
    let action = exchange.on_request(&mut plugin(json!({ "request": request })));
    assert!(action.refusal().is_some());
    assert_eq!(
        (exchange.request_method(), exchange.request_header("x")),
        ("GET", Some("1"))
    );
}

#[test]
fn conditions_must_all_hold() {
    let when = json!({
        "methods": ["GET", "HEAD"],
        "scheme": "http",
        "host": "Shop.example",
        "path-regex": "^/a",
        "header-regex": { "X-Version": "^[12]$", "x-there": "" },
    });
    let good = || {
        testing::exchange()
            .target("/a")
            .authority("SHOP.example.:80")
            .header("x-version", "9")
            .header("x-version", "2")
            .header("x-there", "")
    };
    let bad = [
        good().method("POST"),
        good().authority("other.example"),
        good().target("/b"),
        good().header("x-forwarded-proto", "https"),
        testing::exchange()
            .target("/a")
            .authority("shop.example")
            .header("x-version", "1"),
    ];
    let request = json!({ "when": when, "headers": { "set": { "x-seen": "1" } } });
    assert_eq!(edited(&request, good()).request_header("x-seen"), Some("1"));
    for exchange in bad {
        assert_eq!(edited(&request, exchange).request_header("x-seen"), None);
    }
}

#[test]
fn the_target_of_options_stays() {
    let request = json!({ "path": { "add-prefix": "/x" }, "query": { "set": { "a": "1" } } });
    let exchange = edited(&request, testing::exchange().method("OPTIONS").target("*"));
    assert_eq!(exchange.request_target(), "*");
}

#[test]
fn a_response_is_edited_where_its_conditions_hold() {
    let response = json!({
        "when": { "status": ["404", "5xx"], "header-regex": { "content-type": "^text/" } },
        "status": 503,
        "headers": {
            "remove": "server",
            "rename": { "x-old": "x-new" },
            "set": { "x-was": "{{ response.status }} {{ response.headers['x-old'] }} {{ request.path }}" },
            "default": { "cache-control": "no-store" },
            "append": { "vary": "origin" },
        },
    });
    let exchange = |status: u16, kind: &str| {
        testing::exchange()
            .target("/p")
            .response(status)
            .with_response_header("content-type", kind)
            .with_response_header("server", "x")
            .with_response_header("x-old", "o")
            .with_response_header("vary", "accept")
    };
    for status in [404, 500, 502] {
        let edited = answered(&response, exchange(status, "text/html"));
        assert_eq!(edited.response_status(), 503);
        assert_eq!(
            edited.response_header("x-was"),
            Some(format!("{status} o /p").as_str())
        );
        assert_eq!(
            (edited.response_header("server"), edited.response_header("x-new")),
            (None, Some("o"))
        );
        assert_eq!(edited.response_header("cache-control"), Some("no-store"));
        assert_eq!(edited.response_headers("vary"), ["accept", "origin"]);
    }
    for (status, kind) in [(200, "text/html"), (403, "text/html"), (404, "image/png")] {
        let kept = answered(&response, exchange(status, kind));
        assert_eq!(
            (kept.response_status(), kept.response_header("server")),
            (status, Some("x"))
        );
    }
}

#[test]
fn a_response_that_cannot_be_made_is_refused() {
    for value in ["{{ request.params.x }}", "{{ request.params.x|int }}"] {
        let mut plugin = plugin(json!({ "response": { "headers": { "set": { "x": value } } } }));
        let mut exchange = testing::exchange().target("/?x=a%0Ab").response(200);
        let action = exchange.on_response(&mut plugin);
        let refusal = action.refusal().unwrap();
        assert_eq!(
            (refusal.status, refusal.code.as_ref()),
            (500, "transform-failed"),
            "{value}"
        );
    }
}
