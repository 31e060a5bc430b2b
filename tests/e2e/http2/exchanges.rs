//! Requests over HTTP/2 and their answers, with an upstream that speaks HTTP/1.1.

use bytes::Bytes;
use http::HeaderMap;
use portcullis_tests::http2::{Client, get, receive, request, send, with};
use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, Upstream};

use super::front;

#[tokio::test]
async fn the_upstream_gets_one_plain_http_1_request() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let crumbs = with(with(get("/a?b=c"), "cookie", "a=1"), "cookie", "b=2");
    let reply = client.exchange(with(crumbs, "te", "trailers")).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.headers.contains_key("date"));
    assert!(reply.headers.contains_key("content-length"));
    let request = upstream.only_request();
    let raw = String::from_utf8(request.raw.clone()).unwrap();
    assert!(
        raw.starts_with("GET /a?b=c HTTP/1.1\r\nhost: a.example\r\n"),
        "{raw}"
    );
    assert_eq!(request.header("cookie"), Some("a=1; b=2"));
    // RFC 9110 section 10.1.4: TE is of the connection.
    assert_eq!(
        (request.header("te"), request.header("connection")),
        (Some("trailers"), Some("te"))
    );
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_keeps_its_length_and_one_without_comes_in_chunks() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let body = vec![b'x'; 300_000];
    let known = with(request("POST", "/"), "content-length", "300000");
    assert_eq!(client.upload(known, body.clone()).await.unwrap().status, 200);
    assert_eq!(
        client
            .upload(request("PUT", "/"), body.clone())
            .await
            .unwrap()
            .status,
        200
    );
    let requests = upstream.requests();
    assert_eq!(requests[0].header("content-length"), Some("300000"));
    assert_eq!(requests[1].header("transfer-encoding"), Some("chunked"));
    assert!(requests.iter().all(|request| request.body == body));
    // No body at all is none.
    assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    let last = upstream.requests().remove(2);
    assert_eq!((last.header("transfer-encoding"), last.body.len()), (None, 0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let upstream = Upstream::raw([
        Step::Request,
        Step::send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"),
    ]);
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (response, mut stream) = client.open(request("POST", "/")).await;
    send(&mut stream, Bytes::from_static(b"up")).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-up", "1".parse().unwrap());
    stream.send_trailers(trailers).unwrap();
    let reply = receive(response).await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, "abc"));
    assert_eq!(reply.trailers.unwrap()["x-sum"], "7");
    let raw = String::from_utf8(upstream.only_request().raw).unwrap();
    assert!(raw.ends_with("2\r\nup\r\n0\r\nx-up: 1\r\n\r\n"), "{raw}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn answers_without_content_have_none() {
    let upstream = Upstream::fixed(200, &[], "12345");
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let head = client.exchange(request("HEAD", "/")).await.unwrap();
    assert_eq!(
        (head.status, &head.headers["content-length"], head.body.len()),
        (200, &"5".parse().unwrap(), 0)
    );
    gateway.shutdown().await;
    let upstream = Upstream::raw([Step::Request, Step::send("HTTP/1.1 204 No Content\r\n\r\n")]);
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let empty = client.exchange(get("/")).await.unwrap();
    assert_eq!((empty.status, empty.body.len()), (204, 0));
    assert!(!empty.headers.contains_key("content-length"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn fields_of_the_upstreams_connection_stay_behind() {
    let upstream = Upstream::raw([
        Step::Request,
        Step::send(
            "HTTP/1.1 200 OK\r\nconnection: close, x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\nupgrade: h2c\r\nproxy-connection: close\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\nok",
        ),
    ]);
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let reply = client.exchange(get("/")).await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, "ok"));
    let mut names: Vec<_> = reply.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "date", "x-kept"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_is_asked_for_its_body() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let expecting = with(request("PUT", "/"), "expect", "100-continue");
    let (mut response, mut stream) = client.open(expecting).await;
    let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
    assert_eq!(interim.unwrap().unwrap().status(), 100);
    stream.send_data(Bytes::from_static(b"body"), true).unwrap();
    let reply = receive(response).await.unwrap();
    assert_eq!((reply.status, &reply.json()["body"]), (200, &"body".into()));
    assert_eq!(upstream.only_request().header("expect"), None);
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_is_refused_is_refused_with_a_document() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .workers(1)
        .upstream("up", &upstream)
        .listener("limits.headers = 20\nlimits.uri-bytes = '64B'")
        .toml("[[routes]]\nname = 'all'\nmatch = { prefix = '/in' }\nupstream = 'up'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let many = (0..21).fold(get("/in"), |request, n| with(request, &format!("x-{n}"), "1"));
    for (request, status, code) in [
        (get("/out"), 404, "no-route"),
        (with(get("/in"), "host", "b.example"), 400, "host-malformed"),
        (get(&format!("/in/{}", "a".repeat(80))), 414, "uri-too-long"),
        (many, 431, "headers-too-large"),
        (get("/in%2fa"), 400, "path-refused"),
    ] {
        let shown = format!("{request:?}");
        let reply = client.exchange(request).await.unwrap();
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (status, &code.into()),
            "{shown}"
        );
    }
    let tunnel = http::Request::builder()
        .method("CONNECT")
        .uri("a.example:443")
        .body(())
        .unwrap();
    let reply = client.exchange(tunnel).await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (501, &"connect-refused".into())
    );
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_field_section_beyond_the_limit_is_answered_431() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address())
        .listener("limits.header-bytes = '16KiB'")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let long = with(get("/"), "x-long", &"x".repeat(20_000));
    assert_eq!(client.exchange(long).await.unwrap().status, 431);
    assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    gateway.shutdown().await;
}
