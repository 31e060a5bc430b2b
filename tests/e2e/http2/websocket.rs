//! WebSocket over HTTP/2 (RFC 8441): what becomes of an extended CONNECT, and who may.

use portcullis_tests::http2::tunnel::{Tunnel, connect};
use portcullis_tests::http2::{Client, Reply, get, receive, server, with};
use portcullis_tests::patience::eventually;
use portcullis_tests::tls::{Authority, Dialer};
use portcullis_tests::upstream::Step;
use portcullis_tests::websocket::{EchoServer, Frame, opcode, switching};
use portcullis_tests::{Gateway, Upstream};

use super::front;
use crate::http::peer::{Peer, Server};

/// What clients send beside the key, which those that speak HTTP/2 do not send.
pub(super) fn chat() -> http::Request<()> {
    with(
        connect("websocket", "/chat?room=1"),
        "sec-websocket-version",
        "13",
    )
}

/// A tunnel whose ends the test plays: the client's and the upstream's.
pub(super) async fn opened(client: &mut Client, server: &Server) -> (Tunnel, Peer) {
    let upstream = async {
        let mut upstream = server.accept().await;
        let head = upstream.head().await;
        upstream.send(switching(&head)).await;
        upstream
    };
    tokio::join!(client.tunnel(chat()), upstream)
}

/// The answer to a request for a tunnel that is not opened.
async fn refused(client: &mut Client, request: http::Request<()>) -> Reply {
    let (response, _outflow) = client.ask(request).await;
    receive(response).await.unwrap()
}

/// The document of an error.
fn expect_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    let kind = format!("urn:portcullis:error:{code}");
    assert_eq!(reply.json()["type"], kind.as_str(), "{reply:?}");
}

#[tokio::test]
async fn an_extended_connect_becomes_an_upgrade_with_a_key_of_the_gateways() {
    let server = Server::start().await;
    let gateway = front(server.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let asked = with(chat(), "sec-websocket-protocol", "superchat");
    let asked = with(asked, "sec-websocket-key", "of the client");
    let asked = with(asked, "content-length", "0");
    let upstream = async {
        let mut upstream = server.accept().await;
        let head = upstream.head().await;
        let answer = switching(&head).replace(
            "\r\n\r\n",
            "\r\nsec-websocket-protocol: superchat\r\nx-a: 1\r\n\r\nfirst",
        );
        upstream.send(answer).await;
        (upstream, head)
    };
    let (mut tunnel, (upstream, head)) = tokio::join!(client.tunnel(asked), upstream);
    assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "host: a.example",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-protocol: superchat",
        "x-forwarded-proto: http",
        "via: 2 portcullis",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    let lines: Vec<_> = head.lines().collect();
    let keys: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("sec-websocket-key: "))
        .collect();
    assert!(matches!(keys[..], [key] if key.len() == 24), "{head}");
    for name in ["content-length", "transfer-encoding", ":protocol"] {
        assert!(!head.contains(name), "{name}: {head}");
    }
    let fields = &tunnel.headers;
    assert_eq!(fields["sec-websocket-protocol"], "superchat");
    assert_eq!(fields["x-a"], "1");
    for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
        assert!(!fields.contains_key(name), "{name}: {fields:?}");
    }
    assert_eq!(tunnel.read(5).await, b"first");
    drop((tunnel, upstream));
    gateway.shutdown().await;
}

