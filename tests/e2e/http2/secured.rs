//! HTTP/2 over TLS: which protocol is agreed on, what streams know of the handshake, and upstreams.

use http::Request as Head;
use portcullis_tests::http2::server::Server;
use portcullis_tests::http2::{Client, get, receive, request, with};
use portcullis_tests::tls::{Authority, Dialer, Front};
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream, client};

const SITE: &str = "site.example";

/// A gateway with a certificate for [`SITE`], before what a builder gets after this.
fn secured(authority: &Authority) -> GatewayBuilder {
    let leaf = authority.sign(&[SITE]);
    Gateway::new()
        .workers(1)
        .file("site.pem", leaf.pem.clone())
        .file("site.key", leaf.key)
        .listener("tls.certificates = [{ cert = { file = \"site.pem\" }, key = { file = \"site.key\" } }]")
}

fn route(builder: GatewayBuilder, upstream: &Upstream) -> GatewayBuilder {
    builder
        .upstream("up", upstream)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

fn offering(gateway: &Gateway, authority: &Authority, protocols: &[&str]) -> Dialer {
    Dialer::to(gateway.address(), authority, SITE)
        .protocols(protocols)
        .start()
}

/// A GET as a client with TLS sends it.
fn https(path: &str) -> Head<()> {
    let uri = format!("https://{SITE}{path}");
    Head::builder().uri(uri).body(()).unwrap()
}

#[tokio::test]
async fn the_protocol_that_was_agreed_on_is_spoken() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    let gateway = route(secured(&authority), &upstream).start().await;

    let dialer = offering(&gateway, &authority, &["http/1.1", "h2"]);
    let mut streams = Client::connect(dialer.address()).await;
    assert_eq!(streams.exchange(https("/1")).await.unwrap().status, 200);
    let body = vec![b'x'; 300_000];
    let reply = streams.upload(request("POST", "/2"), body.clone()).await.unwrap();
    assert_eq!(reply.status, 200);
    let protocol = dialer.last().protocol;
    assert_eq!(protocol.as_deref(), Some("h2"), "it is preferred");
    let requests = upstream.requests();
    assert_eq!(requests[0].header("host"), Some(SITE));
    assert_eq!(requests[0].header("x-forwarded-proto"), Some("https"));
    assert_eq!(requests[0].header("via"), Some("2 portcullis"));
    assert_eq!(requests[1].body, body);
    streams.ended().await.unwrap();

    for protocols in [&["http/1.1"][..], &[]] {
        let dialer = offering(&gateway, &authority, protocols);
        let answer = client::send(dialer.address(), &Request::get("/3")).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(dialer.last().protocol.as_deref(), protocols.first().copied());
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_listener_of_one_protocol_agrees_on_no_other() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    for (only, other) in [("h2", "http/1.1"), ("http/1.1", "h2")] {
        let builder = secured(&authority).listener(&format!("protocols = ['{only}']"));
        let gateway = route(builder, &upstream).start().await;
        let both = offering(&gateway, &authority, &["http/1.1", "h2"]);
        let status = if only == "h2" {
            let mut client = Client::connect(both.address()).await;
            client.exchange(https("/")).await.unwrap().status
        } else {
            let answer = client::send(both.address(), &Request::get("/")).await;
            answer.unwrap().status
        };
        assert_eq!((status, both.last().protocol.as_deref()), (200, Some(only)));
        let refused = offering(&gateway, &authority, &[other]);
        assert!(client::send(refused.address(), &Request::get("/")).await.is_err());
        let why = refused.ended(0).await.error;
        assert!(why.contains("NoApplicationProtocol"), "{why}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn every_stream_knows_what_the_handshake_brought() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    let gateway = secured(&authority)
        .guest("probe")
        .upstream("up", &upstream)
        .toml("[[routes]]\nname = \"all\"\npipeline = [\"probe\"]\nupstream = \"up\"\n")
        .start()
        .await;
    let dialer = offering(&gateway, &authority, &["h2"]);
    let mut client = Client::connect(dialer.address()).await;
    for (key, value) in [
        ("request.scheme", "https"),
        ("http.version", "2"),
        ("tls.version", "TLSv1.3"),
        ("tls.sni", SITE),
        ("tls.alpn", "h2"),
    ] {
        let asked = with(with(https("/"), "x-case", "property"), "x-arg", key);
        assert_eq!(client.exchange(asked).await.unwrap().text(), value, "{key}");
    }
    assert_eq!(dialer.seen().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn streams_in_flight_end_at_a_shutdown_and_tls_ends_properly() {
    let authority = Authority::new("test");
    let mut server = Server::start().await;
    let gateway = secured(&authority)
        .upstream_with("up", &[server.address()], "protocol = 'h2'")
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
        .start()
        .await;
    let dialer = offering(&gateway, &authority, &["h2"]);
    let mut client = Client::connect(dialer.address()).await;
    let response = client.begin(https("/")).await.unwrap();
    let exchange = server.accept().await;
    let (reply, ()) = tokio::join!(
        async {
            let reply = receive(response).await;
            client.closed().await.unwrap();
            reply
        },
        async {
            tokio::join!(gateway.shutdown(), async { exchange.answer(200, "late") });
        }
    );
    assert_eq!(reply.unwrap().text(), "late");
    assert_eq!(dialer.ended(0).await.end.as_deref(), Some("proper"));
}

/// A gateway in clear before this front, whose upstream speaks HTTP/2.
async fn before(front: &Front, authority: &Authority) -> Gateway {
    let keys = "protocol = 'h2'\ntls = { ca = { file = \"ca.pem\" } }";
    Gateway::new()
        .workers(1)
        .file("ca.pem", authority.pem())
        .upstream_with("up", &[front.address()], keys)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
        .start()
        .await
}

#[tokio::test]
async fn an_upstream_with_tls_is_asked_for_http_2() {
    let authority = Authority::new("test");
    let mut server = Server::start().await;
    let front = Front::before(server.address(), &authority.sign(&["127.0.0.1"])).start();
    let gateway = before(&front, &authority).await;
    let mut client = Client::connect(gateway.address()).await;
    let (one, two) = (
        client.begin(get("/1")).await.unwrap(),
        client.begin(get("/2")).await.unwrap(),
    );
    for _ in 0..2 {
        let exchange = server.accept().await;
        assert_eq!(exchange.request.uri().scheme_str(), Some("https"));
        assert_eq!(exchange.request.headers()["via"], "2 portcullis");
        exchange.answer(200, "well");
    }
    assert_eq!(receive(one).await.unwrap().text(), "well");
    assert_eq!(receive(two).await.unwrap().text(), "well");
    let seen = front.seen();
    assert_eq!((seen.len(), seen[0].protocol.as_deref()), (1, Some("h2")));
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_agree_on_http_2_gets_no_request() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    for protocols in [&["http/1.1"][..], &[]] {
        let front = Front::before(upstream.address(), &authority.sign(&["127.0.0.1"]))
            .protocols(protocols)
            .start();
        let gateway = before(&front, &authority).await;
        let answer = gateway.send(&Request::post("/", "secret")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream-tls"));
        gateway.shutdown().await;
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_server_that_refuses_our_certificate_after_the_handshake_is_a_fault_of_tls() {
    let (authority, clients) = (Authority::new("test"), Authority::new("clients"));
    let server = Server::start().await;
    let front = Front::before(server.address(), &authority.sign(&["127.0.0.1"]))
        .clients_of(&clients)
        .start();
    let gateway = before(&front, &authority).await;
    // Each opens a connection: the alert races with what is written.
    for _ in 0..20 {
        let answer = gateway.send(&Request::get("/")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream-tls"));
        let answer = gateway.send(&Request::post("/", "x".repeat(100_000))).await;
        assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream-tls"));
    }
    assert_eq!(server.connections(), 0);
    gateway.shutdown().await;
}
