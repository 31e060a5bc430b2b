//! HTTP inside of TLS: bodies of any size, pipelining, slow readers, errors, and the end of connections.

use portcullis_tests::message::Framing;
use portcullis_tests::patience::at_rest;
use portcullis_tests::tls::{Authority, Dialer, TLS12, TLS13};
use portcullis_tests::{Connection, Request, Upstream};

use super::{ALL, dialer, echo, with_tls};

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| b"0123456789abcdef-"[at % 17]).collect()
}

#[tokio::test]
async fn bodies_of_any_size_go_both_ways() {
    let authority = Authority::new("test");
    let (upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    for versions in [TLS12, TLS13] {
        let dialer = Dialer::to(gateway.address(), &authority, "site.example")
            .versions(versions)
            .start();
        let mut connection = Connection::open(dialer.address()).await.unwrap();
        for length in [0, 1, 16_383, 16_384, 16_385, 65_537, 1 << 20] {
            let body = bytes(length);
            let pieces: Vec<Vec<u8>> = body.chunks(10_000).map(<[u8]>::to_vec).collect();
            for request in [
                Request::post("/", body.clone()),
                Request::new("POST", "/").chunks(pieces),
            ] {
                let answer = connection.exchange(&request).await.unwrap();
                assert_eq!(answer.status, 200);
                assert_eq!(
                    answer.json()["body"].as_str().unwrap().as_bytes(),
                    body,
                    "{length}"
                );
            }
        }
        assert_eq!(dialer.seen().len(), 1);
    }
    assert!(upstream.requests().iter().all(|request| request.complete));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_upstream_back() {
    const HUGE: u64 = 256 << 20;
    let authority = Authority::new("test");
    let upstream = Upstream::huge(HUGE);
    let gateway = with_tls(&[&authority.sign(&["site.example"])])
        .upstream("up", &upstream)
        .toml(ALL)
        .start()
        .await;
    let dialer = dialer(&gateway, &authority);
    let mut connection = Connection::open(dialer.address()).await.unwrap();
    connection.send(&Request::get("/")).await.unwrap();
    let (status, head) = connection.receive_head().await.unwrap();
    assert_eq!(status, 200);
    // The upstream stops once all buffers between are full, long before its end.
    at_rest("the upstream to stop", || upstream.sent()).await;
    assert!(upstream.sent() < HUGE / 4, "{}", upstream.sent());
    let framing = head.fields.framing(Framing::Close).unwrap();
    let count = connection.pieces(framing, |_| {}).await.unwrap();
    assert_eq!(count, HUGE);
    gateway.shutdown().await;
}

#[tokio::test]
async fn pipelined_requests_and_bad_heads_are_answered_as_in_clear() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    let dialer = dialer(&gateway, &authority);
    let mut connection = Connection::open(dialer.address()).await.unwrap();
    let host = "host: site.example\r\n\r\n";
    connection
        .write(format!("GET /1 HTTP/1.1\r\n{host}GET /2 HTTP/1.1\r\n{host}").as_bytes())
        .await
        .unwrap();
    for target in ["/1", "/2"] {
        let answer = connection.receive("GET").await.unwrap();
        assert_eq!(answer.json()["target"], target);
    }
    connection.write(b"nonsense\r\n\r\n").await.unwrap();
    let answer = connection.receive("GET").await.unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (400, "bad-request"));
    connection.closed().await.unwrap();
    assert_eq!(dialer.ended(0).await.end.as_deref(), Some("proper"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn connections_end_properly_when_the_gateway_shuts_down() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    let dialer = dialer(&gateway, &authority);
    let mut idle = Connection::open(dialer.address()).await.unwrap();
    assert_eq!(idle.exchange(&Request::get("/")).await.unwrap().status, 200);
    // One that never begins its handshake does not hold it up.
    let silent = gateway.connect().await;
    gateway.shutdown().await;
    assert_eq!(dialer.ended(0).await.end.as_deref(), Some("proper"));
    drop(silent);
}

#[tokio::test]
async fn the_upstream_learns_that_the_request_came_by_tls() {
    let authority = Authority::new("test");
    let (upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    let dialer = dialer(&gateway, &authority);
    let request = Request::get("/").header("x-forwarded-proto", "http");
    let answer = portcullis_tests::client::send(dialer.address(), &request)
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let received = upstream.only_request();
    assert_eq!(received.fields.get("x-forwarded-proto"), Some("https"));
    gateway.shutdown().await;
}
