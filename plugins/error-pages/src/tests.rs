//! What the plugin answers, natively.

use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeExchange};

use super::*;

const HTML: &str = "text/html";
const TEXT: &str = "text/plain";

fn pages(config: Value) -> ErrorPages {
    testing::configure(config).unwrap()
}

/// An exchange whose error says all that one can.
fn exchange(accept: &str) -> FakeExchange {
    testing::exchange()
        .method("GET")
        .target("/internal/orders")
        .authority("orders.internal:9001")
        .header("host", "api.example.com")
        .header("accept", accept)
        .property("request.raw-target", "/v1/orders?secret=1")
        .property("request.id", "r-1")
        .property("error.title", "No <route>")
        .property("error.detail", "no route for \"x\" & 'y'")
}

/// Status, body and fields of the page for an error.
fn page(
    plugin: &mut ErrorPages,
    accept: &str,
    code: &str,
    status: u16,
) -> (u16, String, Vec<(String, String)>) {
    let action = exchange(accept).on_error(plugin, code, status);
    let reply = action.reply().unwrap();
    let body = String::from_utf8(reply.body.to_vec()).unwrap();
    (reply.status, body, reply.headers.clone())
}

fn body(plugin: &mut ErrorPages, accept: &str, code: &str, status: u16) -> String {
    page(plugin, accept, code, status).1
}

