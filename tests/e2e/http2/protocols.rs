//! Which protocol a connection speaks.

use portcullis_tests::http2::{Client, frames, get};
use portcullis_tests::{Connection, Request, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::front;

#[tokio::test]
async fn one_listener_takes_both_protocols() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    for path in ["/1", "/2"] {
        let reply = client.exchange(get(path)).await.unwrap();
        assert_eq!((reply.status, &reply.json()["target"]), (200, &path.into()));
    }
    let mut connection = Connection::open(gateway.address()).await.unwrap();
    for _ in 0..2 {
        let answer = connection.exchange(&Request::get("/3")).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    client.ended().await.unwrap();
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_preface_that_comes_byte_by_byte_is_a_preface() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in frames::PREFACE {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream
        .write_all(&frames::frame(frames::SETTINGS, 0, 0, &[]))
        .await
        .unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!((head[3], head[4]), (frames::SETTINGS, 0));
    // A client that hears nothing of the end does not hold it up.
    gateway.shutdown().await;
    drop(stream);
}

#[tokio::test]
async fn what_only_begins_like_a_preface_is_http_1() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    let mut connection = Connection::open(gateway.address()).await.unwrap();
    for part in ["P", "R", "I / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        connection.write(part.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = connection.receive("PRI").await.unwrap();
    assert_eq!((answer.status, &answer.json()["method"]), (200, &"PRI".into()));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_listener_of_one_protocol_refuses_the_other() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address())
        .listener("protocols = ['http/1.1']")
        .start()
        .await;
    let mut connection = Connection::open(gateway.address()).await.unwrap();
    connection.write(frames::PREFACE).await.unwrap();
    connection.closed().await.unwrap();
    gateway.shutdown().await;

    let gateway = front(upstream.address())
        .listener("protocols = ['h2']")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // Closed with bytes unread, which is a reset to some.
    drop(stream.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    assert_eq!(upstream.requests().len(), 1);
    gateway.shutdown().await;
}
