//! Time-outs: each has an answer, or an end that nobody takes for a complete answer.

use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::time::Duration;

use portcullis_tests::wire::Fault;
use portcullis_tests::{Gateway, Request, Upstream};

use super::peer::{Peer, Server};
use super::{expect_problem, front};

/// A listener whose queue is full: a further connection gets neither accepted nor refused.
struct Deaf {
    listener: StdListener,
    _waiting: Vec<StdStream>,
}

impl Deaf {
    fn start() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let listener = StdListener::from(socket);
        let address = listener.local_addr().unwrap();
        let connect = || StdStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting: Vec<StdStream> = std::iter::from_fn(connect).take(100).collect();
        assert!(waiting.len() < 100, "the queue never fills");
        Self {
            listener,
            _waiting: waiting,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_accept_in_time_is_given_up() {
    let deaf = Deaf::start();
    let gateway = front(deaf.address(), "connect-timeout = '100ms'").start().await;
    let answer = gateway.get("/").await;
    expect_problem(&answer, 504, "upstream-connect-timeout");
    gateway.shutdown().await;
}

#[tokio::test]
async fn another_endpoint_is_tried_when_one_does_not_accept_in_time() {
    let (deaf, upstream) = (Deaf::start(), Upstream::echo());
    let gateway = front(deaf.address(), "")
        .upstream_with(
            "both",
            &[deaf.address(), upstream.address()],
            "connect-timeout = '100ms'",
        )
        .toml("match = { path = '/no' }\n[[routes]]\nname = 'both'\nupstream = 'both'\n")
        .start()
        .await;
    for _ in 0..2 {
        assert_eq!(gateway.send(&Request::post("/", "x")).await.status, 200);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_begin_to_answer_in_time_is_given_up() {
    let server = Server::start().await;
    let gateway = front(server.address(), "first-byte-timeout = '100ms'")
        .start()
        .await;
    for beginning in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let mut connection = gateway.connect().await;
        connection.send(&Request::get("/")).await.unwrap();
        let mut upstream = server.accept().await;
        upstream.send(beginning).await;
        let answer = connection.receive("GET").await.unwrap();
        expect_problem(&answer, 504, "upstream-timeout");
        // The upstream hears of it, and the client's connection goes on.
        upstream.until("\r\n\r\n").await;
        upstream.rest().await;
        connection.send(&Request::get("/")).await.unwrap();
        drop(server.accept().await);
        assert_eq!(connection.receive("GET").await.unwrap().status, 502);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_that_stops_is_cut_off_visibly() {
    let server = Server::start().await;
    let gateway = front(server.address(), "idle-timeout = '100ms'").start().await;
    for beginning in [
        "content-length: 9\r\n\r\none",
        "transfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        "transfer-encoding: chunked\r\n\r\n9\r\none",
        "\r\none",
    ] {
        let mut connection = gateway.connect().await;
        connection.send(&Request::get("/")).await.unwrap();
        let mut upstream = server.accept().await;
        upstream.send(format!("HTTP/1.1 200 OK\r\n{beginning}")).await;
        let answer = connection.receive("GET").await;
        assert!(
            matches!(answer, Err(Fault::Truncated("body"))),
            "{beginning:?}: {answer:?}"
        );
        upstream.head().await;
        upstream.rest().await;
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_take_the_request_is_given_up() {
    let server = Server::start().await;
    let gateway = front(server.address(), "idle-timeout = '100ms'").start().await;
    let mut connection = gateway.connect().await;
    // More than the buffers of all sockets on the way hold.
    let request = Request::post("/", vec![b'x'; 32 << 20]);
    let (answer, _unread) = tokio::join!(connection.exchange(&request), server.accept());
    expect_problem(&answer.unwrap(), 504, "upstream-idle-timeout");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_exchange_that_takes_longer_than_its_route_allows_is_given_up() {
    let server = Server::start().await;
    let gateway = front(server.address(), "")
        .toml("timeout = '200ms'\n")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    connection.send(&Request::get("/")).await.unwrap();
    let silent = server.accept().await;
    let answer = connection.receive("GET").await.unwrap();
    expect_problem(&answer, 504, "deadline-exceeded");
    drop(silent);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_time_of_a_route_passes_while_a_body_is_collected_too() {
    let gateway = Gateway::new()
        .plugin("mock")
        .toml("[[routes]]\nname = 'mock'\nupstream = { plugin = 'mock' }\ntimeout = '200ms'\n")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    connection
        .write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\none")
        .await
        .unwrap();
    let answer = connection.receive("POST").await.unwrap();
    expect_problem(&answer, 504, "deadline-exceeded");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_that_trickles_beyond_its_routes_time_is_cut_off_visibly() {
    let server = Server::start().await;
    let gateway = front(server.address(), "")
        .toml("timeout = '300ms'\n")
        .start()
        .await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = server.accept().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        .await;
    client.until("\r\n\r\n1\r\na").await;
    // The last chunk comes, but too late.
    let (rest, _) = client.rest().await;
    assert!(!rest.contains("0\r\n\r\n"), "{rest:?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_stops_within_its_body_gets_a_time_out() {
    let server = Server::start().await;
    let gateway = front(server.address(), "")
        .listener("limits = { body-timeout = '100ms' }")
        .start()
        .await;
    for beginning in [
        "content-length: 9\r\n\r\none",
        "content-length: 9\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\none\r\n",
    ] {
        let mut connection = gateway.connect().await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\n";
        connection
            .write(format!("{head}{beginning}").as_bytes())
            .await
            .unwrap();
        let mut upstream = server.accept().await;
        let answer = connection.receive("POST").await.unwrap();
        expect_problem(&answer, 408, "request-timeout");
        connection.closed().await.unwrap();
        upstream.head().await;
        let (rest, _) = upstream.rest().await;
        assert!(!rest.contains('0'), "{rest:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_stops_within_its_head_is_closed() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { header-timeout = '100ms' }")
        .start()
        .await;
    for beginning in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let mut client = Peer::connect(gateway.address()).await;
        client.send(beginning).await;
        let (answer, _) = client.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
            "{beginning:?}: {answer}"
        );
    }
    // The same on a connection that has served a request.
    let mut client = Peer::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT").await;
    client.head().await;
    client.send("TP/1.1\r\n").await;
    let (rest, _) = client.rest().await;
    assert!(!rest.contains("HTTP/1.1 200"), "{rest}");
    assert_eq!(upstream.requests().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_closed() {
    let upstream = Upstream::huge(256 << 20);
    let gateway = front(upstream.address(), "")
        .listener("limits = { body-timeout = '100ms' }")
        .start()
        .await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let aborted = "portcullis_http_aborted_total{route=\"all\"}";
    portcullis_tests::patience::eventually("the end of the exchange", async || {
        (gateway.metric(aborted).await == Some(1.0)).then_some(())
    })
    .await;
    assert!(upstream.sent() < 256 << 20);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_gateways_own_wait_is_not_the_clients_fault() {
    let (upstream, gate) = Upstream::slow(&["ok"]);
    let gateway = front(upstream.address(), "")
        .listener("limits = { header-timeout = '100ms', body-timeout = '100ms', keep-alive = '100ms' }")
        .start()
        .await;
    let mut waiting = gateway.connect().await;
    waiting.send(&Request::get("/")).await.unwrap();
    upstream.wait_for_requests(1).await;
    // A connection that may be closed is closed by the sweep that looks at the waiting one, too.
    let mut idle = gateway.connect().await;
    idle.closed().await.unwrap();
    gate.open_for_good();
    assert_eq!(waiting.receive("GET").await.unwrap().text(), "ok");
    gateway.shutdown().await;
}
