//! The language as rules use it: what holds for which request, and what is refused when the plugin is made.

use portcullis::serde_json::json;
use portcullis::testing::{self, FakeExchange, FakeHost};

use super::*;
use crate::Router;

fn compile(text: &str) -> Result<Expression, String> {
    Language::new().compile(text)
}

/// A request with something of everything.
fn full(host: &FakeHost) -> FakeExchange {
    host.exchange()
        .method("POST")
        .target("/v1/orders/7?beta=1&name=a%20b&beta=2")
        .authority("Shop.Example:8443")
        .client_ip("203.0.113.9")
        .header("x-user", "anna")
        .header("x-list", "a")
        .header("x-list", "b")
        .header("cookie", "group=b; id=42")
        .with_attribute("auth.subject", "acme")
        .with_upstream("yes")
}

/// Whether the expression holds for that request, and how often it failed.
fn holds(expression: &str) -> (bool, f64) {
    let host = FakeHost::new();
    let config = json!({ "rules": [{ "when": { "expression": expression }, "to": { "upstream": "yes" } }] });
    let mut plugin: Router = host.configure(config).unwrap();
    let mut exchange = full(&host);
    assert!(exchange.on_request(&mut plugin).is_next());
    let failures = host
        .metric("router_expression_errors_total", &["0"])
        .unwrap_or(0.0);
    (exchange.upstream().is_some(), failures)
}

#[test]
fn every_part_of_a_request_can_be_asked_for() {
    for expression in [
        "request.method == 'POST'",
        "request.path == '/v1/orders/7'",
        "request.query == 'beta=1&name=a%20b&beta=2'",
        "request.host == 'shop.example'",
        "request.headers['x-user'] == 'anna'",
        "request.headers['x-list'] == 'a, b'",
        "request.cookies['group'] == 'b' && request.cookies.id == '42'",
        "request.params['name'] == 'a b' && request.params.beta == '1'",
        "client_ip == '203.0.113.9'",
        "attributes['auth.subject'] == 'acme'",
    ] {
        assert_eq!(holds(expression), (true, 0.0), "{expression}");
    }
}

#[test]
fn the_language_has_its_operators_functions_and_macros() {
    for expression in [
        "request.path.startsWith('/v1/') && !request.path.endsWith('/')",
        "request.path.contains('orders') || 1 / 0 == 1",
        "request.path.matches('^/v[0-9]+/') && matches(request.host, '(?i)EXAMPLE$')",
        "size(request.cookies) == 2 && request.headers.size() == 3",
        "request.method in ['PUT', 'POST']",
        "'x-user' in request.headers && !('x-none' in request.headers)",
        "has(request.cookies.group) && !has(request.cookies.none)",
        "'auth.subject' in attributes && !('auth.scopes' in attributes)",
        "request.headers.exists(name, name.startsWith('x-'))",
        "request.cookies.all(name, request.cookies[name] != '')",
        "['a', 'b'].exists_one(group, request.cookies['group'] == group)",
        "['a', 'b'].map(group, group + '!').filter(group, group == 'b!').size() == 1",
        "int(request.cookies['id']) % 10 == 2",
        "int(request.cookies['id']) > 40 ? true : false",
        "double(request.cookies['id']) / 2.0 == 21.0 && uint(request.cookies['id']) == 42u",
        "string(7) == '7' && bytes('a') == b'a' && bool('true') && dyn(1) == 1",
        "type(request.path) == string && type(request.headers) == map",
        "[1, 2] == [1, 2] && {'a': 1}['a'] == 1",
    ] {
        assert_eq!(holds(expression), (true, 0.0), "{expression}");
    }
}

#[test]
fn what_is_not_there_does_not_fit_and_is_no_failure() {
    for expression in [
        "request.headers['x-none'] == 'a'",
        "request.cookies.none == 'a'",
        "attributes['auth.scopes'] == 'a'",
        "request.params['none'] != 'a'",
    ] {
        assert_eq!(holds(expression), (false, 0.0), "{expression}");
    }
}

