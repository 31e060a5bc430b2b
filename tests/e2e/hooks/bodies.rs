//! Buffered bodies: read once for all stages, replaced by one for the next, framed anew.

use portcullis_tests::message::Framing;
use portcullis_tests::{Request, Upstream};

use super::trace::{abc, exchange, get, post, with};

#[tokio::test]
async fn a_body_in_chunks_is_buffered_once_for_all_stages() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let request = Request::new("POST", "/main")
        .chunks(["he", "llo"])
        .trailer("x-sum", "17");
    let (answer, lines) = exchange(&gateway, &request, 3).await;
    assert_eq!(
        lines[3..6],
        [
            "a on-request-body whole 5 hello",
            "b on-request-body whole 5 hello",
            "c on-request-body whole 5 hello",
        ]
    );
    let request = main.only_request();
    assert_eq!(
        (request.text(), request.trailers.get("x-sum")),
        ("hello", Some("17"))
    );
    assert_eq!(answer.text(), "answer");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_replaced_request_body_is_the_next_stages_and_the_upstreams() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = ["b on-request-body replace something longer"];
    for request in [
        Request::post("/main", "hello"),
        Request::new("POST", "/main").chunks(["he", "llo"]),
    ] {
        let before = main.requests().len();
        let (_, lines) = exchange(&gateway, &with(request, &orders), 3).await;
        assert_eq!(
            lines[4..6],
            [
                "b on-request-body whole 5 hello",
                "c on-request-body whole 16 something longer",
            ]
        );
        let request = main.requests().remove(before);
        assert_eq!(request.text(), "something longer");
        assert_eq!(
            (
                request.header("content-length"),
                request.header("transfer-encoding")
            ),
            (Some("16"), None)
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_body_can_be_replaced_by_nothing() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (_, lines) = exchange(&gateway, &post("hello", &["a on-request-body replace"]), 3).await;
    assert_eq!(lines[4], "b on-request-body whole 0");
    let request = main.only_request();
    assert_eq!(
        (request.text(), request.header("content-length")),
        ("", Some("0"))
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_is_handed_back_is_the_body() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = ["a on-request-body same", "c on-response-body same"];
    let (answer, lines) = exchange(&gateway, &post("hello", &orders), 3).await;
    assert_eq!(lines[4], "b on-request-body whole 5 hello");
    assert_eq!((main.only_request().text(), answer.text()), ("hello", "answer"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_replaced_response_body_is_the_next_stages_and_the_clients() {
    let main = Upstream::fixed(200, &[("x-upstream", "1")], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(
        &gateway,
        &get(&["b on-response-body replace something longer"]),
        3,
    )
    .await;
    assert_eq!(
        lines[6..9],
        [
            "c on-response-body 6 answer",
            "b on-response-body 6 answer",
            "a on-response-body 16 something longer",
        ]
    );
    assert_eq!(
        (answer.text(), answer.framing, answer.header("x-upstream")),
        ("something longer", Framing::Length(16), Some("1"))
    );
    let (answer, _) = exchange(&gateway, &get(&["b on-response-body replace"]), 3).await;
    assert_eq!((answer.text(), answer.framing), ("", Framing::Length(0)));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_in_chunks_is_buffered_for_its_hooks() {
    let (main, gate) = Upstream::slow(&["ans", "wer"]);
    gate.open_for_good();
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &get(&[]), 3).await;
    assert_eq!(lines[6], "c on-response-body 6 answer");
    assert_eq!(answer.text(), "answer");
    let (answer, _) = exchange(&gateway, &get(&["a on-response-body replace new"]), 3).await;
    assert_eq!((answer.text(), answer.framing), ("new", Framing::Length(3)));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_stage_that_skips_a_body_does_not_see_it_and_the_others_do() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = [
        "b on-request skip-request-body",
        "b on-response skip-response-body",
    ];
    let (answer, lines) = exchange(&gateway, &post("hello", &orders), 3).await;
    let bodies: Vec<_> = lines.iter().filter(|line| line.contains("-body ")).collect();
    assert_eq!(
        bodies,
        [
            "a on-request-body whole 5 hello",
            "c on-request-body whole 5 hello",
            "c on-response-body 6 answer",
            "a on-response-body 6 answer",
        ]
    );
    assert_eq!((main.only_request().text(), answer.text()), ("hello", "answer"));
    gateway.shutdown().await;
}
