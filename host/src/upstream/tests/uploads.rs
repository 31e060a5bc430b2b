//! Request bodies: framing, early answers, faults of the client.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;

use super::super::{BodyLength, FailureKind, RetrySafety};
use super::script::{Server, data, drain, feed, memory, send, settings, stats};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_body_of_known_length_is_sent_as_it_is() {
    for size in [1, 2048, 2049, 100_000] {
        let (cluster, mut wire) = memory(settings(&[1]), 1000);
        let content = Bytes::from(vec![b'x'; size]);
        let script = async {
            let head = wire.head().await;
            assert!(head.contains(&format!("content-length: {size}\r\n")), "{head}");
            assert_eq!(wire.take(size).await, content);
            wire.say(OK).await;
        };
        let (result, ()) = tokio::join!(send(&cluster, Method::PUT, Full::new(content.clone())), script);
        let (text, _) = drain(result.unwrap().body_mut()).await.unwrap();
        assert_eq!((text.as_slice(), stats(&cluster).idle), (&b"ok"[..], 1));
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_sent_in_chunks_with_its_trailers() {
    let (cluster, mut wire) = memory(settings(&[1]), 100);
    let (pieces, body) = feed(None);
    let large = "x".repeat(3000);
    for piece in ["hello", "", " world", &large] {
        pieces.send(data(piece.to_owned())).await.unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    trailers.insert("content-length", HeaderValue::from_static("1"));
    pieces.send(Ok(Frame::trailers(trailers))).await.unwrap();
    let want = format!("5\r\nhello\r\n6\r\n world\r\nbb8\r\n{large}\r\n0\r\nx-sum: 1\r\n\r\n");
    let script = async {
        assert!(wire.head().await.contains("transfer-encoding: chunked\r\n"));
        assert_eq!(wire.take(want.len()).await, want);
        wire.say(OK).await;
    };
    let (result, ()) = tokio::join!(send(&cluster, Method::POST, body), script);
    drain(result.unwrap().body_mut()).await.unwrap();
    assert_eq!(stats(&cluster).idle, 1);
}

#[tokio::test]
async fn an_empty_body_of_unknown_length_is_one_empty_chunk() {
    let (cluster, mut wire) = memory(settings(&[1]), 4096);
    let (pieces, body) = feed(None);
    drop(pieces);
    let script = async {
        wire.head().await;
        assert_eq!(wire.take(5).await, "0\r\n\r\n");
        wire.say(OK).await;
    };
    let (result, ()) = tokio::join!(send(&cluster, Method::POST, body), script);
    assert_eq!(result.unwrap().status(), 200);
}

#[tokio::test]
async fn head_and_first_piece_go_out_in_one_write() {
    let (cluster, mut wire) = memory(settings(&[1]), 4096);
    let script = async {
        use tokio::io::AsyncReadExt;
        let mut first = [0; 4096];
        let count = wire.stream.read(&mut first).await.unwrap();
        assert!(first[..count].ends_with(b"\r\n\r\nhello"));
        wire.say(OK).await;
    };
    let body = Full::new(Bytes::from_static(b"hello"));
    tokio::join!(send(&cluster, Method::POST, body), script)
        .0
        .unwrap();
}

#[tokio::test]
async fn a_slow_body_is_sent_piece_by_piece() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let (pieces, body) = feed(Some(30));
    let script = async {
        let mut wire = server.accept().await;
        wire.head().await;
        for _ in 0..10 {
            pieces.send(data("abc")).await.unwrap();
            assert_eq!(wire.take(3).await, "abc");
        }
        drop(pieces);
        wire.say(OK).await;
        wire
    };
    let (result, _wire) = tokio::join!(send(&cluster, Method::POST, body), script);
    drain(result.unwrap().body_mut()).await.unwrap();
    assert_eq!(stats(&cluster).idle, 1);
}

#[tokio::test]
async fn an_early_answer_is_handed_on_while_the_upload_goes_on() {
    let (cluster, mut wire) = memory(settings(&[1]), 64);
    let (pieces, body) = feed(Some(1 << 20));
    let script = async {
        wire.head().await;
        pieces.send(data("early")).await.unwrap();
        wire.take(5).await;
        wire.say("HTTP/1.1 413 Too Large\r\nContent-Length: 10\r\n\r\n12345")
            .await;
        // The answer's second half comes only when more of the upload has arrived.
        pieces.send(data(vec![b'x'; 10_000])).await.unwrap();
        wire.take(10_000).await;
        wire.say("67890").await;
        assert_eq!(
            wire.rest().await,
            "",
            "the client closes: the upload was not complete"
        );
    };
    let client = async {
        let mut response = send(&cluster, Method::POST, body).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(drain(response.body_mut()).await.unwrap().0, b"1234567890");
        assert_eq!(stats(&cluster).idle, 0);
    };
    tokio::join!(client, script);
}

#[tokio::test]
async fn an_upload_that_ends_within_the_response_leaves_the_connection_usable() {
    let (cluster, mut wire) = memory(settings(&[1]), 64);
    let (pieces, body) = feed(None);
    let script = async {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        for _ in 0..3 {
            pieces.send(data("ping")).await.unwrap();
            wire.take(9).await;
            wire.say("4\r\npong\r\n").await;
        }
        drop(pieces);
        wire.take(5).await;
        wire.say("0\r\n\r\n").await;
    };
    let client = async {
        let mut response = send(&cluster, Method::POST, body).await.unwrap();
        assert_eq!(drain(response.body_mut()).await.unwrap().0, b"pongpongpong");
        assert_eq!(stats(&cluster).idle, 1);
    };
    tokio::join!(client, script);
}

#[tokio::test]
async fn an_answer_is_delivered_although_the_upstream_stopped_reading() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let (pieces, body) = feed(Some(64 << 20));
    let script = async {
        let mut wire = server.accept().await;
        wire.head().await;
        pieces.send(data("some")).await.unwrap();
        wire.take(4).await;
        pieces.send(data(vec![b'x'; 100_000])).await.unwrap();
        wire.take(10_000).await;
        wire.say("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop")
            .await;
        // Closed with bytes unread: a reset, not an orderly end.
        drop(wire);
        for _ in 0..8 {
            pieces.try_send(data(vec![b'x'; 1 << 20])).unwrap();
        }
        pieces
    };
    let (result, _pieces) = tokio::join!(send(&cluster, Method::POST, body), script);
    let mut response = result.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(drain(response.body_mut()).await.unwrap().0, b"stop");
}

#[tokio::test]
async fn a_body_that_fails_never_leaves_a_complete_message() {
    for length in [None, Some(10)] {
        let (cluster, mut wire) = memory(settings(&[1]), 4096);
        let (pieces, body) = feed(length);
        pieces.send(data("12345")).await.unwrap();
        pieces
            .send(Err(io::Error::other("client went away")))
            .await
            .unwrap();
        let script = async {
            use tokio::io::AsyncReadExt;
            let mut all = Vec::new();
            wire.stream.read_to_end(&mut all).await.unwrap();
            String::from_utf8(all).unwrap()
        };
        let (result, sent) = tokio::join!(send(&cluster, Method::POST, body), script);
        let failure = result.err().unwrap();
        assert_eq!(
            (failure.kind, failure.retry),
            (FailureKind::RequestBody, RetrySafety::Unsafe)
        );
        assert_eq!(failure.source.unwrap().to_string(), "client went away");
        assert!(!sent.contains("0\r\n\r\n"), "{sent:?}");
        assert_eq!(
            stats(&cluster),
            super::super::EndpointStats {
                reuses: 1,
                ..Default::default()
            }
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_keep_its_length_is_a_fault_of_the_body() {
    for (pieces_sent, want) in [
        (&["123"][..], BodyLength::Short { missing: 2 }),
        (&["123", "456"][..], BodyLength::Long),
    ] {
        let (cluster, mut wire) = memory(settings(&[1]), 4096);
        let (pieces, body) = feed(Some(5));
        for piece in pieces_sent {
            pieces.send(data(*piece)).await.unwrap();
        }
        drop(pieces);
        let (result, sent) = tokio::join!(send(&cluster, Method::POST, body), wire.rest());
        let failure = result.err().unwrap();
        assert_eq!(failure.kind, FailureKind::RequestBody);
        assert_eq!(failure.source.unwrap().downcast_ref::<BodyLength>(), Some(&want));
        assert!(!sent.ends_with(b"12345"));
    }
}

#[tokio::test]
async fn a_body_that_fails_within_the_response_ends_the_response() {
    let (cluster, mut wire) = memory(settings(&[1]), 4096);
    let (pieces, body) = feed(None);
    let script = async {
        wire.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
            .await;
        wire.rest().await
    };
    let client = async {
        let mut response = send(&cluster, Method::POST, body).await.unwrap();
        pieces
            .send(Err(io::Error::other("client went away")))
            .await
            .unwrap();
        let failure = drain(response.body_mut()).await.err().unwrap();
        assert_eq!(
            (failure.kind, failure.retry),
            (FailureKind::RequestBody, RetrySafety::Unsafe)
        );
        assert!(
            response.body_mut().frame().await.is_none(),
            "nothing follows a failure"
        );
    };
    let ((), sent) = tokio::join!(client, script);
    assert_eq!(sent, "");
}

#[tokio::test]
async fn an_upstream_that_closes_within_the_upload_is_a_reset() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let (pieces, body) = feed(Some(10));
    let script = async {
        let mut wire = server.accept().await;
        wire.head().await;
        wire.stream.shutdown().await.unwrap();
    };
    let (result, ()) = tokio::join!(send(&cluster, Method::PUT, body), script);
    let failure = result.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Reset, RetrySafety::Idempotent)
    );
    drop(pieces);
}
