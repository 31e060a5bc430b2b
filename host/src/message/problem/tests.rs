//! The documents and the answers.

use super::*;
use proptest::prelude::*;

fn text(problem: &Problem) -> String {
    String::from_utf8(problem.document().to_vec()).unwrap()
}

#[test]
fn the_document_of_a_host_error() {
    let problem = Problem::new(ErrorKind::NoRoute)
        .with_detail("no route for GET /x")
        .with_request_id("00f1 é/");
    assert_eq!(
        text(&problem),
        r#"{"type":"urn:portcullis:error:no-route","title":"No route","status":404,"detail":"no route for GET /x","instance":"urn:portcullis:request:00f1%20%C3%A9%2F","code":"no-route"}"#
    );
}

#[test]
fn the_document_of_a_refusal() {
    let extra = r#"{"status":200,"code":"x","pointers":["/a"],"type":"y"}"#;
    let problem = Problem::refused(401, "jwt-expired".into(), "expired".into(), extra).unwrap();
    assert_eq!(
        text(&problem),
        r#"{"type":"urn:portcullis:plugin-error:jwt-expired","title":"Unauthorized","status":401,"detail":"expired","code":"jwt-expired","pointers":["/a"]}"#
    );
    assert_eq!(problem.kind, ErrorKind::PluginRefused);
}

#[test]
fn a_bad_refusal_is_named() {
    let refused = |status, code: &str, extra: &str| {
        Problem::refused(status, code.into(), String::new(), extra)
            .map(|_| ())
            .unwrap_err()
    };
    for status in [0, 99, 200, 302, 399, 600, 999] {
        assert_eq!(refused(status, "x", ""), RefusalError::Status(status));
    }
    for code in [
        "",
        "-",
        "a-",
        "-a",
        "a--b",
        "A",
        "a b",
        "a_b",
        "é",
        "a\n",
        &"a".repeat(65),
    ] {
        assert_eq!(refused(403, code, ""), RefusalError::Code, "{code:?}");
    }
    let long = format!("{{\"a\":\"{}\"}}", "a".repeat(MAX_EXTRA));
    for extra in ["[]", "1", "null", "{", "{}x", " ", &"[".repeat(10_000), &long] {
        assert_eq!(refused(403, "x", extra), RefusalError::Extra);
    }
}

#[test]
fn the_answer_has_its_fields() {
    let (status, headers, body) = Problem::new(ErrorKind::Overloaded)
        .with_retry_after(Duration::from_millis(1001))
        .answer(&Method::GET);
    assert_eq!(status, 503);
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
    assert_eq!(headers[RETRY_AFTER], "2");
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers.len(), 4);
}

#[test]
fn a_head_gets_the_same_fields() {
    let problem = Problem::new(ErrorKind::NoRoute);
    let (_, get, document) = problem.clone().answer(&Method::GET);
    let (_, head, body) = problem.answer(&Method::HEAD);
    assert_eq!(get, head);
    assert!(body.is_empty() && !document.is_empty());
}

#[test]
fn fields_of_the_connection_and_the_document_cannot_be_set() {
    let mut problem = Problem::new(ErrorKind::NoRoute);
    for name in [
        "connection",
        "transfer-encoding",
        "content-encoding",
        "content-length",
        "content-type",
    ] {
        problem = problem.with_header(HeaderName::from_static(name), HeaderValue::from_static("x"));
    }
    problem = problem
        .with_header(
            HeaderName::from_static("www-authenticate"),
            HeaderValue::from_static("Bearer"),
        )
        .with_header(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
    let (_, headers, body) = problem.answer(&Method::GET);
    assert_eq!(headers.len(), 4);
    assert_eq!(headers["www-authenticate"], "Bearer");
    assert_eq!(headers[CACHE_CONTROL], "max-age=1");
    assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
}

#[test]
fn an_answer_in_its_place_keeps_what_is_said_of_the_error() {
    let mut problem = Problem::new(ErrorKind::Overloaded).with_retry_after(Duration::from_secs(3));
    for (name, value) in [
        ("www-authenticate", "Basic"),
        ("www-authenticate", "Bearer"),
        ("content-language", "en"),
        ("content-encoding", "gzip"),
        ("etag", "\"a\""),
        ("connection", "close"),
        ("x-own", "error"),
    ] {
        problem = problem.with_header(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut answer = HeaderMap::new();
    answer.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer.insert("x-own", HeaderValue::from_static("answer"));
    problem.lend_headers(&mut answer);
    let values = |name: &str| answer.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(values("www-authenticate"), ["Basic", "Bearer"]);
    assert_eq!(values("retry-after"), ["3"]);
    assert_eq!(values("x-own"), ["answer"]);
    assert_eq!(values("cache-control"), ["no-store"]);
    assert_eq!(answer.len(), 6);

    answer.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
    problem.lend_headers(&mut answer);
    assert_eq!(answer[CACHE_CONTROL], "max-age=1");
}

proptest! {
    #[test]
    fn any_text_makes_a_valid_document(detail in any::<String>(), id in any::<String>(), key in any::<String>()) {
        let mut problem =
            Problem::new(ErrorKind::PluginFault).with_detail(detail.clone()).with_request_id(&id);
        problem.extra.insert(key.clone(), Value::String(detail.clone()));
        let document: Value = serde_json::from_slice(&problem.document()).unwrap();
        prop_assert_eq!(&document["code"], "plugin-fault");
        prop_assert_eq!(document.get("detail").is_none(), detail.is_empty());
        prop_assert!(document["instance"].as_str().unwrap().is_ascii());
        if !RESERVED.contains(&key.as_str()) {
            prop_assert_eq!(&document[&key], &Value::String(detail));
        }
    }

    #[test]
    fn any_refusal_is_survived(status in any::<u16>(), code in any::<String>(), extra in any::<String>()) {
        Problem::refused(status, code, String::new(), &extra).ok();
    }
}
