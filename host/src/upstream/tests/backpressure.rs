//! Large bodies: flat memory, both ways at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::script::{Server, data, feed, get, memory, send, settings, stats};

const PIPE: usize = 16 * 1024;
/// The largest read is 64 KiB; a buffer may be somewhat larger.
const AHEAD: usize = 128 * 1024;

#[tokio::test]
async fn a_reader_that_stops_stops_the_upstream() {
    for framing in [
        "Content-Length: 100000000",
        "X-To: the end",
        "Transfer-Encoding: chunked",
    ] {
        let (cluster, mut wire) = memory(settings(&[1]), PIPE);
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let (response, _) = tokio::join!(get(&cluster), wire.answer(head));
        let mut body = response.unwrap().into_body();
        if framing.contains("chunked") {
            wire.say("5f5e100\r\n").await;
        }
        let (mut written, mut taken) = (0, 0);
        for _ in 0..20 {
            written += poll_fn(|cx| {
                let mut count = 0;
                while let Poll::Ready(n) = Pin::new(&mut wire.stream).poll_write(cx, &[b'x'; 4096]) {
                    count += n.unwrap();
                }
                Poll::Ready(count)
            })
            .await;
            assert!(
                written - taken <= PIPE + AHEAD,
                "{framing}: {written} written, {taken} taken"
            );
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(frame.len() <= AHEAD);
            taken += frame.len();
        }
        assert!(taken > 0);
    }
}

#[tokio::test]
async fn an_upstream_that_stops_stops_the_body() {
    let (cluster, mut wire) = memory(settings(&[1]), PIPE);
    let (pieces, body) = feed(None);
    let mut exchange = Box::pin(send(&cluster, Method::POST, body));
    let mut given = 0;
    // The exchange is polled until it takes nothing more, although the upstream reads nothing.
    for _ in 0..100 {
        while pieces.try_send(data(vec![b'x'; 4096])).is_ok() {
            given += 4096;
        }
        let result = poll_fn(|cx| Poll::Ready(exchange.as_mut().poll(cx))).await;
        assert!(result.is_pending());
    }
    assert!(given <= PIPE + 16 * 4096 + 3 * PIPE, "{given}");
    wire.head().await;
}

#[tokio::test]
async fn a_large_body_goes_both_ways_at_once() {
    const PIECES: usize = 400;
    const PIECE: usize = 40_000;
    for length in [None, Some((PIECES * PIECE) as u64)] {
        let server = Server::start().await;
        let cluster = server.cluster();
        let (pieces, body) = feed(length);
        let client = async {
            let mut response = send(&cluster, Method::POST, body).await.unwrap();
            let mut count = 0;
            while let Some(frame) = response.body_mut().frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!(data.len() <= AHEAD);
                count += data.len();
            }
            // The far side sends back what it gets, framing included.
            assert!(count >= PIECES * PIECE, "{count}");
        };
        let source = async {
            for _ in 0..PIECES {
                pieces.send(data(Bytes::from(vec![b'x'; PIECE]))).await.unwrap();
            }
            drop(pieces);
        };
        let script = async {
            let mut wire = server.accept().await;
            wire.answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
            let mut count = 0;
            while count < PIECES * PIECE {
                let some = wire.some().await;
                count += some.len();
                wire.say(some).await;
            }
            wire.stream.shutdown().await.unwrap();
            wire.rest().await;
        };
        tokio::join!(client, source, script);
        assert_eq!(stats(&cluster).in_flight, 0);
    }
}
