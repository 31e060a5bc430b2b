//! Fields: what ends at the gateway, what it adds, what it leaves alone.

use portcullis_tests::upstream::Step;
use portcullis_tests::{Request, Upstream};

use super::front;

#[tokio::test]
async fn what_belongs_to_the_clients_connection_does_not_reach_the_upstream() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let request = Request::post("/", "body")
        .header(
            "connection",
            "keep-alive, X-Hop, authorization, x-forwarded-for, content-length",
        )
        .header("connection", "x-other")
        .header("x-hop", "1")
        .header("x-other", "2")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "Basic eDp5")
        .header("te", "trailers, gzip")
        .header("trailer", "x-sum")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQAAP__")
        .header("authorization", "Bearer t")
        .header("x-end", "3");
    assert_eq!(gateway.send(&request).await.status, 200);
    let request = upstream.only_request();
    for name in [
        "connection",
        "x-hop",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "transfer-encoding",
    ] {
        assert!(
            request.fields.all(name).is_empty(),
            "{name}: {:?}",
            request.fields
        );
    }
    // A client cannot take away what is meant for the whole way.
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("content-length"), Some("4"));
    assert_eq!(request.header("x-end"), Some("3"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_belongs_to_the_upstreams_connection_does_not_reach_the_client() {
    let upstream = Upstream::raw([
        Step::Request,
        Step::send(
            "HTTP/1.1 200 OK\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nte: x\r\n\
             proxy-connection: close\r\nproxy-authenticate: Basic\r\nproxy-authentication-info: x\r\n\
             upgrade: h2c\r\nx-end: 2\r\ncontent-length: 2\r\n\r\nok",
        ),
    ]);
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    // The end of the upstream's connection is none of the client's business: its own goes on.
    for _ in 0..2 {
        let answer = connection.exchange(&Request::get("/")).await.unwrap();
        for name in [
            "connection",
            "x-hop",
            "keep-alive",
            "te",
            "proxy-connection",
            "proxy-authenticate",
            "proxy-authentication-info",
            "upgrade",
            "transfer-encoding",
        ] {
            assert!(answer.fields.all(name).is_empty(), "{name}: {:?}", answer.fields);
        }
        assert_eq!((answer.header("x-end"), answer.text()), (Some("2"), "ok"));
    }
    assert_eq!(upstream.connections(), 2);
    gateway.shutdown().await;
}

#[tokio::test]
async fn other_fields_pass_both_ways_with_their_bytes_lines_and_order() {
    let upstream = Upstream::raw([
        Step::Request,
        Step::Send(
            b"HTTP/1.1 207 Whatever\r\nset-cookie: a=1; path=/\r\nx-b: \xe9\xff\r\nset-cookie: b=2\r\n\
              date: Tue, 15 Nov 1994 08:12:31 GMT\r\nserver: old\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        ),
    ]);
    let gateway = front(upstream.address(), "").start().await;
    let request = Request::get("/")
        .header("x-a", "1")
        .header("X-Bytes", "caf\u{e9}\u{ff}")
        .header("x-a", "2, 3")
        .header("x-empty", "");
    let answer = gateway.send(&request).await;
    assert_eq!(answer.status, 207);
    assert_eq!(answer.fields.all("set-cookie"), ["a=1; path=/", "b=2"]);
    assert_eq!(answer.fields.bytes("x-b").unwrap(), b"\xe9\xff");
    assert_eq!(answer.fields.all("date"), ["Tue, 15 Nov 1994 08:12:31 GMT"]);
    assert_eq!(answer.fields.all("server"), ["old"]);
    let request = upstream.only_request();
    assert_eq!(request.fields.all("x-a"), ["1", "2, 3"]);
    assert_eq!(request.fields.bytes("x-bytes").unwrap(), b"caf\xe9\xff");
    assert_eq!(request.fields.all("x-empty"), [""]);
    gateway.shutdown().await;
}

fn claims() -> Request {
    Request::get("/")
        .header("host", "api.example")
        .header("x-forwarded-for", "10.1.1.1")
        .header("x-forwarded-for", "10.2.2.2")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "front.example")
        .header("x-forwarded-prefix", "/app")
        .header("forwarded", "for=10.1.1.1")
        .header("x-real-ip", "10.1.1.1")
}

#[tokio::test]
async fn forwarding_fields_of_anybody_are_replaced() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    gateway.send(&claims()).await;
    let request = upstream.only_request();
    assert_eq!(request.fields.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.fields.all("x-forwarded-proto"), ["http"]);
    assert_eq!(request.fields.all("x-forwarded-host"), ["api.example"]);
    for name in ["x-forwarded-prefix", "forwarded", "x-real-ip"] {
        assert!(request.fields.all(name).is_empty(), "{name}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn forwarding_fields_of_a_trusted_proxy_are_added_to() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("trusted-proxies = ['127.0.0.0/8']")
        .start()
        .await;
    gateway.send(&claims()).await;
    let request = upstream.only_request();
    assert_eq!(
        request.fields.all("x-forwarded-for"),
        ["10.1.1.1, 10.2.2.2, 127.0.0.1"]
    );
    assert_eq!(request.fields.all("x-forwarded-proto"), ["https"]);
    assert_eq!(request.fields.all("x-forwarded-host"), ["front.example"]);
    assert_eq!(request.fields.all("x-forwarded-prefix"), ["/app"]);
    assert_eq!(
        request.fields.all("forwarded"),
        ["for=10.1.1.1", "for=127.0.0.1;proto=http;host=\"api.example\""]
    );
    gateway.shutdown().await;
}
