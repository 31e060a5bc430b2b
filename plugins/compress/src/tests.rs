//! What the plugin answers, natively.

use std::io::Read as _;

use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeExchange};

use super::*;

fn compress(config: Value) -> Compress {
    testing::configure(config).unwrap()
}

fn text() -> Vec<u8> {
    b"portcullis ".repeat(200)
}

/// `GET /` and a text as its answer.
fn exchange(accept: &str) -> FakeExchange {
    testing::exchange()
        .header("accept-encoding", accept)
        .response(200)
        .with_response_header("content-type", "text/html; charset=utf-8")
        .with_response_body(text())
}

/// Runs both hooks, as the gateway does for a plugin that skipped no body; gives the coding.
fn run(plugin: &mut Compress, exchange: &mut FakeExchange) -> Option<String> {
    assert!(exchange.on_response(plugin).is_next());
    if exchange.skips_body(Side::Response) {
        return None;
    }
    exchange.on_response_body(plugin);
    exchange.response_header("content-encoding").map(str::to_owned)
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut text).unwrap();
    text
}

#[test]
fn a_body_is_coded_as_the_client_likes_it_best() {
    let mut plugin = compress(json!({}));
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip", Some("gzip")),
        ("zstd;q=0.5, gzip", Some("gzip")),
        ("identity", None),
        ("gzip;q=0", None),
    ] {
        let mut exchange = exchange(accept);
        assert_eq!(run(&mut plugin, &mut exchange).as_deref(), coding, "{accept}");
        assert_eq!(
            exchange.response_body().len() < text().len(),
            coding.is_some(),
            "{accept}"
        );
        assert_eq!(exchange.response_headers("vary"), ["accept-encoding"], "{accept}");
    }
    let mut exchange = exchange("gzip");
    run(&mut plugin, &mut exchange);
    assert_eq!(unzipped(exchange.response_body()), text());
}

#[test]
fn codings_are_preferred_in_the_order_of_the_configuration() {
    let mut plugin = compress(json!({ "codings": ["gzip", "br"] }));
    assert_eq!(
        run(&mut plugin, &mut exchange("br, gzip, zstd")).as_deref(),
        Some("gzip")
    );
    assert_eq!(
        run(&mut plugin, &mut exchange("br, gzip;q=0.5")).as_deref(),
        Some("br")
    );
    assert_eq!(run(&mut plugin, &mut exchange("zstd")), None);
}

#[test]
fn a_client_that_says_nothing_gets_the_body_as_it_is() {
    let mut plugin = compress(json!({}));
    let mut exchange = testing::exchange()
        .response(200)
        .with_response_header("content-type", "text/plain")
        .with_response_body(text());
    assert_eq!(run(&mut plugin, &mut exchange), None);
    assert!(exchange.skips_body(Side::Response));
    assert_eq!(exchange.response_header("vary"), Some("accept-encoding"));
}

#[test]
fn nothing_is_buffered_for_what_is_not_compressed() {
    let mut plugin = compress(json!({}));
    let get = |status: u16, fields: &[(&str, &str)]| {
        let mut exchange = testing::exchange()
            .header("accept-encoding", "gzip")
            .response(status)
            .with_response_body(text());
        for (name, value) in fields {
            exchange = exchange.with_response_header(name, value);
        }
        exchange
    };
    let html = ("content-type", "text/html");
    for (status, fields, varies) in [
        (200, &[][..], false),
        (200, &[("content-type", "image/png")], false),
        (
            200,
            &[("content-type", "text/event-stream; charset=utf-8")],
            false,
        ),
        (200, &[html, ("content-encoding", "br")], false),
        (200, &[html, ("cache-control", "max-age=5, No-Transform")], false),
        (200, &[html, ("content-length", "1023")], true),
        (200, &[html, ("content-range", "bytes 0-9/100")], true),
        (204, &[html], true),
        (205, &[html], true),
        (206, &[html], true),
        (304, &[html], false),
    ] {
        let mut exchange = get(status, fields);
        assert!(exchange.on_response(&mut plugin).is_next());
        assert!(exchange.skips_body(Side::Response), "{status} {fields:?}");
        assert_eq!(
            exchange.response_header("vary").is_some(),
            varies,
            "{status} {fields:?}"
        );
    }
    for (status, fields) in [
        (200, &[html, ("content-length", "1024")][..]),
        (200, &[html, ("content-encoding", "identity")]),
        (404, &[html]),
        (
            500,
            &[("content-type", "Application/Problem+JSON; charset=utf-8")],
        ),
    ] {
        let mut exchange = get(status, fields);
        exchange.on_response(&mut plugin);
        assert!(!exchange.skips_body(Side::Response), "{status} {fields:?}");
    }
}

#[test]
fn the_head_of_a_head_request_says_only_that_it_varies() {
    let mut plugin = compress(json!({}));
    let mut exchange = exchange("gzip")
        .method("HEAD")
        .with_response_header("etag", "\"a\"");
    exchange.on_response(&mut plugin);
    assert!(exchange.skips_body(Side::Response));
    assert_eq!(exchange.response_header("vary"), Some("accept-encoding"));
    assert_eq!(exchange.response_header("etag"), Some("\"a\""));
}