fn field<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let of_name = headers.iter().filter(|(other, _)| other == name);
    of_name.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn the_built_in_page_says_what_the_error_is_and_escapes_it() {
    let mut plugin = pages(json!({}));
    let (status, body, headers) = page(&mut plugin, HTML, "no-route", 404);
    assert_eq!(status, 404);
    assert!(body.starts_with("<!doctype html>\n<html lang=\"en\">"), "{body}");
    for part in [
        "<title>404 No &lt;route&gt;</title>",
        "<span>Error 404</span> No &lt;route&gt;</h1>",
        "<p>no route for &quot;x&quot; &amp; &#x27;y&#x27;</p>",
        "<dd>no-route</dd>",
        "<dd>r-1</dd>",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert!(
        !body.contains("://") && !body.contains("src="),
        "it loads nothing"
    );
    assert_eq!(field(&headers, "content-type"), ["text/html; charset=utf-8"]);
    assert_eq!(field(&headers, "vary"), ["accept"]);
    assert_eq!(field(&headers, "x-content-type-options"), ["nosniff"]);
    assert!(field(&headers, "content-security-policy")[0].starts_with("default-src 'none'"));
}

#[test]
fn the_built_in_text_says_the_same() {
    let mut plugin = pages(json!({}));
    let (status, body, headers) = page(&mut plugin, TEXT, "no-route", 404);
    assert_eq!(
        (status, body.as_str()),
        (
            404,
            "404 No <route>\n\nno route for \"x\" & 'y'\n\ncode: no-route\nrequest: r-1\n"
        )
    );
    assert_eq!(field(&headers, "content-type"), ["text/plain; charset=utf-8"]);
    let mut short = testing::exchange()
        .header("accept", TEXT)
        .property("error.title", "Gone");
    let action = short.on_error(&mut plugin, "gone", 410);
    assert_eq!(
        action.reply().unwrap().body.to_vec(),
        b"410 Gone\n\ncode: gone\nrequest: \n"
    );
}

#[test]
fn the_problem_document_is_left_to_the_gateway() {
    let mut plugin = pages(json!({}));
    for accept in ["application/problem+json", "application/json", "*/*", "image/png"] {
        assert!(
            exchange(accept).on_error(&mut plugin, "no-route", 404).is_next(),
            "{accept}"
        );
    }
    assert!(
        testing::exchange()
            .on_error(&mut plugin, "no-route", 404)
            .is_next()
    );
}

#[test]
fn the_default_is_for_clients_that_do_not_say() {
    for (default, start) in [("html", "<!doctype"), ("text", "404 ")] {
        let mut plugin = pages(json!({ "default": default }));
        assert!(body(&mut plugin, "*/*", "no-route", 404).starts_with(start));
        assert!(
            exchange("application/json")
                .on_error(&mut plugin, "no-route", 404)
                .is_next()
        );
    }
}

#[test]
fn a_template_can_name_what_the_client_asked_for_and_nothing_internal() {
    let all = "{{ status }}|{{ reason }}|{{ code }}|{{ title }}|{{ detail }}|{{ request_id }}|{{ method }}|{{ path }}|{{ host }}";
    let mut plugin = pages(json!({ "text": all, "html": "<i>{{ path }}</i>" }));
    assert_eq!(
        body(&mut plugin, TEXT, "no-route", 404),
        "404|Not Found|no-route|No <route>|no route for \"x\" & 'y'|r-1|GET|/v1/orders|api.example.com"
    );
    let action = exchange(HTML)
        .property("request.raw-target", "/<script>alert(1)</script>")
        .on_error(&mut plugin, "no-route", 404);
    let page = String::from_utf8(action.reply().unwrap().body.to_vec()).unwrap();
    assert_eq!(page, "<i>&#x2f;&lt;script&gt;alert(1)&lt;&#x2f;script&gt;</i>");
}

#[test]
fn the_most_specific_page_wins_wherever_it_stands() {
    let mut plugin = pages(json!({
        "text": "any",
        "pages": [
            { "status": ["4xx", "5xx"], "text": "class" },
            { "status": 404, "text": "status" },
            { "code": "no-route", "text": "code" },
            { "code": ["no-route", "gone"], "status": "4xx", "text": "code and class" },
            { "code": "no-route", "status": [404, 410], "text": "code and status" },
            { "code": "no-route", "status": 404, "text": "never: an equal stands before it" },
            { "status": 404, "html": "html status" },
            { "status": 418, "text": "teapot" },
        ],
    }));
    for (code, status, expected) in [
        ("no-route", 404, "code and status"),
        ("no-route", 405, "code and class"),
        ("no-route", 500, "code"),
        ("gone", 410, "code and class"),
        ("mock-no-match", 404, "status"),
        ("mock-no-match", 418, "teapot"),
        ("mock-no-match", 503, "class"),
    ] {
        assert_eq!(body(&mut plugin, TEXT, code, status), expected, "{code} {status}");
    }
    // The most specific page that has one in this form.
    assert_eq!(body(&mut plugin, HTML, "no-route", 404), "html status");
    assert!(body(&mut plugin, HTML, "no-route", 500).starts_with("<!doctype"));
    let mut plugin = pages(json!({ "text": "any", "pages": [{ "status": 404, "text": "one" }] }));
    assert_eq!(body(&mut plugin, TEXT, "x", 500), "any");
}

#[test]
fn fields_of_a_page_go_before_those_of_all_pages_and_those_of_the_plugin() {
    let mut plugin = pages(json!({
        "headers": { "Cache-Control": "max-age=5", "x-all": "all", "content-security-policy": "default-src *" },
        "pages": [
            { "status": "5xx", "headers": { "x-all": "5xx", "retry-after": "9" } },
            { "status": 503, "text": "sorry" },
        ],
    }));
    let (_, body, headers) = page(&mut plugin, TEXT, "overloaded", 503);
    assert_eq!(body, "sorry");
    assert_eq!(field(&headers, "x-all"), ["5xx"]);
    assert_eq!(field(&headers, "retry-after"), ["9"]);
    assert_eq!(field(&headers, "cache-control"), ["max-age=5"]);
    let (.., headers) = page(&mut plugin, HTML, "no-route", 404);
    assert_eq!(field(&headers, "x-all"), ["all"]);
    assert_eq!(field(&headers, "content-security-policy"), ["default-src *"]);
}

#[test]
fn an_own_page_is_sent_without_the_policy_of_the_built_in_one() {
    let mut plugin = pages(json!({ "html": "<img src=\"https://example.com/logo.svg\">" }));
    let (_, body, headers) = page(&mut plugin, HTML, "no-route", 404);
    assert_eq!(body, "<img src=\"https://example.com/logo.svg\">");
    assert_eq!(field(&headers, "content-security-policy"), [""; 0]);
    assert_eq!(field(&headers, "x-content-type-options"), ["nosniff"]);
}

#[test]
fn filters_work_and_a_template_that_runs_on_is_stopped() {
    let mut plugin = pages(
        json!({ "text": "{{ code | upper | replace('-', ' ') }} {{ detail | default('none', true) }}" }),
    );
    assert_eq!(
        body(&mut plugin, TEXT, "no-route", 404),
        "NO ROUTE no route for \"x\" & 'y'"
    );
    let nested = format!(
        "{}x{}",
        "{% for i in detail %}{% for j in detail %}{% for k in detail %}{% for l in detail %}",
        "{% endfor %}".repeat(4)
    );
    let mut plugin = pages(json!({ "text": nested }));
    let mut exchange = exchange(TEXT);
    assert!(exchange.on_error(&mut plugin, "no-route", 404).is_next());
    let lines = exchange.host().lines();
    assert!(format!("{lines:?}").contains("config.text"), "{lines:?}");
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    for (config, reason) in [
        (json!({ "default": "json" }), "unknown variant `json`"),
        (json!({ "html": "{{ status" }), "`config.html`: syntax error"),
        (
            json!({ "html": "{{ stack }}" }),
            "`config.html`: there is no variable `stack`; there are status, reason",
        ),
        (
            json!({ "text": "{% if status == 400 %}{{ trace }}{% endif %}" }),
            "there is no variable `trace`",
        ),
        (
            json!({ "text": "{{ code | unknown }}" }),
            "`config.text`: unknown filter",
        ),
        (
            json!({ "pages": [{ "status": 404, "text": "a" }, { "status": 500, "html": "{% if %}" }] }),
            "`pages[1].html`: syntax error",
        ),
        (
            json!({ "pages": [{ "text": "a" }] }),
            "`pages[0]` needs `status` or `code`",
        ),
        (
            json!({ "pages": [{ "status": 404 }] }),
            "`pages[0]` needs `html`, `text` or `headers`",
        ),
        (
            json!({ "pages": [{ "status": 200, "text": "a" }] }),
            "expected a status from 400 to 599",
        ),
        (
            json!({ "headers": { "Content-Type": "text/html" } }),
            "`headers` cannot set `content-type`",
        ),
        (
            json!({ "pages": [{ "status": 404, "headers": { "a b": "c" } }] }),
            "`pages[0]`: `headers`: \"a b\" with the value \"c\" cannot be sent",
        ),
        (json!({ "json": "{}" }), "unknown field `json`"),
    ] {
        let error = testing::configure::<ErrorPages>(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
