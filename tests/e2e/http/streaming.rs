//! Streaming: a piece goes on before the next one has come, in either direction.

use super::front;
use super::peer::{End, Peer, Server};

#[tokio::test]
async fn a_piece_of_the_response_reaches_the_client_before_the_next_is_sent() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    for (framing, pieces, end) in [
        ("content-length: 6\r\n", ["one", "two"], ""),
        (
            "transfer-encoding: chunked\r\n",
            ["3\r\none\r\n", "3\r\ntwo\r\n"],
            "0\r\n\r\n",
        ),
    ] {
        let mut client = Peer::connect(gateway.address()).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut upstream = server.accept().await;
        upstream.head().await;
        upstream.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n")).await;
        // Even the head alone goes on.
        client.head().await;
        upstream.send(pieces[0]).await;
        client.until("one").await;
        upstream.send(pieces[1]).await;
        client.until("two").await;
        upstream.send(end).await;
        if !end.is_empty() {
            client.until("0\r\n\r\n").await;
        }
        drop(upstream);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_piece_of_the_request_reaches_the_upstream_before_the_next_is_sent() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    for (framing, pieces, end) in [
        ("content-length: 6\r\n", ["one", "two"], ""),
        (
            "transfer-encoding: chunked\r\n",
            ["3\r\none\r\n", "3\r\ntwo\r\n"],
            "0\r\n\r\n",
        ),
    ] {
        let mut client = Peer::connect(gateway.address()).await;
        client
            .send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n"))
            .await;
        let mut upstream = server.accept().await;
        upstream.head().await;
        client.send(pieces[0]).await;
        upstream.until("one").await;
        client.send(pieces[1]).await;
        upstream.until("two").await;
        client.send(end).await;
        if !end.is_empty() {
            upstream.until("0\r\n\r\n").await;
        }
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.head().await;
        drop(upstream);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn request_and_response_stream_at_the_same_time() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    let mut upstream = server.accept().await;
    upstream.until("one").await;
    upstream
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nuno\r\n")
        .await;
    client.until("uno").await;
    for (word, echo) in [("two", "dos"), ("six", "seis")] {
        client.send(format!("3\r\n{word}\r\n")).await;
        upstream.until(word).await;
        upstream.send(format!("{:x}\r\n{echo}\r\n", echo.len())).await;
        client.until(echo).await;
    }
    client.send("0\r\n\r\n").await;
    upstream.until("0\r\n\r\n").await;
    upstream.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
    // Both connections are as good as new.
    client.send("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(upstream.head().await.starts_with("GET /2 "));
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_has_ended_is_handed_on_and_ends_both_connections() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nbegin")
        .await;
    let mut upstream = server.accept().await;
    upstream.until("begin").await;
    upstream
        .send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno")
        .await;
    let (answer, end) = client.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("\r\n\r\nno"),
        "{answer}"
    );
    assert_eq!(end, End::Closed);
    assert_eq!(upstream.rest().await.0, "");
    gateway.shutdown().await;
}
