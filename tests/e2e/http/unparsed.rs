//! What is no request: it is answered, counted and written down like every other error.

use portcullis_tests::patience::eventually;
use portcullis_tests::{Request, Upstream};

use super::access_log::Log;
use super::peer::Peer;
use super::{expect_problem, front};

#[tokio::test]
async fn what_cannot_be_read_is_answered_by_a_document() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    for bytes in [
        "\0\0\0\0",
        "hello\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/3.1\r\nhost: a\r\n\r\n",
        "GET / b HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nbroken\r\n\r\n",
    ] {
        let mut connection = gateway.connect().await;
        connection.write(bytes.as_bytes()).await.unwrap();
        let answer = connection.receive("GET").await.unwrap();
        expect_problem(&answer, 400, "bad-request");
        assert!(answer.header("date").is_some());
        assert_eq!(answer.header("connection"), Some("close"));
        connection.closed().await.unwrap();
    }
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn it_can_stand_behind_requests_on_the_same_connection() {
    let upstream = Upstream::fixed(200, &[], "answer");
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    for method in ["GET", "HEAD", "GET"] {
        let answer = connection.exchange(&Request::new(method, "/")).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    connection.write(b"broken\r\n\r\n").await.unwrap();
    let answer = connection.receive("GET").await.unwrap();
    expect_problem(&answer, 400, "bad-request");
    connection.closed().await.unwrap();

    // All at once.
    let mut client = Peer::connect(gateway.address()).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send(format!("{request}{request}broken\r\n\r\n")).await;
    let (answers, _) = client.rest().await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answers}");
    assert_eq!(
        answers.matches("\"code\":\"bad-request\"").count(),
        1,
        "{answers}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn it_can_stand_behind_an_answer_that_the_client_has_not_taken_yet() {
    const LARGE: usize = 8 << 20;
    let upstream = Upstream::huge(LARGE as u64);
    let gateway = front(upstream.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\n\r\nbroken\r\n\r\n")
        .await;
    client.head().await;
    client.skip(LARGE).await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\"code\":\"bad-request\""), "{answer}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_looks_like_the_parsers_stays_as_it_is() {
    let upstream = Upstream::fixed(400, &[], "");
    let gateway = front(upstream.address(), "").start().await;
    let request = Request::get("/").header("connection", "close");
    let answer = gateway.send(&request).await;
    assert_eq!((answer.status, answer.text()), (400, ""));
    assert_eq!(answer.header("content-type"), None);
    gateway.shutdown().await;
}

#[tokio::test]
async fn it_is_counted_and_written_down() {
    let (log, upstream) = (Log::new(), Upstream::echo());
    let gateway = log.on(front(upstream.address(), ""), "json").start().await;
    let mut connection = gateway.connect().await;
    connection.write(b"broken\r\n\r\n").await.unwrap();
    let answer = connection.receive("GET").await.unwrap();
    connection.closed().await.unwrap();
    eventually("the count of the error", async || {
        let metrics = gateway.metrics().await;
        (metrics.contains("code=\"bad-request\"") && metrics.contains("origin=\"client\"")).then_some(())
    })
    .await;
    let instance = answer.json()["instance"].as_str().unwrap().to_owned();
    let line = log.one_of(gateway).await;
    assert_eq!(
        (&line["status"], &line["error_code"]),
        (&400.into(), &"bad-request".into())
    );
    assert_eq!(line["client_ip"], "127.0.0.1");
    let id = line["request_id"].as_str().unwrap();
    assert!(instance.ends_with(id), "{instance} {id}");
}
