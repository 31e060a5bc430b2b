//! How bodies are delimited: the same on both sides, never twice, and nothing where there is none.

use portcullis_tests::message::Framing;
use portcullis_tests::upstream::Step;
use portcullis_tests::{Request, Upstream};

use super::peer::{Peer, Server};
use super::{expect_problem, front};

#[tokio::test]
async fn a_request_keeps_its_framing() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    for (request, length, coding) in [
        (Request::get("/"), None, None),
        (Request::new("DELETE", "/"), None, None),
        (Request::post("/", ""), Some("0"), None),
        (Request::post("/", "abc"), Some("3"), None),
        (Request::get("/").body("abc"), Some("3"), None),
        (Request::post("/", "").chunks(["a", "bc"]), None, Some("chunked")),
    ] {
        assert_eq!(gateway.send(&request).await.status, 200);
        let received = upstream.requests().pop().unwrap();
        assert_eq!(
            (
                received.header("content-length"),
                received.header("transfer-encoding")
            ),
            (length, coding),
            "{request:?}"
        );
        assert!(received.body.is_empty() || received.text() == "abc");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_whose_end_is_doubtful_reaches_nobody() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    for fields in [
        "content-length: 3\r\ncontent-length: 4",
        "content-length: 3, 4",
        "content-length: +3",
        "content-length: -3",
        "content-length: 0x3",
        "content-length: 3 3",
        "content-length: 99999999999999999999999",
        "content-length:",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
        "content-length : 3",
        "x-a: 1\r\n folded",
        "x-a: a\0b",
        "x-a: a\rb",
        "x a: 1",
        ": 1",
        "no colon",
    ] {
        let mut client = Peer::connect(gateway.address()).await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\nabcGET /smuggled HTTP/1.1\r\n\r\n"
            ))
            .await;
        let (answer, _) = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{fields:?}: {answer}");
        assert!(
            answer.contains("application/problem+json"),
            "{fields:?}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields:?}: {answer}");
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_old_request_with_chunks_is_refused() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
        .await;
    let (answer, _) = client.rest().await;
    assert!(answer.contains(" 400 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn chunks_go_before_a_length_and_the_connection_is_not_trusted_any_longer() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    for fields in [
        "content-length: 30\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 1",
    ] {
        let mut client = Peer::connect(gateway.address()).await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                 GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
            ))
            .await;
        let (answer, _) = client.rest().await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        if answer.starts_with("HTTP/1.1 200 ") {
            let received = upstream.requests().pop().unwrap();
            assert_eq!(
                (received.header("content-length"), received.text()),
                (None, "abc")
            );
        } else {
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_broken_chunk_is_an_error_and_never_the_end_of_the_body() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    for body in [
        "3\r\nabc\r\nzz\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let mut connection = gateway.connect().await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        connection
            .write(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        let answer = connection.receive("POST").await.unwrap();
        expect_problem(&answer, 400, "body-corrupt");
        connection.closed().await.unwrap();
    }
    assert!(upstream.requests().iter().all(|request| !request.complete));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_keeps_its_framing_and_one_without_any_gets_chunks() {
    let cases = [
        ("content-length: 3\r\n\r\nabc", Framing::Length(3)),
        (
            "transfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
            Framing::Chunked,
        ),
        ("\r\nabc", Framing::Chunked),
        (
            "content-length: 003\r\ncontent-length: 3\r\n\r\nabc",
            Framing::Length(3),
        ),
    ];
    for (rest, framing) in cases {
        let text = format!("HTTP/1.1 200 OK\r\n{rest}");
        let upstream = Upstream::raw([Step::Request, Step::send(&text)]);
        let gateway = front(upstream.address(), "").start().await;
        let mut connection = gateway.connect().await;
        for _ in 0..2 {
            let answer = connection.exchange(&Request::get("/")).await.unwrap();
            assert_eq!((answer.text(), answer.framing), ("abc", framing), "{rest:?}");
        }
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_one_whatever_its_head_says() {
    for (method, status, length, expected) in [
        ("HEAD", 200, "content-length: 5\r\n", Some("5")),
        ("HEAD", 200, "transfer-encoding: chunked\r\n", None),
        ("HEAD", 404, "content-length: 5\r\n", Some("5")),
        ("GET", 304, "content-length: 5\r\n", None),
        ("GET", 304, "", None),
        ("GET", 204, "", None),
        ("GET", 204, "content-length: 0\r\n", None),
    ] {
        let server = Server::start().await;
        let gateway = front(server.address(), "").start().await;
        let mut connection = gateway.connect().await;
        connection.send(&Request::new(method, "/1")).await.unwrap();
        let mut upstream = server.accept().await;
        upstream.head().await;
        upstream
            .send(format!("HTTP/1.1 {status} Status\r\netag: \"x\"\r\n{length}\r\n"))
            .await;
        let answer = connection.receive(method).await.unwrap();
        let case = format!("{method} {status} {length:?}: {answer:?}");
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (status, &[][..]),
            "{case}"
        );
        assert_eq!(answer.header("etag"), Some("\"x\""), "{case}");
        assert_eq!(answer.header("content-length"), expected, "{case}");
        // Both connections go on behind it.
        connection.send(&Request::get("/2")).await.unwrap();
        assert!(upstream.head().await.starts_with("GET /2 "), "{case}");
        upstream
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        assert_eq!(connection.receive("GET").await.unwrap().text(), "ok", "{case}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn an_error_answer_to_head_has_no_body() {
    let upstream = Upstream::reset();
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    let answer = connection.exchange(&Request::new("HEAD", "/")).await.unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    expect_problem(
        &connection.exchange(&Request::get("/")).await.unwrap(),
        502,
        "upstream-reset",
    );
    gateway.shutdown().await;
}

const WITH_TRAILERS: &str = "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
                             2\r\nok\r\n0\r\nx-sum: 7\r\nx-other: 8\r\n\r\n";

#[tokio::test]
async fn announced_trailers_of_the_upstream_reach_a_client_that_takes_them() {
    let upstream = Upstream::raw([Step::Request, Step::send(WITH_TRAILERS)]);
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    let asks = Request::get("/")
        .header("te", "trailers")
        .header("connection", "te");
    let answer = connection.exchange(&asks).await.unwrap();
    assert_eq!((answer.text(), answer.trailers.get("x-sum")), ("ok", Some("7")));
    assert_eq!(answer.header("trailer"), Some("x-sum"));
    let answer = connection.exchange(&Request::get("/")).await.unwrap();
    assert_eq!((answer.text(), answer.trailers.0.len()), ("ok", 0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn trailers_of_the_client_reach_the_upstream() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let request = Request::post("/", "").chunks(["abc"]).trailer("x-sum", "7");
    assert_eq!(gateway.send(&request).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(
        (request.text(), request.trailers.get("x-sum")),
        ("abc", Some("7"))
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_its_body_gets_it() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let request = upstream.wait_for_requests(1).await.remove(0);
    assert_eq!((request.text(), request.header("expect")), ("body", None));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_whose_request_is_refused_gets_no_leave_to_send_its_body() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { body = '10B' }")
        .start()
        .await;
    for (target, status) in [("/", 413), ("/%00", 400)] {
        let mut client = Peer::connect(gateway.address()).await;
        client
            .send(format!(
                "POST {target} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n"
            ))
            .await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn interim_answers_of_the_upstream_are_not_taken_for_the_answer() {
    let upstream = Upstream::raw([
        Step::Request,
        Step::send(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
             HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok",
        ),
    ]);
    let gateway = front(upstream.address(), "").start().await;
    let answer = gateway.send(&Request::post("/", "x")).await;
    assert_eq!((answer.status, answer.text()), (201, "ok"));
    gateway.shutdown().await;
}
