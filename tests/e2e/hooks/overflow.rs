//! Bodies that are longer than an entry takes: refused, passed by, or shown by their first bytes.

use portcullis_tests::{Answer, Gateway, Request, Upstream};

use super::trace::{exchange, post, traced, with};

/// `a` takes 8 bytes and what the test says of longer bodies; `b` takes any.
async fn gateway(main: &Upstream, overflow: &str) -> Gateway {
    let toml = format!(
        r#"
        [plugins.a]
        wasm = "trace"
        max-body = "8B"
        body-overflow = "{overflow}"
        config = {{ name = "a" }}
        [plugins.b]
        wasm = "trace"
        config = {{ name = "b" }}
        [[routes]]
        name = "both"
        match = {{ prefix = "/both" }}
        pipeline = ["a", "b"]
        upstream = "main"
        [[routes]]
        name = "main"
        match = {{ prefix = "/main" }}
        pipeline = ["a"]
        upstream = "main"
        "#
    );
    traced(main).toml(&toml).start().await
}

/// The lines of body hooks on one side.
fn bodies<'a>(lines: &'a [String], hook: &str) -> Vec<&'a str> {
    let hook = format!(" {hook} ");
    lines
        .iter()
        .filter(|line| line.contains(&hook))
        .map(String::as_str)
        .collect()
}

fn problem(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

#[tokio::test]
async fn a_body_that_just_fits_is_seen_whole() {
    let main = Upstream::fixed(200, &[], "12345678");
    for overflow in ["reject", "skip", "prefix"] {
        let gateway = gateway(&main, overflow).await;
        let (answer, lines) = exchange(&gateway, &post("12345678", &[]), 1).await;
        assert_eq!(
            bodies(&lines, "on-request-body"),
            ["a on-request-body whole 8 12345678"]
        );
        assert_eq!(
            bodies(&lines, "on-response-body"),
            ["a on-response-body 8 12345678"]
        );
        assert_eq!(answer.text(), "12345678");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_longer_request_body_is_refused() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "reject").await;
    for request in [
        Request::post("/main", "123456789"),
        Request::new("POST", "/main").chunks(["1234", "56789"]),
        Request::post("/both", "123456789"),
    ] {
        let reached = if format!("{request:?}").contains("/both") {
            2
        } else {
            1
        };
        let (answer, lines) = exchange(&gateway, &request, reached).await;
        assert_eq!(problem(&answer), (413, "body-too-large".to_owned()));
        assert!(bodies(&lines, "on-request-body").is_empty(), "{lines:?}");
    }
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_longer_request_body_passes_by_the_stage_that_skips_it() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "skip").await;
    let (_, lines) = exchange(&gateway, &post("123456789", &[]), 1).await;
    assert!(bodies(&lines, "on-request-body").is_empty(), "{lines:?}");
    let (_, lines) = exchange(&gateway, &Request::post("/both", "123456789"), 2).await;
    assert_eq!(
        bodies(&lines, "on-request-body"),
        ["b on-request-body whole 9 123456789"]
    );
    let texts: Vec<_> = main
        .requests()
        .iter()
        .map(|request| request.text().to_owned())
        .collect();
    assert_eq!(texts, ["123456789", "123456789"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn of_a_longer_request_body_the_first_bytes_are_shown_and_not_replaced() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "prefix").await;
    let orders = ["a on-request-body replace new"];
    let long = "x".repeat(100_000);
    for request in [
        Request::post("/main", long.as_str()),
        Request::new("POST", "/main").chunks([&long[..3], &long[3..10], &long[10..]]),
    ] {
        let (answer, lines) = exchange(&gateway, &with(request, &orders), 1).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            bodies(&lines, "on-request-body"),
            ["a on-request-body prefix 8 xxxxxxxx"]
        );
    }
    let (_, lines) = exchange(&gateway, &Request::post("/both", "123456789"), 2).await;
    assert_eq!(
        bodies(&lines, "on-request-body"),
        [
            "a on-request-body prefix 8 12345678",
            "b on-request-body whole 9 123456789",
        ]
    );
    let requests = main.requests();
    assert_eq!(requests[0].header("content-length"), Some("100000"));
    assert!(requests[..2].iter().all(|request| request.text() == long));
    assert_eq!(requests[2].text(), "123456789");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_prefix_can_still_be_refused() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "prefix").await;
    let (answer, _) = exchange(&gateway, &post("123456789", &["a on-request-body refuse"]), 1).await;
    assert_eq!(answer.problem(), "trace-refused");
    let (answer, _) = exchange(&gateway, &post("123456789", &["a on-request-body respond no"]), 1).await;
    assert_eq!(answer.text(), "no");
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_longer_response_body_is_refused() {
    let main = Upstream::fixed(200, &[("x-upstream", "1")], "123456789");
    let gateway = gateway(&main, "reject").await;
    let (answer, lines) = exchange(&gateway, &Request::get("/main"), 1).await;
    assert_eq!(problem(&answer), (502, "upstream-body-too-large".to_owned()));
    assert_eq!(answer.header("x-upstream"), None);
    assert!(bodies(&lines, "on-response-body").is_empty(), "{lines:?}");
    let (answer, lines) = exchange(&gateway, &Request::get("/both"), 2).await;
    assert_eq!(problem(&answer), (502, "upstream-body-too-large".to_owned()));
    assert_eq!(
        bodies(&lines, "on-response-body"),
        ["b on-response-body 9 123456789"]
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_longer_response_body_passes_by_the_stage_that_skips_it() {
    let main = Upstream::fixed(200, &[], "123456789");
    let gateway = gateway(&main, "skip").await;
    let (answer, lines) = exchange(&gateway, &Request::get("/main"), 1).await;
    assert_eq!(answer.text(), "123456789");
    assert!(bodies(&lines, "on-response-body").is_empty(), "{lines:?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn of_a_longer_response_body_the_first_bytes_are_shown_and_not_replaced() {
    let long = "x".repeat(100_000);
    let main = Upstream::fixed(200, &[], long.as_str());
    let gateway = gateway(&main, "prefix").await;
    let request = with(Request::get("/main"), &["a on-response-body replace new"]);
    let (answer, lines) = exchange(&gateway, &request, 1).await;
    assert_eq!(
        (answer.text(), answer.header("content-length")),
        (long.as_str(), Some("100000"))
    );
    assert_eq!(
        bodies(&lines, "on-response-body"),
        ["a on-response-body 8 xxxxxxxx"]
    );
    let request = with(Request::get("/main"), &["a on-response-body replace-all mine"]);
    let (answer, _) = exchange(&gateway, &request, 1).await;
    assert_eq!((answer.status, answer.text()), (203, "mine"));
    gateway.shutdown().await;
}
