//! Connections that go over to another protocol, and those that do not.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Body as _;
use http_body_util::Empty;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Aim, Cluster, Failure, FailureKind, Reply, RequestHead};
use super::script::{drain, memory, settings, stats};

const SWITCHING: &str = "HTTP/1.1 101 Go\r\nx-a: 1\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\nahead";

async fn ask(cluster: &Rc<Cluster>) -> Result<Response<Reply<Empty<Bytes>>>, Failure> {
    let head = RequestHead {
        method: &Method::GET,
        target: "/",
        authority: "test",
        headers: &HeaderMap::new(),
        upgrade: Some(&HeaderValue::from_static("x, websocket")),
        via: None,
    };
    cluster.send(head, Empty::new(), None, Aim::default()).await
}

#[tokio::test]
async fn a_101_gives_the_connection_as_a_stream_with_what_came_behind_it() {
    let (cluster, mut wire) = memory(settings(&[1]), 4096);
    let (response, head) = tokio::join!(ask(&cluster), wire.answer(SWITCHING));
    assert!(
        head.ends_with("connection: upgrade\r\nupgrade: x, websocket\r\n\r\n"),
        "{head}"
    );
    let mut response = response.unwrap();
    assert_eq!(
        (response.status(), response.headers().len()),
        (101.try_into().unwrap(), 1)
    );
    assert!(response.body().is_end_stream());
    assert_eq!(response.body().size_hint().exact(), Some(0));
    let mut stream = response.body_mut().take_upgraded().unwrap();
    assert!(response.body_mut().take_upgraded().is_none());
    assert_eq!(stream.protocol(), "WebSocket");
    let mut got = [0; 5];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"ahead");
    stream.write_all(b"there").await.unwrap();
    assert_eq!(wire.take(5).await, "there");
    wire.say("back").await;
    stream.read_exact(&mut got[..4]).await.unwrap();
    assert_eq!(&got[..4], b"back");
    assert_eq!((stats(&cluster).in_flight, stats(&cluster).idle), (1, 0));
    drop(stream);
    assert_eq!(stats(&cluster).in_flight, 0);
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn a_101_whose_connection_nobody_takes_is_closed() {
    let (cluster, mut wire) = memory(settings(&[1]), 4096);
    let (response, _) = tokio::join!(ask(&cluster), wire.answer(SWITCHING));
    let (content, trailers) = drain(response.unwrap().body_mut()).await.unwrap();
    assert!(content.is_empty() && trailers.is_none());
    assert_eq!((stats(&cluster).in_flight, stats(&cluster).idle), (0, 0));
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn a_101_for_something_else_is_malformed() {
    for fields in [
        "",
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
        "connection: upgrade\r\nupgrade: h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket, h2c\r\n",
        "connection: close\r\nupgrade: websocket\r\n",
    ] {
        let (cluster, mut wire) = memory(settings(&[1]), 4096);
        let text = format!("HTTP/1.1 101 Go\r\n{fields}\r\n");
        let (response, _) = tokio::join!(ask(&cluster), wire.answer(text));
        let failure = response.err().unwrap();
        assert!(
            matches!(failure.kind, FailureKind::Malformed(_)),
            "{fields}: {failure}"
        );
        assert_eq!(stats(&cluster).idle, 0);
    }
}

#[tokio::test]
async fn another_answer_keeps_the_connection_for_the_next_request() {
    let (cluster, mut wire) = memory(settings(&[1]), 4096);
    let answer = "HTTP/1.1 426 Upgrade Required\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nno";
    let (response, _) = tokio::join!(ask(&cluster), wire.answer(answer));
    let mut response = response.unwrap();
    assert!(response.body_mut().take_upgraded().is_none());
    assert_eq!(drain(response.body_mut()).await.unwrap().0, b"no");
    assert_eq!(stats(&cluster).idle, 1);
}