#[test]
fn an_expression_without_an_answer_does_not_fit_and_is_counted() {
    for expression in [
        "int(request.headers['x-user']) > 3",
        "10 / (int(request.cookies['id']) - 42) > 0",
        "request.headers['x-user'] > 3",
        "request.headers['x-user'] == 'anna' ? 1 : false",
    ] {
        assert_eq!(holds(expression), (false, 1.0), "{expression}");
    }
}

#[test]
fn what_can_never_work_is_refused_when_the_plugin_is_made() {
    let long = format!("request.path == '{}'", "x".repeat(MAX_BYTES));
    let wide = vec!["1"; check::MAX_PARTS].join(" + ");
    let deep = format!("{}{} == 1", "[".repeat(80), "]".repeat(80));
    for (expression, reason) in [
        ("", "Syntax error"),
        ("request.path ==", "(line 1, column"),
        ("request.path == '/' request", "Syntax error"),
        ("request.paht == '/'", "`request` has no field `paht`"),
        ("request['path'] == '/'", "there is no variable `request`"),
        ("path == '/'", "there is no variable `path`"),
        ("['a'].exists(x, y == x)", "there is no variable `y`"),
        (
            "request.path.lowerAscii() == '/'",
            "there is no function `lowerAscii`",
        ),
        (
            "duration('1s') == duration('1s')",
            "there is no function `duration`",
        ),
        ("request.headers.?a == 'b'", ""),
        ("a.B{c: 1} == 1", "there is no message"),
        ("request.path", "a value of type string, not true or false"),
        ("1 + 1", "a value of type int"),
        ("1 == 1 && request.path + 1 == '1'", ""),
        (
            "request.path.matches(request.host)",
            "takes its pattern as a literal",
        ),
        ("request.path.matches('(')", "regular expression"),
        (&long, "more than 4096 bytes"),
        (&wide, "more than 500 parts"),
        (&deep, "recursion limit"),
    ] {
        let error = compile(expression).unwrap_err();
        assert!(
            error.contains(reason),
            "{expression}: {error:?} does not say {reason:?}"
        );
        assert!(!error.contains('\n') && !error.is_empty(), "{error:?}");
    }
}

#[test]
fn the_deepest_expression_that_is_accepted_can_be_evaluated() {
    let wide = format!("size({}) == 240", vec!["'a'"; 240].join(" + "));
    assert_eq!(holds(&wide), (true, 0.0));
    let deep = format!("size({}{}) == 1", "[".repeat(45), "]".repeat(45));
    assert_eq!(holds(&deep), (true, 0.0));
}

#[test]
fn values_that_are_no_text_are_no_reason_to_fail() {
    let config = json!({ "rules": [{
        "when": { "expression": "request.headers['x-raw'] == '\u{e9}' || request.headers['x-raw'] == '\u{20ac}'" },
        "to": { "upstream": "yes" },
    }] });
    let mut plugin: Router = testing::configure(config).unwrap();
    for value in ["\u{e9}", "\u{e2}\u{82}\u{ac}"] {
        let mut exchange = testing::exchange().with_upstream("yes").header("x-raw", value);
        assert!(exchange.on_request(&mut plugin).is_next());
        assert_eq!(exchange.upstream(), Some("yes"), "{value:?}");
    }
}

#[test]
fn every_function_that_is_accepted_is_there() {
    for name in check::FUNCTIONS {
        let call = match name {
            "contains" | "endsWith" | "startsWith" | "matches" => format!("'a'.{name}('a')"),
            "size" => "size('a') == 1".to_owned(),
            "type" => "type('a') == string".to_owned(),
            "bytes" => "bytes('a') == b'a'".to_owned(),
            "bool" => "bool('true')".to_owned(),
            "string" | "dyn" => format!("{name}('1') == '1'"),
            _ => format!("{name}('1') == {name}('1')"),
        };
        assert_eq!(holds(&call), (true, 0.0), "{call}");
    }
}

#[test]
fn every_field_of_request_is_there() {
    for name in check::REQUEST {
        let call = format!("size(request.{name}) > 0");
        assert_eq!(holds(&call), (true, 0.0), "{call}");
    }
}
