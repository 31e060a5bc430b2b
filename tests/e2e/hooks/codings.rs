//! Bodies with a content coding: decoded for the hooks, forwarded as they came when nobody replaces them.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use portcullis_tests::{Request, Upstream};

use super::trace::{ENTRIES, ROUTE, abc, exchange, get, traced, with};

/// What each of these decodes to: `portcullis ` twenty times.
fn text() -> String {
    "portcullis ".repeat(20)
}

/// How a hook sees it: its length and first 32 bytes.
const SEEN: &str = "220 portcullis portcullis portcullis";

/// [`text`] in every coding.
fn encoded() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(text().as_bytes())),
        ("x-gzip", gzip(text().as_bytes())),
        ("deflate", zlib(text().as_bytes())),
        ("deflate", raw_deflate(text().as_bytes())),
        // By the reference encoders.
        ("br", hex("1bdb00f8c56d6c5df777098252150346002d9a39bead05")),
        (
            "zstd",
            hex("28b52ffd24dc95000058706f727463756c6c69732001004e53c50b9bcfd519"),
        ),
        ("deflate, gzip", gzip(&zlib(text().as_bytes()))),
    ]
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes().chunks(2);
    bytes
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn encoded_post(coding: &str, body: &[u8], orders: &[&str]) -> Request {
    with(
        Request::post("/main", body).header("content-encoding", coding),
        orders,
    )
}

