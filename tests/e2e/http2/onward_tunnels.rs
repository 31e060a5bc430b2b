//! WebSocket and other upgrades to upstreams that speak HTTP/2 (RFC 8441): what they are asked, and what clients of
//! either protocol get.

mod ends;

use bytes::Bytes;
use h2::SendStream;
use h2::ext::Protocol;
use h2::server::Builder;
use http::HeaderMap;
use portcullis_tests::http2::frames::{self, Wire, frame};
use portcullis_tests::http2::server::{Exchange, Server};
use portcullis_tests::http2::{Client, next, receive, send, with};
use portcullis_tests::patience::eventually;
use portcullis_tests::websocket::tunnelled::EchoTunnels;
use portcullis_tests::websocket::{self, EchoServer, Frame, opcode};
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::websocket::chat;

const TUNNELS: &str = "portcullis_listener_tunnels{listener=\"public\"}";

fn front(upstream: std::net::SocketAddr, keys: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", &[upstream], &format!("protocol = 'h2'\n{keys}"))
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\nupgrades = ['websocket', 'x']\n")
}

/// A server that takes extended CONNECT.
async fn server() -> Server {
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    Server::start_with(builder).await
}

/// A tunnel whose ends the test plays, from a client of HTTP/1.1.
async fn opened(gateway: &Gateway, server: &mut Server) -> (websocket::Client, Exchange, SendStream<Bytes>) {
    let (client, (exchange, outflow)) = tokio::join!(
        websocket::Client::open(gateway.address(), "/chat?room=1", ""),
        async {
            let mut exchange = server.accept().await;
            let outflow = exchange.open(HeaderMap::new());
            (exchange, outflow)
        }
    );
    (client, exchange, outflow)
}

fn protocol(exchange: &Exchange) -> &str {
    exchange.request.extensions().get::<Protocol>().unwrap().as_str()
}

