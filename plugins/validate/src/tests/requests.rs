//! What becomes of request bodies.

use super::*;

#[test]
fn a_body_that_fits_passes_unchanged() {
    let mut plugin = of_requests(json!({}));
    let body = r#"{"id": 1, "notes": ["a"], "more": null}"#;
    let mut exchange = post(body);
    assert!(exchange.on_request(&mut plugin).is_next());
    assert!(exchange.on_request_body(&mut plugin).is_next());
    assert_eq!(exchange.request_body(), body.as_bytes());
    assert_eq!(exchange.attribute("validate.request"), None);
}

#[test]
fn a_body_that_does_not_fit_is_refused_with_all_its_errors() {
    let mut plugin = of_requests(json!({}));
    let (status, code, extra) = refused(&mut plugin, post(r#"{"notes": ["a", 7, "b", null]}"#)).unwrap();
    assert_eq!((status, code.as_str()), (400, "validation-failed"));
    let expected = json!([
        { "pointer": "", "detail": "\"id\" is a required property", "keyword": "required" },
        { "pointer": "/notes/1", "detail": "value is not of type \"string\"", "keyword": "type" },
        { "pointer": "/notes/3", "detail": "value is not of type \"string\"", "keyword": "type" },
    ]);
    let mut found = extra["errors"].as_array().unwrap().clone();
    found.sort_by_key(ToString::to_string);
    let mut expected = expected.as_array().unwrap().clone();
    expected.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
}

#[test]
fn errors_are_listed_up_to_their_number() {
    let body = format!("{{\"id\": 1, \"notes\": [{}0]}}", "0,".repeat(500));
    for (config, count) in [
        (json!({}), 20),
        (json!({ "max-errors": 1 }), 1),
        (json!({ "max-errors": 100 }), 100),
    ] {
        let (_, _, extra) = refused(&mut of_requests(config), post(&body)).unwrap();
        assert_eq!(extra["errors"].as_array().unwrap().len(), count);
        assert!(
            extra.to_string().len() < 64 * 1024,
            "the gateway would not take it"
        );
    }
}

#[test]
fn the_longest_errors_fit_into_an_answer() {
    let config =
        json!({ "request": { "schema": { "additionalProperties": { "type": "null" } } }, "max-errors": 100 });
    let members: Vec<String> = (0..100)
        .map(|n| format!("\"{}{n}\": 0", "\\u0001".repeat(250)))
        .collect();
    let body = format!("{{{}}}", members.join(","));
    let (_, _, extra) = refused(&mut plugin(config).unwrap(), post(&body)).unwrap();
    assert!(!extra["errors"].as_array().unwrap().is_empty());
    assert!(
        extra.to_string().len() < 64 * 1024,
        "{} bytes",
        extra.to_string().len()
    );
}

#[test]
fn what_is_no_json_is_refused() {
    let mut plugin = of_requests(json!({}));
    for (body, expected) in [
        ("{\"id\": 1", "body-not-json"),
        ("id=1", "body-not-json"),
        (" ", "body-not-json"),
        (r#"{"id": 1, "id": "x"}"#, "body-ambiguous"),
        (r#"{"id": "x", "i\u0064": 1}"#, "body-ambiguous"),
        (r#"{"id": 1, "more": {"a": 1, "a": 1}}"#, "body-ambiguous"),
        (&"[".repeat(100), "body-too-complex"),
        (&format!("[{}0]", "0,".repeat(10_000)), "body-too-complex"),
    ] {
        let found = code(&mut plugin, post(body));
        assert_eq!(found, Some((400, expected.to_owned())), "{body:.60}");
    }
}

#[test]
fn bounds_and_duplicates_are_the_operators_to_choose() {
    let mut plugin = of_requests(json!({ "max-depth": 2, "max-values": 4, "duplicate-keys": "last" }));
    for (body, expected) in [
        (r#"{"id": "x", "id": 1}"#, None),
        (r#"{"id": 1, "id": "x"}"#, Some("validation-failed")),
        (r#"{"id": 1, "a": [1]}"#, None),
        (r#"{"id": 1, "a": [1, 2]}"#, Some("body-too-complex")),
        (r#"{"id": 1, "a": [[]]}"#, Some("body-too-complex")),
    ] {
        let found = code(&mut plugin, post(body)).map(|(_, code)| code);
        assert_eq!(found.as_deref(), expected, "{body}");
    }
}

#[test]
fn a_body_is_needed_by_methods_that_are_nothing_without() {
    let mut plugin = of_requests(json!({}));
    for (method, expected) in [
        ("POST", Some((400, "body-missing".to_owned()))),
        ("PUT", Some((400, "body-missing".to_owned()))),
        ("PATCH", Some((400, "body-missing".to_owned()))),
        ("GET", None),
        ("DELETE", None),
        ("OPTIONS", None),
    ] {
        let bare = || testing::exchange().method(method);
        assert_eq!(code(&mut plugin, bare()), expected, "{method}");
        // A chunked body turns out to be empty only when it is read.
        let chunked = bare()
            .property("request.body", "unread")
            .header("content-type", "application/json");
        assert_eq!(code(&mut plugin, chunked), expected, "{method}");
    }
    let config = json!({ "request": { "schema": order(), "required": false } });
    assert_eq!(code(&mut self::plugin(config).unwrap(), post("")), None);
}

#[test]
fn a_body_is_checked_whatever_the_method() {
    let mut plugin = of_requests(json!({}));
    for method in ["GET", "DELETE", "X"] {
        let found = code(&mut plugin, post("{}").method(method));
        assert_eq!(found, Some((400, "validation-failed".to_owned())), "{method}");
    }
}

#[test]
fn a_body_of_another_media_type_is_refused_before_it_is_read() {
    let mut plugin = of_requests(json!({}));
    let typed = |content_type: &str| {
        testing::exchange()
            .method("POST")
            .header("content-type", content_type)
            .body("{\"id\": 1}")
    };
    let bare = testing::exchange().method("POST").body("{\"id\": 1}");
    for mut exchange in [
        typed("text/plain"),
        typed("application/x-www-form-urlencoded"),
        typed("application/json;charset=utf-16"),
        typed("application/json").header("content-type", "text/plain"),
        bare,
    ] {
        let action = exchange.on_request(&mut plugin);
        let refusal = action.refusal().unwrap();
        assert_eq!(
            (refusal.status, refusal.code.as_ref()),
            (415, "media-type-unsupported")
        );
    }
    assert_eq!(code(&mut plugin, typed("application/vnd.order+json")), None);
    let config = json!({ "request": { "schema": order(), "content-types": "text/*" } });
    let mut plugin = self::plugin(config).unwrap();
    assert_eq!(code(&mut plugin, typed("text/plain")), None);
    assert!(code(&mut plugin, typed("application/json")).is_some());
}

#[test]
fn the_first_bytes_of_a_long_body_are_not_taken_for_the_whole() {
    let mut plugin = of_requests(json!({}));
    let found = code(
        &mut plugin,
        post("{\"id\": 1}").property("request.body", "prefix"),
    );
    assert_eq!(found, Some((413, "body-incomplete".to_owned())));
}
