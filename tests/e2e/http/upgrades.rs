//! Connections that go over to another protocol: who may, what is passed on, and how both sides come to their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_tests::patience::{PATIENCE, at_rest, eventually};
use portcullis_tests::upstream::Step;
use portcullis_tests::websocket::{Client, EchoServer, Frame, opcode};
use portcullis_tests::{Gateway, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

use super::access_log::Log;
use super::front;
use super::peer::{End, Peer, Server};

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Accept: x\r\nX-A: 1\r\n\r\n";
const ASK: &str =
    "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-b: 2\r\n\r\n";

/// A tunnel whose ends the test plays: the client's and the upstream's.
async fn opened(gateway: &Gateway, server: &Server) -> (Peer, Peer) {
    let mut client = Peer::connect(gateway.address()).await;
    client.send(ASK).await;
    let mut upstream = server.accept().await;
    upstream.head().await;
    upstream.send(SWITCHING).await;
    client.head().await;
    (client, upstream)
}

#[tokio::test]
async fn both_heads_say_what_the_connection_goes_over_to() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send(ASK).await;
    let mut upstream = server.accept().await;
    let head = upstream.head().await;
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "x-b: 2",
        "x-forwarded-for: 127.0.0.1",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    upstream.send(SWITCHING).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-accept: x",
        "x-a: 1",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    for name in ["content-length", "transfer-encoding", "keep-alive"] {
        assert!(!head.contains(name), "{name}: {head}");
    }
    gateway.shutdown_now(client, upstream).await;
}

/// Ends both sides first, so that the end of the gateway waits for nothing.
trait ShutdownNow {
    async fn shutdown_now(self, client: Peer, upstream: Peer);
}

impl ShutdownNow for Gateway {
    async fn shutdown_now(self, client: Peer, upstream: Peer) {
        drop((client, upstream));
        self.shutdown().await;
    }
}

