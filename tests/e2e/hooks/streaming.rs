//! Bodies that no hook asks for are not held back: each piece goes on as it comes.

use portcullis_tests::message::Framing;
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, Request, Upstream};

use super::trace::{abc, with};

/// A pipeline with hooks for heads and none for bodies.
async fn heads_only(main: &Upstream) -> Gateway {
    Gateway::new()
        .guest("gate")
        .upstream("main", main)
        .toml(
            r#"
            [plugins.gate]
            config = { keys = { key = "acme" } }
            [[routes]]
            name = "main"
            match = { prefix = "/main" }
            pipeline = ["gate", "gate"]
            upstream = "main"
            "#,
        )
        .start()
        .await
}

/// Every stage does without both bodies.
fn skipping(request: Request) -> Request {
    let orders = ["a", "b", "c"].map(|entry| {
        [
            format!("{entry} on-request skip-request-body"),
            format!("{entry} on-request skip-response-body"),
        ]
    });
    let orders = orders.concat();
    with(request, &orders.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The client has the first piece of the response before the upstream sends the second.
async fn response_streams(gateway: &Gateway, gate: &portcullis_tests::upstream::Gate, request: &Request) {
    let mut client = gateway.connect().await;
    client.send(request).await.unwrap();
    gate.open(2);
    let (status, head) = client.receive_head().await.unwrap();
    assert_eq!(status, 200);
    let framing = head.fields.framing(Framing::Close).unwrap();
    let mut pieces = Vec::new();
    let length = client
        .pieces(framing, |piece| {
            if pieces.is_empty() {
                // Only what the client has read lets the upstream send the rest.
                gate.open_for_good();
            }
            pieces.push(piece.to_vec());
        })
        .await
        .unwrap();
    assert_eq!(
        (length, pieces.concat().as_slice()),
        (11, b"firstsecond".as_slice())
    );
    assert_eq!(pieces[0], b"first");
}

#[tokio::test]
async fn a_response_streams_past_plugins_without_body_hooks() {
    let (main, gate) = Upstream::slow(&["first", "second"]);
    let gateway = heads_only(&main).await;
    response_streams(&gateway, &gate, &Request::get("/main").header("x-api-key", "key")).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_streams_past_plugins_that_skip_it() {
    let (main, gate) = Upstream::slow(&["first", "second"]);
    let gateway = abc(&main).await;
    response_streams(&gateway, &gate, &skipping(Request::get("/main"))).await;
    gateway.shutdown().await;
}

/// The upstream is sent the request before the client has sent all of its body.
async fn request_streams(gateway: &Gateway, main: &Upstream, fields: &str) {
    let mut client = gateway.connect().await;
    let head =
        format!("POST /main HTTP/1.1\r\nhost: x\r\n{fields}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    client.write(head.as_bytes()).await.unwrap();
    let begun = eventually("the request at the upstream", async || main.requests().pop()).await;
    assert!(!begun.complete);
    client.write(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(client.receive("POST").await.unwrap().status, 200);
    assert_eq!(main.only_request().text(), "firstsecond");
}

#[tokio::test]
async fn a_request_streams_past_plugins_without_body_hooks() {
    let main = Upstream::raw([
        Step::Request,
        Step::send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ]);
    let gateway = heads_only(&main).await;
    request_streams(&gateway, &main, "x-api-key: key\r\n").await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_streams_past_plugins_that_skip_it() {
    let main = Upstream::raw([
        Step::Request,
        Step::send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ]);
    let gateway = abc(&main).await;
    let fields: String = ["a", "b", "c"]
        .map(|entry| {
            format!("x-do: {entry} on-request skip-request-body\r\nx-do: {entry} on-request skip-response-body\r\n")
        })
        .concat();
    request_streams(&gateway, &main, &fields).await;
    gateway.shutdown().await;
}
