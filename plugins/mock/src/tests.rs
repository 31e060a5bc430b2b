//! What the plugin answers, natively.

use portcullis::serde_json::{Value, from_slice, json};
use portcullis::testing;

use super::*;

fn mock(responses: &Value) -> Result<Mock, String> {
    testing::configure(json!({ "responses": responses }))
}

#[test]
fn the_first_answer_that_fits_is_given() {
    let mut mock = mock(&json!([
        { "when": { "method": "POST", "path": "/orders" }, "status": 201, "body": "created" },
        { "when": { "path": "/orders/*", "header": { "x-version": "2" } }, "json": { "v": 2 } },
        { "when": { "path": "/orders/*" }, "json": { "v": 1 } },
        { "when": { "path": "/gone" }, "status": 410 },
    ]))
    .unwrap();
    for (exchange, status, body) in [
        (
            testing::exchange().method("POST").target("/orders?x=1"),
            201,
            "created",
        ),
        (
            testing::exchange().target("/orders/7").header("x-version", "2"),
            200,
            "{\"v\":2}",
        ),
        (
            testing::exchange().target("/orders/7").header("x-version", "3"),
            200,
            "{\"v\":1}",
        ),
        (testing::exchange().target("/gone"), 410, ""),
    ] {
        let mut exchange = exchange;
        let answer = exchange.respond(&mut mock);
        let reply = answer.reply().unwrap();
        assert_eq!(
            (reply.status, reply.body.to_vec().as_slice()),
            (status, body.as_bytes())
        );
    }
}

#[test]
fn what_fits_nothing_is_not_found() {
    let mut mock = mock(&json!([{ "when": { "path": "/a" } }])).unwrap();
    for mut exchange in [
        testing::exchange().target("/b"),
        testing::exchange().target("/a/"),
    ] {
        let answer = exchange.respond(&mut mock);
        let refusal = answer.refusal().unwrap();
        assert_eq!((refusal.status, refusal.code.as_ref()), (404, "mock-no-match"));
    }
}

#[test]
fn headers_are_sent_and_the_media_type_can_be_chosen() {
    let mut mock = mock(&json!([
        { "headers": { "X-A": ["1", "2"], "content-type": "text/html" }, "body": "<p>" },
    ]))
    .unwrap();
    let answer = testing::exchange().respond(&mut mock);
    let sent: Vec<_> = answer
        .reply()
        .unwrap()
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(sent, [("x-a", "1"), ("x-a", "2"), ("content-type", "text/html")]);
}

#[test]
fn echo_tells_what_arrived() {
    let mut mock = mock(&json!([{ "echo": true }])).unwrap();
    let mut exchange = testing::exchange()
        .method("PUT")
        .target("/a%20b?x=%201")
        .header("accept", "a")
        .header("accept", "caf\u{e9}")
        .body("12345");
    let answer = exchange.respond(&mut mock);
    let told: Value = from_slice(&answer.reply().unwrap().body.to_vec()).unwrap();
    let expected = json!({
        "method": "PUT",
        "path": "/a%20b",
        "query": "x=%201",
        "headers": { "accept": ["a", "caf\u{e9}"] },
        "body-length": 5,
    });
    assert_eq!(told, expected);
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    for (response, reason) in [
        (
            json!({ "body": "a", "echo": true }),
            "responses[0]: only one of `body`, `json` and `echo`",
        ),
        (
            json!({ "status": 199 }),
            "responses[0]: `status` is not from 200 to 599",
        ),
        (
            json!({ "headers": { "a b": "1" } }),
            "responses[0]: the header \"a b\"",
        ),
        (
            json!({ "headers": { "a": "1\r\nb: 2" } }),
            "responses[0]: the header \"a\"",
        ),
        (json!({ "delay": 1 }), "unknown field `delay`"),
    ] {
        let error = mock(&json!([response])).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