async fn no_tunnels(gateway: &Gateway) {
    eventually("no tunnel is left", async || {
        (gateway.metric(TUNNELS).await == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_becomes_an_extended_connect_and_its_success_a_101() {
    let mut server = server().await;
    let gateway = front(server.address(), "").start().await;
    let fields = "sec-websocket-protocol: superchat\r\nx-a: 1\r\n";
    let (mut client, mut exchange) = tokio::join!(
        websocket::Client::open(gateway.address(), "/chat?room=1", fields),
        async {
            let mut exchange = server.accept().await;
            let mut headers = HeaderMap::new();
            headers.insert("sec-websocket-protocol", "superchat".parse().unwrap());
            // It is to be ignored.
            headers.insert("content-length", "7".parse().unwrap());
            let mut outflow = exchange.open(headers);
            send(&mut outflow, Bytes::from_static(b"first")).await.unwrap();
            (exchange, outflow)
        }
    );
    let request = &exchange.0.request;
    assert_eq!(protocol(&exchange.0), "websocket");
    assert_eq!(request.uri(), "http://a/chat?room=1");
    for (name, value) in [
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "superchat"),
        ("x-a", "1"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(request.headers()[name], value, "{name}");
    }
    for name in [
        "sec-websocket-key",
        "upgrade",
        "connection",
        "host",
        "content-length",
    ] {
        assert!(!request.headers().contains_key(name), "{name}");
    }
    let head = client.head.to_ascii_lowercase();
    assert!(
        head.contains("\r\nsec-websocket-protocol: superchat\r\n"),
        "{head}"
    );
    assert!(!head.contains("content-length"), "{head}");
    let mut first = [0; 5];
    client.stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first");
    client.stream.write_all(b"second").await.unwrap();
    let got = next(exchange.0.request.body_mut()).await.unwrap().unwrap();
    assert_eq!(got, "second");
    drop((client, exchange));
    gateway.shutdown().await;
}

#[tokio::test]
async fn tunnels_and_requests_of_both_protocols_share_a_connection() {
    let mut server = server().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let mut ends = Vec::new();
    for _ in 0..3 {
        let (tunnel, exchange) = tokio::join!(client.tunnel(chat()), async {
            let mut exchange = server.accept().await;
            assert_eq!(protocol(&exchange), "websocket");
            assert!(!exchange.request.headers().contains_key("sec-websocket-key"));
            let outflow = exchange.open(HeaderMap::new());
            (exchange, outflow)
        });
        assert!(!tunnel.headers.contains_key("sec-websocket-accept"));
        let old = opened(&gateway, &mut server).await;
        ends.push((tunnel, exchange, old));
        let (answer, ()) = tokio::join!(gateway.get("/"), async {
            server.accept().await.answer(200, "plain");
        });
        assert_eq!(answer.text(), "plain");
    }
    for (tunnel, (exchange, outflow), _) in &mut ends {
        tunnel.send("there").await;
        let got = next(exchange.request.body_mut()).await.unwrap().unwrap();
        assert_eq!(got, "there");
        send(outflow, Bytes::from_static(b"back")).await.unwrap();
        assert_eq!(tunnel.read(4).await, b"back");
    }
    assert_eq!(gateway.metric(TUNNELS).await, Some(6.0));
    assert_eq!(server.connections(), 1);
    drop(ends);
    no_tunnels(&gateway).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_say_that_it_takes_tunnels_gets_no_websocket() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    for _ in 0..2 {
        let (_stream, head) = websocket::Client::ask(gateway.address(), "/", "").await;
        assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
    }
    let mut client = Client::connect(gateway.address()).await;
    let (response, _outflow) = client.ask(chat()).await;
    let reply = receive(response).await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (501, &"upgrade-refused".into())
    );
    assert_eq!(server.connections(), 1);
    gateway.shutdown().await;
}

/// A request for an upgrade as HTTP/1.1 has it.
fn upgrade(method: &str, protocols: &str) -> Request {
    Request::new(method, "/")
        .header("connection", "upgrade")
        .header("upgrade", protocols)
}

/// What becomes of an upgrade.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Tunnel,
    Plain,
    Refused,
}

#[tokio::test]
async fn another_protocol_is_asked_for_where_that_can_be_and_passed_over_elsewhere() {
    use Fate::{Plain, Refused, Tunnel};
    let (mut takes, mut plain) = (server().await, Server::start().await);
    for (takes_it, method, protocols, fate) in [
        (true, "GET", "x/1, websocket", Tunnel),
        (true, "OPTIONS", "x", Plain),
        (true, "OPTIONS", "x, websocket", Refused),
        (false, "GET", "x", Plain),
        (false, "GET", "x, websocket", Refused),
    ] {
        let server = if takes_it { &mut takes } else { &mut plain };
        let gateway = front(server.address(), "").start().await;
        let mut connection = gateway.connect().await;
        connection.send(&upgrade(method, protocols)).await.unwrap();
        if fate == Refused {
            let answer = connection.receive(method).await.unwrap();
            assert_eq!(answer.status, 501, "{method} {protocols}");
            gateway.shutdown().await;
            continue;
        }
        let mut exchange = server.accept().await;
        if fate == Tunnel {
            assert_eq!(protocol(&exchange), "x");
            let _outflow = exchange.open(HeaderMap::new());
            let (status, head) = connection.receive_head().await.unwrap();
            assert_eq!((status, head.fields.get("upgrade")), (101, Some("x")));
            assert_eq!(head.fields.get("sec-websocket-accept"), None);
            drop(exchange);
        } else {
            assert_eq!(exchange.request.method(), method);
            assert!(exchange.request.extensions().get::<Protocol>().is_none());
            exchange.answer(200, "");
            assert_eq!(connection.receive(method).await.unwrap().status, 200);
        }
        drop(connection);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_handshake_whose_key_nobody_would_look_for_is_refused() {
    let server = server().await;
    let gateway = front(server.address(), "").start().await;
    let twice = upgrade("GET", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for request in [upgrade("GET", "websocket"), twice] {
        let answer = gateway.send(&request).await;
        assert_eq!((answer.status, &*answer.problem()), (501, "upgrade-refused"));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn any_answer_but_a_success_is_passed_on_and_ends_the_request() {
    let mut server = server().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (response, _outflow) = client.ask(chat()).await;
    let mut exchange = server.accept().await;
    let response_of_server = http::Response::builder().status(403).body(()).unwrap();
    let mut body = exchange.respond.send_response(response_of_server, false).unwrap();
    // The request has no more to say.
    assert!(next(exchange.request.body_mut()).await.unwrap().is_none());
    body.send_data(Bytes::from_static(b"no"), true).unwrap();
    let reply = receive(response).await.unwrap();
    assert_eq!((reply.status, reply.text()), (403, "no"));
    let (asked, ()) = tokio::join!(websocket::Client::ask(gateway.address(), "/", ""), async {
        server.accept().await.answer(404, "");
    });
    assert!(asked.1.starts_with("HTTP/1.1 404 "), "{}", asked.1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_fallback_takes_an_upgrade_over_whichever_protocol_either_upstream_speaks() {
    let (http1, http2, without) = (
        EchoServer::start().await,
        EchoTunnels::start().await,
        Server::start().await,
    );
    let dead = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let gateway = Gateway::new()
        .workers(1)
        .upstream_with("dead", &[dead], "fallback = 'http2'")
        .upstream_with("http2", &[http2.address()], "protocol = 'h2'")
        .upstream_with(
            "without",
            &[without.address()],
            "protocol = 'h2'\nfallback = 'http1'",
        )
        .upstream_with("http1", &[http1.address()], "")
        .toml("[[routes]]\nname = 'a'\nmatch.path = '/a'\nupstream = 'dead'\n")
        .toml("[[routes]]\nname = 'b'\nmatch.path = '/b'\nupstream = 'without'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    for path in ["/a", "/b"] {
        let mut old = websocket::Client::open(gateway.address(), path, "").await;
        old.echoes("hello").await;
        let asked = portcullis_tests::http2::tunnel::connect("websocket", path);
        let mut tunnel = client.tunnel(with(asked, "sec-websocket-version", "13")).await;
        let text = Frame::new(opcode::TEXT, "hello");
        tunnel.send(text.masked()).await;
        assert_eq!(tunnel.read(text.plain().len()).await, text.plain());
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn nothing_is_asked_before_the_upstream_has_said_what_it_takes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = front(address, "first-byte-timeout = '200ms'").start().await;
    let play = async {
        let mut wire = Wire::accept(&listener).await;
        // Settings are late: it asks for them by a PING, and for nothing else.
        let ping = wire.next_of(&[frames::PING, frames::HEADERS]).await.unwrap();
        assert_eq!((ping.kind, ping.flags), (frames::PING, 0));
        // RFC 8441 section 9.1.
        let settings = frame(frames::SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1]);
        let pong = frame(frames::PING, frames::ACK, 0, &ping.payload);
        wire.send(&[settings, pong].concat()).await;
        let head = wire.next_of(&[frames::HEADERS]).await.unwrap();
        assert_eq!(head.flags & frames::END_STREAM, 0);
        // `:status: 200` in the static table (RFC 7541).
        wire.send(&frame(frames::HEADERS, frames::END_HEADERS, head.stream, &[0x88]))
            .await;
        wire.send(&frame(frames::DATA, 0, head.stream, b"hi")).await;
        wire
    };
    let (mut client, wire) = tokio::join!(websocket::Client::open(gateway.address(), "/", ""), play);
    let mut got = [0; 2];
    client.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hi");
    drop((client, wire));
    // One that never says it is as slow as any that does not answer.
    let ((_stream, head), _wire) = tokio::join!(
        websocket::Client::ask(gateway.address(), "/", ""),
        Wire::accept(&listener)
    );
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_of_http_1_is_asked_as_before() {
    let upstream = Upstream::fixed(426, &[], "");
    let gateway = Gateway::new()
        .workers(1)
        .upstream("up", &upstream)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
        .start()
        .await;
    let answer = gateway.send(&upgrade("GET", "websocket")).await;
    assert_eq!(answer.status, 426);
    assert_eq!(upstream.only_request().header("upgrade"), Some("websocket"));
    gateway.shutdown().await;
}
