//! What becomes of response bodies.

use super::*;

#[test]
fn a_response_that_does_not_fit_is_kept_from_the_client_with_its_errors() {
    let mut plugin = plugin(json!({ "response": { "schema": order() } })).unwrap();
    assert_eq!(answered(&mut plugin, answer(200, "{\"id\": 1}")), None);
    for exchange in [
        answer(200, "{}"),
        answer(201, "<html>"),
        answer(200, "{\"id\": 1, \"id\": 1}"),
        answer(200, ""),
        answer(200, "").with_response_header("content-length", "0"),
        testing::exchange()
            .response(200)
            .with_response_body("{\"id\": 1}"),
        answer(200, "{\"id\": 1}").with_response_header("content-type", "text/html"),
    ] {
        assert_eq!(answered(&mut plugin, exchange), Some(Value::Null));
    }
}

#[test]
fn a_client_learns_what_is_wrong_with_a_response_where_that_is_said() {
    let config = json!({ "response": { "schema": order() }, "expose-errors": true });
    let mut plugin = plugin(config).unwrap();
    let told = answered(&mut plugin, answer(200, "{\"id\": \"x\"}")).unwrap();
    assert_eq!(told["reason"], "validation-failed");
    assert_eq!(told["errors"][0]["pointer"], "/id");
    let told = answered(&mut plugin, answer(200, "{")).unwrap();
    assert_eq!(told, json!({ "reason": "body-not-json" }));
}

#[test]
fn responses_are_held_against_the_schema_of_their_status() {
    let only = |name: &str| json!({ "required": [name] });
    let config = json!({ "response": {
        "schema": only("ok"),
        "by-status": { "201": only("created"), "4xx": only("error"), "404": only("missing"), "default": only("other") },
    } });
    let mut plugin = plugin(config).unwrap();
    for (status, name) in [
        (200, "ok"),
        (299, "ok"),
        (201, "created"),
        (400, "error"),
        (404, "missing"),
        (302, "other"),
        (500, "other"),
    ] {
        let fits = answer(status, &json!({ name: 1 }).to_string());
        assert_eq!(answered(&mut plugin, fits), None, "{status}");
        assert!(answered(&mut plugin, answer(status, "{}")).is_some(), "{status}");
    }
    for status in [101, 204, 205, 304] {
        assert_eq!(
            answered(&mut plugin, answer(status, "")),
            None,
            "{status} has no body"
        );
    }
}

#[test]
fn a_response_without_a_schema_is_let_through() {
    let mut plugin = plugin(json!({ "response": { "schema": order() } })).unwrap();
    assert_eq!(answered(&mut plugin, answer(404, "gone")), None);
    let head = answer(200, "")
        .method("HEAD")
        .with_response_header("content-length", "0");
    assert_eq!(answered(&mut plugin, head), None);
    let config = json!({ "response": { "by-status": { "default": order() }, "required": false } });
    let mut plugin = self::plugin(config).unwrap();
    let empty = answer(200, "").with_response_header("content-length", "0");
    assert_eq!(answered(&mut plugin, empty), None);
    let error = answer(503, "{}").property("error.kind", "upstream-timeout");
    assert_eq!(
        answered(&mut plugin, error),
        None,
        "an error of the gateway is not the upstream's"
    );
}
