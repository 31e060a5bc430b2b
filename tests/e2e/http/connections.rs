//! Connections: kept, reused, ended, and how many there may be.

use std::net::SocketAddr;

use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Turn;
use portcullis_tests::{Connection, Request, Upstream, client};

use super::peer::{End, Peer, Server};
use super::{expect_problem, front};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn one_connection_on_each_side_serves_many_requests() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    for number in 0..20 {
        let request = match number % 3 {
            0 => Request::get("/"),
            1 => Request::post("/", vec![b'x'; 100_000]),
            _ => Request::post("/", "").chunks(["a", "b"]),
        };
        assert_eq!(connection.exchange(&request).await.unwrap().status, 200);
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (20, 1));

    // Another client's requests go over it, too.
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(upstream.connections(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_client_may_end_the_connection_with_its_request() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    let request = Request::get("/").header("connection", "close");
    let answer = connection.exchange(&request).await.unwrap();
    assert!(answer.fields.lists("connection", "close"));
    connection.closed().await.unwrap();
    // The upstream's connection is kept all the same.
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(upstream.connections(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    let requests = [
        Request::get("/1"),
        Request::post("/2", "two"),
        Request::new("PUT", "/3").chunks(["thr", "ee"]),
        Request::get("/4"),
    ];
    let bytes: Vec<u8> = requests
        .iter()
        .flat_map(|request| request.bytes("a.example"))
        .collect();
    connection.write(&bytes).await.unwrap();
    for (target, body) in [("/1", ""), ("/2", "two"), ("/3", "three"), ("/4", "")] {
        let answer = connection.receive("GET").await.unwrap().json();
        assert_eq!(
            (&answer["target"], &answer["body"]),
            (&target.into(), &body.into())
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_safe_request_is_repeated_if_a_kept_connection_was_closed_under_it() {
    let turns = [
        Turn::Answer(200),
        Turn::Close,
        Turn::Answer(201),
        Turn::Reset,
        Turn::Answer(202),
    ];
    let upstream = Upstream::flaky(&turns);
    let gateway = front(upstream.address(), "").start().await;
    for status in [200, 201, 202] {
        assert_eq!(gateway.get("/").await.status, status);
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (5, 3));
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_unsafe_request_is_never_sent_twice() {
    let upstream = Upstream::flaky(&[Turn::Answer(200), Turn::Close, Turn::Answer(201)]);
    let gateway = front(upstream.address(), "").start().await;
    assert_eq!(gateway.get("/").await.status, 200);
    let answer = gateway.send(&Request::post("/", "order")).await;
    expect_problem(&answer, 502, "upstream-reset");
    assert_eq!(upstream.requests().len(), 2);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_unsafe_request_does_not_go_over_a_connection_that_was_closed_before_it() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    for _ in 0..3 {
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx")
            .await;
        let mut upstream = server.accept().await;
        upstream.until("\r\n\r\nx").await;
        upstream.send(OK).await;
        drop(upstream);
        client.until("\r\n\r\nok").await;
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_are_not_taken_for_the_next_answer() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = server.accept().await;
    first.head().await;
    first
        .send(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"))
        .await;
    client.until("\r\n\r\nok").await;
    client.send("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut second = server.accept().await;
    assert!(second.head().await.starts_with("GET /2 "));
    second.send(OK).await;
    let answer = client.until("\r\n\r\nok").await;
    assert!(!answer.contains("forged"), "{answer}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_unused_connection_of_a_client_is_closed() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { keep-alive = '100ms' }")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    connection.exchange(&Request::get("/")).await.unwrap();
    connection.closed().await.unwrap();
    gateway.shutdown().await;
}

#[tokio::test]
async fn more_connections_than_the_listener_takes_are_closed_at_once() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { connections = 2 }")
        .start()
        .await;
    let mut held: Vec<Connection> = Vec::new();
    for _ in 0..2 {
        let mut connection = gateway.connect().await;
        connection.exchange(&Request::get("/")).await.unwrap();
        held.push(connection);
    }
    let mut third = Peer::connect(gateway.address()).await;
    assert_eq!(third.rest().await.0, "");
    let refused = "portcullis_listener_refused_total{listener=\"public\"}";
    assert_eq!(gateway.metric(refused).await, Some(1.0));
    // A place that becomes free is given away again.
    held.pop();
    let address = gateway.address();
    eventually("a place for a connection", async || {
        client::send(address, &Request::get("/")).await.ok()
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_connections_of_one_listener_take_no_places_on_another() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { connections = 1 }")
        .toml("[listeners.other]\naddress = '127.0.0.1:0'\n")
        .start()
        .await;
    let other = gateway.address_of("other");
    let mut held: Vec<Connection> = Vec::new();
    for address in [other, other, other, gateway.address()] {
        let mut connection = Connection::open(address).await.unwrap();
        connection.exchange(&Request::get("/")).await.unwrap();
        held.push(connection);
    }
    gateway.shutdown().await;
}

async fn exchange(client: &mut Peer, server: &Server) -> Peer {
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = server.accept().await;
    upstream.head().await;
    upstream
}

#[tokio::test]
async fn the_upstream_hears_that_a_client_left_before_its_answer() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    for leave in [drop::<Peer>, Peer::reset] {
        let mut client = Peer::connect(gateway.address()).await;
        let mut upstream = exchange(&mut client, &server).await;
        leave(client);
        assert_eq!(upstream.rest().await.0, "");
    }
    let aborted = "portcullis_http_aborted_total{route=\"all\"}";
    // The upstream may hear of it before it is counted.
    eventually("two exchanges that were broken off", async || {
        gateway.metric(aborted).await.filter(|count| *count == 2.0)
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_upstream_hears_that_a_client_left_within_its_answer() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    let mut upstream = exchange(&mut client, &server).await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none")
        .await;
    client.until("\r\n\r\none").await;
    drop(client);
    assert_eq!(upstream.rest().await.0, "");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_its_client_broke_off_never_looks_complete_to_the_upstream() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    for (framing, piece) in [
        ("transfer-encoding: chunked", "3\r\none\r\n"),
        ("content-length: 9", "one"),
    ] {
        let mut client = Peer::connect(gateway.address()).await;
        client
            .send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{piece}"))
            .await;
        let mut upstream = server.accept().await;
        upstream.until("one").await;
        drop(client);
        let (rest, _) = upstream.rest().await;
        assert!(!rest.contains('0'), "{rest:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn clients_that_end_their_side_early_leave_nothing_behind() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let address: SocketAddr = gateway.address();
    for bytes in ["", "GET", "GET / HTTP/1.1\r\nhost: a\r\n", "\r\n", "\0\0\0"] {
        let mut connection = Connection::open(address).await.unwrap();
        connection.write(bytes.as_bytes()).await.unwrap();
        connection.finish().await.unwrap();
        // Whatever the answer, the connection ends.
        let mut ended = connection.receive("GET").await.is_err();
        ended |= connection.receive("GET").await.is_err();
        assert!(ended, "{bytes:?}");
    }
    let open = "portcullis_listener_connections{listener=\"public\"}";
    eventually("no open connection", async || {
        (gateway.metric(open).await == Some(0.0)).then_some(())
    })
    .await;
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_resets_does_not_disturb_the_others() {
    let upstream = Upstream::huge(4 << 20);
    let gateway = front(upstream.address(), "").start().await;
    for _ in 0..10 {
        let mut connection = gateway.connect().await;
        connection.send(&Request::get("/")).await.unwrap();
        connection.receive_head().await.unwrap();
        connection.reset().unwrap();
    }
    assert_eq!(gateway.get("/").await.body.len(), 4 << 20);
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let (answer, end) = client.rest().await;
    assert!(answer.len() > 4 << 20 && end == End::Closed);
    gateway.shutdown().await;
}