#[tokio::test]
async fn requests_are_decoded_for_hooks_and_forwarded_as_they_came() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    for (coding, body) in encoded() {
        let before = main.requests().len();
        let (answer, lines) = exchange(&gateway, &encoded_post(coding, &body, &[]), 3).await;
        assert_eq!(answer.status, 200, "{coding}");
        let seen: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split_once(" on-request-body whole "))
            .map(|(_, seen)| seen.trim_end())
            .collect();
        assert_eq!(seen, [SEEN; 3], "{coding}");
        let request = main.requests().remove(before);
        assert_eq!(request.body, body, "{coding}");
        assert_eq!(request.header("content-encoding"), Some(coding));
        assert_eq!(
            request.header("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_replaced_request_body_has_no_coding() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    for (coding, body) in encoded() {
        let before = main.requests().len();
        let request = encoded_post(coding, &body, &["b on-request-body replace plain"]);
        let (_, lines) = exchange(&gateway, &request, 3).await;
        assert_eq!(lines[5], "c on-request-body whole 5 plain");
        let request = main.requests().remove(before);
        assert_eq!(
            (request.text(), request.header("content-encoding")),
            ("plain", None),
            "{coding}"
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn responses_are_decoded_for_hooks_and_handed_on_as_they_came() {
    for (coding, body) in encoded() {
        let main = Upstream::fixed(200, &[("content-encoding", coding)], body.clone());
        let gateway = abc(&main).await;
        let (answer, lines) = exchange(&gateway, &get(&[]), 3).await;
        let seen: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split_once(" on-response-body "))
            .map(|(_, seen)| seen.trim_end())
            .collect();
        assert_eq!(seen, [SEEN; 3], "{coding}");
        assert_eq!(answer.body, body, "{coding}");
        assert_eq!(answer.header("content-encoding"), Some(coding));

        let (answer, lines) = exchange(&gateway, &get(&["b on-response-body replace plain"]), 3).await;
        assert!(
            lines.contains(&"a on-response-body 5 plain".to_owned()),
            "{lines:?}"
        );
        assert_eq!(
            (answer.text(), answer.header("content-encoding")),
            ("plain", None),
            "{coding}"
        );
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn bombs_are_refused_before_a_hook_sees_them() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let zeros = vec![0; 8 << 20];
    for (coding, body) in [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        // 16 MiB of zeros by the reference encoder.
        ("br", hex("9ffffffff82700e2b14020f7fe1f")),
        ("gzip, gzip", gzip(&gzip(&zeros))),
    ] {
        let (answer, lines) = exchange(&gateway, &encoded_post(coding, &body, &[]), 3).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (413, "body-too-large"),
            "{coding}"
        );
        assert!(
            !lines.iter().any(|line| line.contains("on-request-body")),
            "{coding}: {lines:?}"
        );
    }
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_ratio_that_an_entry_allows_holds() {
    let main = Upstream::fixed(200, &[], "answer");
    // Within the size that is taken, but more than a hundred times what was sent.
    let zeros = vec![0; 512 << 10];
    let body = gzip(&zeros);
    assert!(body.len() * 100 < zeros.len());
    for (keys, status) in [("", 413), ("max-decoded-ratio = 2000\n", 200)] {
        let gateway = traced(&main)
            .toml("[gateway.plugin-defaults]\n")
            .toml(keys)
            .toml(ENTRIES)
            .toml(ROUTE)
            .start()
            .await;
        let (answer, _) = exchange(&gateway, &encoded_post("gzip", &body, &[]), 3).await;
        assert_eq!(answer.status, status, "{keys:?}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_bomb_is_passed_by_where_the_entry_says_so() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = traced(&main)
        .toml("[gateway.plugin-defaults]\nbody-overflow = \"skip\"\n")
        .toml(ENTRIES)
        .toml(ROUTE)
        .start()
        .await;
    let body = gzip(&vec![0; 8 << 20]);
    let (answer, lines) = exchange(&gateway, &encoded_post("gzip", &body, &[]), 3).await;
    assert_eq!(answer.status, 200);
    assert!(
        !lines.iter().any(|line| line.contains("on-request-body")),
        "{lines:?}"
    );
    assert_eq!(main.only_request().body, body);
    gateway.shutdown().await;
}

#[tokio::test]
async fn unknown_codings_and_damaged_bodies_of_requests_are_the_clients_fault() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let whole = gzip(text().as_bytes());
    let unsupported = (415, "unsupported-content-encoding");
    let corrupt = (400, "body-corrupt");
    for (coding, body, expected) in [
        ("compress", b"x".as_slice(), unsupported),
        ("gzip, rot13", &whole, unsupported),
        ("gzip, gzip, gzip", &whole, unsupported),
        ("gzip", b"not gzip", corrupt),
        ("gzip", &whole[..whole.len() - 1], corrupt),
        ("gzip", &[&whole[..], b"more"].concat(), corrupt),
        ("br", b"\xff\xff\xff", corrupt),
        ("zstd", b"not zstd", corrupt),
    ] {
        let (answer, lines) = exchange(&gateway, &encoded_post(coding, body, &[]), 3).await;
        assert_eq!((answer.status, answer.problem().as_str()), expected, "{coding}");
        assert!(
            !lines.iter().any(|line| line.contains("on-request-body")),
            "{coding}: {lines:?}"
        );
    }
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn responses_that_cannot_be_decoded_are_the_upstreams_fault() {
    for (coding, body, expected) in [
        ("compress", b"x".to_vec(), "upstream-body-corrupt"),
        ("gzip", b"not gzip".to_vec(), "upstream-body-corrupt"),
        ("gzip", gzip(&vec![0; 8 << 20]), "upstream-body-too-large"),
    ] {
        let main = Upstream::fixed(200, &[("content-encoding", coding), ("x-upstream", "1")], body);
        let gateway = abc(&main).await;
        let (answer, lines) = exchange(&gateway, &get(&[]), 3).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (502, expected),
            "{coding}"
        );
        assert_eq!(answer.header("x-upstream"), None);
        assert!(
            !lines.iter().any(|line| line.contains("on-response-body")),
            "{lines:?}"
        );
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn without_a_body_hook_codings_do_not_matter() {
    let body = b"not what it says".to_vec();
    let main = Upstream::fixed(200, &[("content-encoding", "rot13")], body.clone());
    let gateway = abc(&main).await;
    let orders = ["a", "b", "c"].map(|entry| {
        [
            format!("{entry} on-request skip-request-body"),
            format!("{entry} on-request skip-response-body"),
        ]
    });
    let orders = orders.concat();
    let orders: Vec<_> = orders.iter().map(String::as_str).collect();
    let (answer, _) = exchange(&gateway, &encoded_post("compress", &body, &orders), 3).await;
    assert_eq!((answer.status, &answer.body), (200, &body));
    assert_eq!(main.only_request().body, body);
    gateway.shutdown().await;
}