#[test]
fn a_client_can_ask_that_nobody_transforms() {
    let mut plugin = compress(json!({}));
    let mut exchange = exchange("gzip").header("cache-control", "no-cache, no-transform");
    assert_eq!(run(&mut plugin, &mut exchange), None);
    assert!(exchange.skips_body(Side::Response));
}

#[test]
fn vary_is_said_once() {
    let mut plugin = compress(json!({}));
    for (there, after) in [
        ("Accept-Encoding", vec!["Accept-Encoding"]),
        ("origin, accept-encoding", vec!["origin, accept-encoding"]),
        ("*", vec!["*"]),
        ("origin", vec!["origin", "accept-encoding"]),
    ] {
        let mut exchange = exchange("gzip").with_response_header("vary", there);
        run(&mut plugin, &mut exchange);
        assert_eq!(exchange.response_headers("vary"), after);
    }
}

#[test]
fn what_speaks_of_the_bytes_before_the_coding_goes_and_the_tag_becomes_weak() {
    let mut plugin = compress(json!({}));
    for (tag, after) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\"")] {
        let mut exchange = exchange("br").with_response_header("etag", tag);
        for name in [
            "accept-ranges",
            "content-digest",
            "repr-digest",
            "digest",
            "content-md5",
        ] {
            exchange = exchange.with_response_header(name, "x");
        }
        assert_eq!(run(&mut plugin, &mut exchange).as_deref(), Some("br"));
        assert_eq!(exchange.response_headers("etag"), [after]);
        for name in [
            "accept-ranges",
            "content-digest",
            "repr-digest",
            "digest",
            "content-md5",
        ] {
            assert_eq!(exchange.response_header(name), None, "{name}");
        }
    }
    let mut plain = exchange("identity")
        .with_response_header("etag", "\"a\"")
        .with_response_header("accept-ranges", "bytes");
    run(&mut plugin, &mut plain);
    assert_eq!(plain.response_header("etag"), Some("\"a\""));
    assert_eq!(plain.response_header("accept-ranges"), Some("bytes"));
}

#[test]
fn a_304_has_the_tag_that_the_client_knows() {
    let mut plugin = compress(json!({}));
    for (known, tag, after, varies) in [
        ("\"b\", W/\"a\"", "\"a\"", "W/\"a\"", true),
        ("\"a\"", "\"a\"", "\"a\"", false),
        ("*", "\"a\"", "\"a\"", false),
        ("W/\"a\"", "W/\"a\"", "W/\"a\"", false),
    ] {
        let mut exchange = testing::exchange()
            .header("if-none-match", known)
            .response(304)
            .with_response_header("etag", tag);
        exchange.on_response(&mut plugin);
        assert_eq!(exchange.response_header("etag"), Some(after), "{known}");
        assert_eq!(exchange.response_header("vary").is_some(), varies, "{known}");
    }
}

#[test]
fn a_body_that_coding_makes_longer_stays_as_it_is() {
    let mut plugin = compress(json!({ "min-size": "0B" }));
    let mut short = exchange("gzip").with_response_body("ab");
    assert_eq!(run(&mut plugin, &mut short), None);
    assert_eq!(short.response_body(), b"ab");
    let mut empty = exchange("gzip").with_response_body("");
    assert_eq!(run(&mut plugin, &mut empty), None);
}

#[test]
fn short_bodies_stay_as_they_are_unless_the_client_refuses_that() {
    let mut plugin = compress(json!({}));
    let mut short = exchange("gzip").with_response_body(vec![b'a'; 1023]);
    assert_eq!(run(&mut plugin, &mut short), None);
    let mut long = exchange("gzip").with_response_body(vec![b'a'; 1024]);
    assert_eq!(run(&mut plugin, &mut long).as_deref(), Some("gzip"));
    let mut refused = exchange("gzip, identity;q=0")
        .with_response_header("content-length", "2")
        .with_response_body("ab");
    assert_eq!(run(&mut plugin, &mut refused).as_deref(), Some("gzip"));
    assert_eq!(unzipped(refused.response_body()), b"ab");
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    for (config, reason) in [
        (
            json!({ "codings": [] }),
            "`codings` is empty: it takes `zstd`, `br` and `gzip`",
        ),
        (
            json!({ "codings": ["gzip", "br", "gzip"] }),
            "`codings` names `gzip` twice",
        ),
        (json!({ "codings": ["deflate"] }), "unknown variant `deflate`"),
        (json!({ "types": [] }), "`types` is empty"),
        (json!({ "types": ["json"] }), "expected a media type such as"),
        (json!({ "min-size": "1KB" }), "expected a whole number and a unit"),
        (json!({ "min-size": 1024 }), "expected a whole number and a unit"),
        (
            json!({ "gzip-level": 0 }),
            "`gzip-level` is 0: it goes from 1 to 9",
        ),
        (
            json!({ "br-level": 12 }),
            "`br-level` is 12: it goes from 0 to 11",
        ),
        (
            json!({ "zstd-level": 20 }),
            "`zstd-level` is 20: it goes from 1 to 19",
        ),
        (json!({ "level": 1 }), "unknown field `level`"),
    ] {
        let error = testing::configure::<Compress>(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
