//! The two line formats: their fields, their escaping, their bounds.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

pub(in crate::telemetry::access_log) fn record() -> AccessRecord<'static> {
    AccessRecord {
        started_unix_ms: 1_709_251_199_007,
        request_id: RequestId::next(),
        trace: None,
        client_ip: IpAddr::from([203, 0, 113, 9]),
        method: "GET",
        host: "api.example.com",
        path: "/v1/orders",
        query: Some("page=2&token=secret"),
        protocol: "HTTP/1.1",
        route: "orders",
        status: 200,
        error_code: "",
        bytes_in: 0,
        bytes_out: 1_024,
        took: Duration::from_micros(12_345),
        aborted: false,
        upstream: "orders",
        endpoint: "127.0.0.1:9001",
        upstream_took: Some(Duration::from_micros(9_001)),
        attributes: &[("auth.subject", "alice"), ("cache.status", "miss; key=\"a b\"")],
        user_agent: "curl/8.5 \"x\"",
    }
}

fn line(format: &AccessFormat, record: &AccessRecord<'_>) -> String {
    let mut out = Vec::new();
    format.write(record, &mut out);
    String::from_utf8(out).unwrap()
}

fn style(style: LineStyle) -> AccessFormat {
    AccessFormat {
        style,
        ..AccessFormat::default()
    }
}

#[test]
fn a_json_line_has_the_fields() {
    let record = record();
    let parsed: Value = serde_json::from_str(&line(&style(LineStyle::Json), &record)).unwrap();
    let expected = serde_json::json!({
        "time": "2024-02-29T23:59:59.007Z",
        "request_id": record.request_id.to_string(),
        "client_ip": "203.0.113.9",
        "method": "GET",
        "host": "api.example.com",
        "path": "/v1/orders",
        "protocol": "HTTP/1.1",
        "route": "orders",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 1024,
        "duration_ms": 12.345,
        "upstream": "orders",
        "endpoint": "127.0.0.1:9001",
        "upstream_ms": 9.001,
        "user_agent": "curl/8.5 \"x\"",
        "attributes": { "auth.subject": "alice", "cache.status": "miss; key=\"a b\"" },
    });
    assert_eq!(parsed, expected);
}

#[test]
fn a_text_line_quotes_what_it_must() {
    let record = AccessRecord {
        trace: TraceContext::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").ok(),
        status: 502,
        error_code: "upstream-timeout",
        aborted: true,
        upstream_took: None,
        ..record()
    };
    let id = record.request_id;
    assert_eq!(
        line(&style(LineStyle::Text), &record),
        format!(
            "time=2024-02-29T23:59:59.007Z request_id={id} trace_id=4bf92f3577b34da6a3ce929d0e0e4736 \
             client_ip=203.0.113.9 method=GET host=api.example.com path=/v1/orders protocol=HTTP/1.1 route=orders \
             status=502 error_code=upstream-timeout bytes_in=0 bytes_out=1024 duration_ms=12.345 aborted=true \
             upstream=orders endpoint=127.0.0.1:9001 user_agent=\"curl/8.5 \\\"x\\\"\" attr.auth.subject=alice \
             attr.cache.status=\"miss; key=\\\"a b\\\"\"\n"
        )
    );
}

#[test]
fn the_query_is_logged_only_when_asked_and_redacted_by_decoded_name() {
    let mut format = style(LineStyle::Text);
    format.redact = vec!["Token".to_owned(), "auth.subject".to_owned()];
    assert!(!line(&format, &record()).contains("query"));
    format.query = QueryLogging::Log;
    let query = Some("page=2&to%6ben=a&token=b=c&token&other=%zz");
    let line = line(&format, &AccessRecord { query, ..record() });
    assert!(
        line.contains("query=\"page=2&to%6ben=[redacted]&token=[redacted]&token&other=%zz\""),
        "{line}"
    );
    assert!(line.contains("attr.auth.subject=[redacted]"), "{line}");
}

#[test]
fn control_characters_cannot_forge_a_line_or_move_the_cursor() {
    let nasty = "a\r\nstatus=200 \u{1b}[2J\u{9b}2J\u{7f}\u{2028}\u{202e}\0é";
    for style in [LineStyle::Json, LineStyle::Text] {
        let attributes = [(nasty, nasty)];
        let record = AccessRecord {
            path: nasty,
            user_agent: nasty,
            attributes: &attributes,
            ..record()
        };
        let line = line(&self::style(style), &record);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.trim_end().chars().any(is_dangerous), "{line:?}");
        assert!(
            line.contains("\\u001b[2J\\u009b2J\\u007f\\u2028\\u202e\\u0000é"),
            "{line}"
        );
    }
}

#[test]
fn long_texts_and_many_attributes_are_cut() {
    let long = "é".repeat(5_000);
    let attributes: Vec<(&str, &str)> = (0..1_000).map(|_| ("name", long.as_str())).collect();
    let record = AccessRecord {
        path: &long,
        attributes: &attributes,
        ..record()
    };
    for style in [LineStyle::Json, LineStyle::Text] {
        let line = line(&self::style(style), &record);
        assert!(
            line.len() < (MAX_ATTRIBUTES + 2) * (MAX_TEXT_BYTES + 20),
            "{}",
            line.len()
        );
        assert!(line.contains("é...\""));
    }
}

proptest! {
    #[test]
    fn any_text_comes_back_from_json(path in any::<String>(), agent in "\\PC{0,20}", name in any::<String>()) {
        let attributes = [(name.as_str(), path.as_str())];
        let record = AccessRecord { path: &path, user_agent: &agent, attributes: &attributes, ..record() };
        let text = line(&style(LineStyle::Json), &record);
        prop_assert_eq!(text.matches('\n').count(), 1);
        let parsed: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(parsed["path"].as_str().unwrap_or(""), path.as_str());
        prop_assert_eq!(parsed["attributes"][&name].as_str().unwrap(), path.as_str());
    }

    #[test]
    fn any_text_is_one_text_line(path in any::<String>()) {
        let text = line(&style(LineStyle::Text), &AccessRecord { path: &path, ..record() });
        prop_assert_eq!(text.matches('\n').count(), 1);
        prop_assert_eq!(text.matches(" status=200 ").count(), 1 + path.matches(" status=200 ").count());
    }

    #[test]
    fn a_redacted_value_never_shows(prefix in "[a-z=&%]{0,8}", value in "[A-Z]{6,9}") {
        let mut format = style(LineStyle::Json);
        format.query = QueryLogging::Log;
        format.redact = vec!["key".to_owned()];
        let query = format!("{prefix}&key={value}");
        let text = line(&format, &AccessRecord { query: Some(&query), ..record() });
        prop_assert!(!text.contains(&value));
    }
}