#[tokio::test]
async fn tunnels_and_requests_share_a_connection_and_each_has_its_own_key() {
    let server = EchoServer::start().await;
    let upstream = Upstream::echo();
    let gateway = front(server.address())
        .upstream("plain", &upstream)
        .toml("[[routes]]\nname = 'plain'\nmatch = { path = '/plain' }\nupstream = 'plain'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let mut tunnels = Vec::new();
    for _ in 0..10 {
        tunnels.push(client.tunnel(chat()).await);
    }
    for round in 0..3 {
        for (number, tunnel) in tunnels.iter_mut().enumerate() {
            let text = Frame::new(opcode::TEXT, format!("{number} {round}"));
            tunnel.send(text.masked()).await;
            let echo = text.plain();
            assert_eq!(tunnel.read(echo.len()).await, echo);
        }
        assert_eq!(client.exchange(get("/plain")).await.unwrap().status, 200);
    }
    let open = "portcullis_listener_tunnels{listener=\"public\"}";
    assert_eq!(gateway.metric(open).await, Some(10.0));
    drop(tunnels);
    eventually("the end of the tunnels", async || {
        (gateway.metric(open).await == Some(0.0)).then_some(())
    })
    .await;
    assert_eq!(client.exchange(get("/plain")).await.unwrap().status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_tunnel_goes_through_tls() {
    const SITE: &str = "site.example";
    let authority = Authority::new("test");
    let leaf = authority.sign(&[SITE]);
    let server = EchoServer::start().await;
    let gateway = front(server.address())
        .file("site.pem", leaf.pem.clone())
        .file("site.key", leaf.key)
        .listener("tls.certificates = [{ cert = { file = \"site.pem\" }, key = { file = \"site.key\" } }]")
        .start()
        .await;
    let dialer = Dialer::to(gateway.address(), &authority, SITE)
        .protocols(&["h2"])
        .start();
    let mut client = Client::connect(dialer.address()).await;
    let mut tunnel = client.tunnel(chat()).await;
    let text = Frame::new(opcode::TEXT, vec![b'x'; 200_000]);
    let (sent, echo) = (text.masked(), text.plain());
    tunnel.send(sent).await;
    assert_eq!(tunnel.read(echo.len()).await, echo);
    drop(tunnel);
    client.ended().await.unwrap();
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_route_or_an_upstream_that_takes_no_websocket_refuses_it() {
    let upstream = Upstream::echo();
    let http2 = server::Server::start().await;
    let gateway = Gateway::new()
        .workers(1)
        .upstream("up", &upstream)
        .upstream_with("http2", &[http2.address()], "protocol = 'h2'")
        .toml("[[routes]]\nname = 'none'\nmatch.prefix = '/none'\nupgrades = []\nupstream = 'up'\n")
        .toml("[[routes]]\nname = 'other'\nmatch.prefix = '/other'\nupgrades = ['echo']\nupstream = 'up'\n")
        .toml("[[routes]]\nname = 'h2'\nmatch.prefix = '/h2'\nupstream = 'http2'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    for path in ["/none", "/other", "/h2"] {
        let reply = refused(&mut client, connect("websocket", path)).await;
        expect_problem(&reply, 501, "upgrade-refused");
    }
    let reply = refused(&mut client, connect("websocket", "/nowhere")).await;
    expect_problem(&reply, 404, "no-route");
    assert_eq!((upstream.requests().len(), http2.connections()), (0, 1));
    // The connection goes on.
    assert_eq!(client.exchange(get("/none")).await.unwrap().status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn connect_for_another_protocol_or_for_none_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .upstream("up", &upstream)
        .toml("[[routes]]\nname = 'all'\nupgrades = ['websocket', 'connect-udp']\nupstream = 'up'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let reply = refused(&mut client, connect("connect-udp", "/")).await;
    expect_problem(&reply, 501, "connect-refused");
    let plain = http::Request::connect("a.example:443").body(()).unwrap();
    let reply = refused(&mut client, plain).await;
    expect_problem(&reply, 501, "connect-refused");
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_stays_with_http_gives_an_answer_like_any_other() {
    let upstream = Upstream::fixed(403, &[("x-a", "1")], "no");
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let reply = refused(&mut client, chat()).await;
    assert_eq!((reply.status, reply.text()), (403, "no"));
    assert_eq!(reply.headers["x-a"], "1");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_success_that_opens_no_tunnel_is_not_shown_as_one() {
    let upstream = Upstream::fixed(200, &[("x-a", "1")], "a page");
    let gateway = front(upstream.address())
        .plugin("mock")
        .toml(
            "[[routes]]\nname = 'mock'\nmatch.path = '/mock'\nupstream = { plugin = 'mock' }\n\
             [plugins.mock]\nconfig = { responses = [{ status = 201, body = 'mocked' }] }\n",
        )
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    for path in ["/", "/mock"] {
        let reply = refused(&mut client, connect("websocket", path)).await;
        expect_problem(&reply, 501, "upgrade-refused");
        assert!(!reply.headers.contains_key("x-a"), "{reply:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_101_that_does_not_answer_the_key_is_an_error_of_the_upstream() {
    for accept in ["", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"] {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n{accept}\r\n"
        );
        let upstream = Upstream::raw([Step::Head, Step::Send(head.into_bytes()), Step::Drain]);
        let gateway = front(upstream.address()).start().await;
        let mut client = Client::connect(gateway.address()).await;
        let reply = refused(&mut client, chat()).await;
        expect_problem(&reply, 502, "upstream-malformed");
        eventually("the upstream's connection is closed", async || {
            (upstream.open() == 0).then_some(())
        })
        .await;
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_hook_can_answer_in_place_of_the_tunnel() {
    let server = Server::start().await;
    let gateway = front(server.address())
        .guest("trace")
        .toml("[plugins.a]\nwasm = 'trace'\nconfig = { name = 'a' }\n")
        .toml("[[routes]]\nname = 'a'\nmatch.path = '/chat'\npipeline = ['a']\nupstream = 'up'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let asked = with(chat(), "x-do", "a on-response refuse no");
    let upstream = async {
        let mut upstream = server.accept().await;
        let head = upstream.head().await;
        upstream.send(switching(&head)).await;
        upstream.rest().await
    };
    let (reply, _) = tokio::join!(refused(&mut client, asked), upstream);
    assert_eq!(reply.status, 418, "{reply:?}");
    gateway.shutdown().await;
}