#[tokio::test]
async fn hooks_see_the_101_and_may_add_to_its_fields_and_tunnels_are_counted() {
    let server = EchoServer::start().await;
    let gateway = Gateway::new()
        .plugin("request-id")
        .upstream_with("up", &[server.address()], "")
        .toml("[[routes]]\nname = \"all\"\npipeline = [\"request-id\"]\nupstream = \"up\"\n")
        .start()
        .await;
    let tunnels = "portcullis_listener_tunnels{listener=\"public\"}";
    let mut client = Client::open(gateway.address(), "/", "").await;
    assert!(client.head.contains("\r\nx-request-id: "), "{}", client.head);
    client.echoes("hello").await;
    assert_eq!(gateway.metric(tunnels).await, Some(1.0));
    drop(client);
    eventually("the end of the tunnel", async || {
        (gateway.metric(tunnels).await == Some(0.0)).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_route_that_allows_no_websocket_refuses_it_and_passes_over_everything_else() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .upstream("up", &upstream)
        .toml("[[routes]]\nname = \"all\"\nupgrades = []\nupstream = \"up\"\n")
        .start()
        .await;
    let (_stream, head) = Client::ask(gateway.address(), "/", "").await;
    assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
    assert!(upstream.requests().is_empty());
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let request = upstream.only_request();
    assert_eq!(
        (request.header("upgrade"), request.header("connection")),
        (None, None)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_stays_with_http_gives_an_answer_like_any_other() {
    let upstream = Upstream::fixed(426, &[("x-a", "1")], "no");
    let gateway = front(upstream.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    for _ in 0..2 {
        client.send(ASK).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
        client.skip(2).await;
    }
    // Both connections went on.
    assert_eq!((upstream.connections(), upstream.requests().len()), (1, 2));
    gateway.shutdown().await;
}

#[tokio::test]
async fn another_protocol_can_be_allowed() {
    let server = Server::start().await;
    let gateway = Gateway::new()
        .upstream_with("up", &[server.address()], "")
        .toml("[[routes]]\nname = \"all\"\nupgrades = [\"echo\"]\nupstream = \"up\"\n")
        .start()
        .await;
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, Echo/2\r\n\r\n")
        .await;
    let mut upstream = server.accept().await;
    let head = upstream.head().await;
    assert!(head.contains("\r\nupgrade: Echo/2\r\n"), "{head}");
    upstream
        .send("HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: echo/2\r\n\r\nfirst")
        .await;
    let head = client.head().await;
    assert!(head.contains("\r\nupgrade: echo/2\r\n"), "{head}");
    assert_eq!(client.until("first").await, "first");
    gateway.shutdown_now(client, upstream).await;
}

#[tokio::test]
async fn what_a_client_sends_before_the_101_comes_first() {
    let server = EchoServer::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let early = Frame::new(opcode::TEXT, "early");
    let ask = ASK.replace("x-b: 2", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==");
    stream
        .write_all(&[ask.as_bytes(), &early.masked()].concat())
        .await
        .unwrap();
    let mut got = Vec::new();
    while !got.ends_with(&early.plain()) {
        assert!(
            stream.read_buf(&mut got).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&got)
        );
    }
    drop(stream);
    gateway.shutdown().await;
}

#[tokio::test]
async fn either_side_can_end_its_direction_and_go_on_reading() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let (mut client, mut upstream) = opened(&gateway, &server).await;
    client.send("last words").await;
    client.finish().await;
    assert_eq!(upstream.rest().await, ("last words".to_owned(), End::Closed));
    upstream.send("an answer").await;
    assert_eq!(client.until("answer").await, "an answer");
    drop(upstream);
    assert_eq!(client.rest().await, (String::new(), End::Closed));

    let (mut client, mut upstream) = opened(&gateway, &server).await;
    upstream.finish().await;
    assert_eq!(client.rest().await, (String::new(), End::Closed));
    client.send("still here").await;
    assert_eq!(upstream.until("here").await, "still here");
    gateway.shutdown_now(client, upstream).await;
}

#[tokio::test]
async fn the_death_of_one_side_ends_the_other() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let (mut client, upstream) = opened(&gateway, &server).await;
    upstream.reset();
    client.rest().await;
    let (client, mut upstream) = opened(&gateway, &server).await;
    client.reset();
    upstream.rest().await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_side_that_does_not_read_holds_the_other_back() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let (client, upstream) = opened(&gateway, &server).await;
    let mut sender = upstream.into_stream();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let task = tokio::spawn(async move {
        let piece = vec![b'x'; 64 << 10];
        while let Ok(written) = sender.write(&piece).await {
            count.fetch_add(written, Ordering::Relaxed);
        }
    });
    // Full is what takes nothing between two looks that are far enough apart.
    let before = at_rest("a sender that is held back", || sent.load(Ordering::Relaxed)).await;
    // What sockets hold, and a piece of the gateway's.
    assert!(before < 32 << 20, "{before}");
    let mut reader = client.into_stream();
    let mut space = vec![0; 1 << 20];
    let mut left = before + (8 << 20);
    while left > 0 {
        let read = time::timeout(PATIENCE, reader.read(&mut space))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0);
        left = left.saturating_sub(read);
    }
    drop(reader);
    task.await.unwrap();
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_is_closed_and_the_routes_timeout_does_not_do_it() {
    const IDLE: Duration = Duration::from_secs(1);
    let server = Server::start().await;
    let gateway = Gateway::new()
        .upstream_with("up", &[server.address()], "")
        .toml(
            "[[routes]]\nname = \"all\"\nupgrade-idle-timeout = '1s'\ntimeout = '300ms'\nupstream = \"up\"\n",
        )
        .start()
        .await;
    let begun = time::Instant::now();
    let (mut client, mut upstream) = opened(&gateway, &server).await;
    // What counts as silence is tested where time is paused: `net/tunnel.rs`.
    assert_eq!(client.rest().await.0, "");
    assert!(begun.elapsed() >= IDLE, "{:?}", begun.elapsed());
    assert_eq!(upstream.rest().await.0, "");
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_access_log_has_a_line_for_a_tunnel_with_what_it_carried() {
    let (log, server) = (Log::new(), Server::start().await);
    let gateway = log.on(front(server.address(), ""), "json").start().await;
    let (mut client, mut upstream) = opened(&gateway, &server).await;
    client.send("12345").await;
    upstream.until("12345").await;
    upstream.send("123").await;
    client.until("123").await;
    drop(client);
    assert_eq!(upstream.rest().await.1, End::Closed);
    drop(upstream);
    let line = log.one_of(gateway).await;
    assert_eq!(
        (&line["status"], &line["bytes_in"], &line["bytes_out"]),
        (&101.into(), &5.into(), &3.into()),
        "{line}"
    );
    assert_eq!(line["route"], "all");
}

#[tokio::test]
async fn reloads_cut_no_tunnel() {
    const TUNNELS: usize = 100;
    const RELOADS: usize = 50;
    let server = EchoServer::start().await;
    let route = "[[routes]]\nname = \"all\"\npipeline = [\"request-id\"]\nupstream = \"up\"\n";
    let gateway = Gateway::new()
        .plugin("request-id")
        .upstream_with("up", &[server.address()], "")
        .toml(route)
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..TUNNELS {
        clients.push(Client::open(gateway.address(), "/", "").await);
    }
    let mut generation = gateway.status().await["generation"].as_u64().unwrap();
    for reload in 0..RELOADS {
        let more =
            format!("[[routes]]\nname = \"r{reload}\"\nmatch = {{ path = \"/r\" }}\nupstream = \"up\"\n");
        gateway.write_toml(&format!("{route}{more}"));
        gateway
            .wait_for(|status| status["generation"].as_u64() > Some(generation))
            .await;
        generation += 1;
        let client = &mut clients[reload % TUNNELS];
        client.echoes(&format!("after {reload}")).await;
    }
    for client in &mut clients {
        client.echoes("still here").await;
    }
    drop(clients);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_tunnel_keeps_no_instance_of_a_configuration_that_was_replaced() {
    let server = EchoServer::start().await;
    let toml = |header: &str| {
        format!(
            "[plugins.request-id]\nconfig = {{ header = \"{header}\" }}\n\
             [[routes]]\nname = \"all\"\npipeline = [\"request-id\"]\nupstream = \"up\"\n"
        )
    };
    let gateway = Gateway::new()
        .workers(1)
        .plugin("request-id")
        .upstream_with("up", &[server.address()], "")
        .toml(&toml("x-one"))
        .start()
        .await;
    let series = "portcullis_plugin_instances{plugin=\"request-id\"}";
    let mut client = Client::open(gateway.address(), "/", "").await;
    let before = gateway.metric(series).await.unwrap();
    let status = gateway.status().await;
    gateway.write_toml(&toml("x-two"));
    gateway
        .wait_for(|now| now["generation"].as_u64() > status["generation"].as_u64())
        .await;
    eventually("the end of the old instances", async || {
        let now = gateway.metric(series).await.unwrap();
        (now <= before).then_some(())
    })
    .await;
    client.echoes("still here").await;
    drop(client);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_end_of_the_gateway_waits_for_a_tunnel_and_cuts_it_when_its_time_is_over() {
    let (log, server) = (Log::new(), EchoServer::start().await);
    let gateway = log
        .on(front(server.address(), ""), "json")
        .gateway("shutdown-timeout = '300ms'")
        .start()
        .await;
    let mut client = Client::open(gateway.address(), "/", "").await;
    let end = tokio::spawn(async move { log.one_of(gateway).await });
    client.echoes("while it drains").await;
    assert_eq!(client.receive().await, None);
    let line = end.await.unwrap();
    assert_eq!(
        (&line["status"], &line["aborted"]),
        (&101.into(), &true.into()),
        "{line}"
    );
}

#[tokio::test]
async fn a_101_that_was_not_asked_for_is_an_error_of_the_upstream() {
    let upstream = Upstream::raw([Step::Request, Step::send(SWITCHING)]);
    let gateway = front(upstream.address(), "").start().await;
    let answer = gateway.get("/").await;
    super::expect_problem(&answer, 502, "upstream-malformed");
    gateway.shutdown().await;
}
