//! Upstreams that fail: what the client is told, and what is tried instead.

use std::net::SocketAddr;

use portcullis_tests::upstream::{Step, Turn};
use portcullis_tests::wire::Fault;
use portcullis_tests::{Request, Upstream};

use super::peer::Server;
use super::{expect_problem, front};

#[tokio::test]
async fn an_upstream_where_nobody_listens_is_a_bad_gateway() {
    let gateway = front(Upstream::nowhere(), "").start().await;
    for request in [Request::get("/"), Request::post("/", "x")] {
        expect_problem(&gateway.send(&request).await, 502, "upstream-connect-failed");
    }
    let failures = "portcullis_upstream_failures_total{upstream=\"up\",kind=\"connect\"}";
    assert_eq!(gateway.metric(failures).await, Some(2.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_before_its_answer_is_a_bad_gateway() {
    let steps: [&[Step]; 3] = [
        &[Step::Request, Step::Reset],
        &[Step::Request],
        &[Step::Request, Step::send("HTTP/1.1 200 OK\r\ncontent-le")],
    ];
    for steps in steps {
        let upstream = Upstream::raw(steps.iter().cloned());
        let gateway = front(upstream.address(), "").start().await;
        let mut connection = gateway.connect().await;
        for _ in 0..2 {
            let answer = connection.exchange(&Request::get("/")).await.unwrap();
            expect_problem(&answer, 502, "upstream-reset");
        }
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_rules_is_a_bad_gateway() {
    for text in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 999 Much\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx a: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: 1\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\nx-a: 1\n\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let upstream = Upstream::raw([Step::Request, Step::send(text), Step::Drain]);
        let gateway = front(upstream.address(), "").start().await;
        let answer = gateway.get("/").await;
        let document = expect_problem(&answer, 502, "upstream-malformed");
        assert!(!document.to_string().contains("OpenSSH"), "{document}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn an_answer_whose_head_is_too_large_is_a_bad_gateway() {
    for head in [
        format!("x-a: {}\r\n", "a".repeat(1_100)),
        "x-a: 1\r\n".repeat(201),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{head}content-length: 0\r\n\r\n");
        let upstream = Upstream::raw([Step::Request, Step::send(&text), Step::Drain]);
        let limit = if head.len() < 1_500 {
            "max-header-bytes = '1KiB'"
        } else {
            ""
        };
        let gateway = front(upstream.address(), limit).start().await;
        expect_problem(&gateway.get("/").await, 502, "upstream-malformed");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_is_cut_off_visibly() {
    for text in [
        "content-length: 9\r\n\r\none",
        "transfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\none\r\nzz\r\n0\r\n\r\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{text}");
        let upstream = Upstream::raw([Step::Request, Step::send(&text)]);
        let gateway = front(upstream.address(), "").start().await;
        let answer = gateway.try_send(&Request::get("/")).await;
        // What came together with the end may be lost with it.
        let cut = matches!(&answer, Err(Fault::Truncated(_) | Fault::Closed));
        let cut = cut || answer.as_ref().is_err_and(Fault::is_reset);
        assert!(cut, "{text:?}: {answer:?}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_response_to_the_end_of_its_connection_is_cut_off_visibly_by_a_reset() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut connection = gateway.connect().await;
    connection.send(&Request::get("/")).await.unwrap();
    let mut upstream = server.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\n\r\none").await;
    let (_, head) = connection.receive_head().await.unwrap();
    let framing = head
        .fields
        .framing(portcullis_tests::message::Framing::Close)
        .unwrap();
    upstream.reset();
    let end = connection.pieces(framing, |_| {}).await;
    assert!(matches!(end, Err(Fault::Truncated("body"))), "{end:?}");
    gateway.shutdown().await;
}

fn balanced(endpoints: &[SocketAddr]) -> portcullis_tests::GatewayBuilder {
    portcullis_tests::Gateway::new()
        .workers(1)
        .upstream_with("up", endpoints, "")
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

#[tokio::test]
async fn endpoints_take_turns() {
    let upstreams = [Upstream::echo(), Upstream::echo(), Upstream::echo()];
    let gateway = balanced(&upstreams.each_ref().map(Upstream::address))
        .start()
        .await;
    for _ in 0..9 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    for upstream in &upstreams {
        assert_eq!((upstream.requests().len(), upstream.connections()), (3, 1));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_next_endpoint_serves_what_one_that_is_down_cannot() {
    let (down, upstream) = (Upstream::nowhere(), Upstream::echo());
    let gateway = balanced(&[down, upstream.address(), down_too()]).start().await;
    for _ in 0..6 {
        let answer = gateway.send(&Request::post("/", "body")).await;
        assert_eq!((answer.status, &answer.json()["body"]), (200, &"body".into()));
    }
    // One that goes down while it is in use is passed by, too.
    upstream.stop();
    let answer = gateway.send(&Request::post("/", "body")).await;
    assert_eq!(answer.status, 502);
    gateway.shutdown().await;
}

/// A second address where nobody listens.
fn down_too() -> SocketAddr {
    Upstream::nowhere()
}

#[tokio::test]
async fn a_flaky_upstream_harms_only_the_requests_that_it_fails() {
    let upstream = Upstream::flaky(&[Turn::Answer(200), Turn::Reset]);
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let answer = connection.exchange(&Request::post("/", "x")).await.unwrap();
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 502, 200, 502, 200, 502]);
    gateway.shutdown().await;
}
