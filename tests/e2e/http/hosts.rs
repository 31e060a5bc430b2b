//! Which host a request is for, and which targets are taken at all.

use portcullis_tests::{Request, Upstream};

use super::peer::{End, Peer};
use super::{expect_problem, front};

#[tokio::test]
async fn a_request_without_exactly_one_proper_host_is_refused() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    for (fields, code) in [
        ("", "host-missing"),
        ("host: a.example\r\nhost: a.example\r\n", "host-malformed"),
        ("host: a.example\r\nHost: b.example\r\n", "host-malformed"),
        ("host:\r\n", "host-malformed"),
        ("host: a b\r\n", "host-malformed"),
        ("host: a.example, b.example\r\n", "host-malformed"),
        ("host: user@a.example\r\n", "host-malformed"),
        ("host: a.example/x\r\n", "host-malformed"),
        ("host: a.example:99999\r\n", "host-malformed"),
        ("host: a.example:80:80\r\n", "host-malformed"),
        ("host: [::1\r\n", "host-malformed"),
        ("host: a..example\r\n", "host-malformed"),
        ("host: a%2eexample\r\n", "host-malformed"),
    ] {
        let mut connection = gateway.connect().await;
        connection
            .write(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes())
            .await
            .unwrap();
        let answer = connection.receive("GET").await.unwrap();
        expect_problem(&answer, 400, code);
    }
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_upstream_gets_the_host_that_the_client_asked_for() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    gateway
        .send(&Request::get("/").header("host", "API.example.com:8443"))
        .await;
    let request = upstream.only_request();
    assert_eq!(request.fields.all("host"), ["API.example.com:8443"]);
    assert_eq!(request.header("x-forwarded-host"), Some("API.example.com:8443"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_host_of_an_absolute_target_goes_before_the_field() {
    let (upstream, other) = (Upstream::echo(), Upstream::echo());
    let gateway = front(other.address(), "")
        .upstream("real", &upstream)
        .toml("[[routes]]\nname = \"real\"\nupstream = \"real\"\nmatch = { host = \"real.example\" }\n")
        .start()
        .await;
    let request = Request::get("http://real.example:81/a/../b?c=d").header("host", "other.example");
    assert_eq!(gateway.send(&request).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.target, "/b?c=d");
    assert_eq!(request.fields.all("host"), ["real.example:81"]);
    assert!(other.requests().is_empty());

    let several = "GET http://real.example/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n";
    let mut connection = gateway.connect().await;
    connection.write(several.as_bytes()).await.unwrap();
    expect_problem(&connection.receive("GET").await.unwrap(), 400, "host-malformed");
    let user = Request::get("http://user@real.example/").header("host", "real.example");
    expect_problem(&gateway.send(&user).await, 400, "host-malformed");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let answer = gateway.send(&Request::new("CONNECT", "a.example:443")).await;
    expect_problem(&answer, 501, "connect-refused");
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upgrade_that_no_route_allows_is_not_passed_on() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let request = Request::get("/")
        .header("connection", "upgrade")
        .header("upgrade", "h2c");
    assert_eq!(gateway.send(&request).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(
        (request.header("upgrade"), request.header("connection")),
        (None, None)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_old_client_needs_no_host_and_gets_no_chunks() {
    let (upstream, gate) = Upstream::slow(&["one", "two"]);
    gate.open_for_good();
    let gateway = front(upstream.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(client.rest().await, ("onetwo".to_owned(), End::Closed));
    let request = upstream.only_request();
    assert_eq!(request.header("host"), Some(""));
    assert!(request.raw.starts_with(b"GET / HTTP/1.1\r\n"));
    gateway.shutdown().await;
}
