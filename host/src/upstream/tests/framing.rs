//! How responses are delimited, and which are refused.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};

use super::super::{Failure, FailureKind, RetrySafety};
use super::script::{drain, get, memory, send, settings, stats};

/// How a connection is left after the exchange.
#[derive(Debug, PartialEq)]
enum After {
    Kept,
    Closed,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    content: String,
    trailers: Option<HeaderMap>,
    after: After,
}

/// One exchange: the server sends `reply` in pieces of `step` bytes and closes.
async fn exchange(method: Method, reply: &[u8], step: usize) -> Result<Got, Failure> {
    let (cluster, mut wire) = memory(settings(&[1]), step);
    let client = async {
        let mut response = send(&cluster, method, Empty::<Bytes>::new()).await?;
        let (content, trailers) = drain(response.body_mut()).await?;
        let after = if stats(&cluster).idle == 1 {
            After::Kept
        } else {
            After::Closed
        };
        let (parts, _) = response.into_parts();
        let content = String::from_utf8(content).unwrap();
        Ok(Got {
            status: parts.status.as_u16(),
            headers: parts.headers,
            content,
            trailers,
            after,
        })
    };
    let server = async {
        use tokio::io::AsyncWriteExt;
        wire.head().await;
        // The client may close before it has read everything.
        drop(wire.stream.write_all(reply).await);
        drop(wire);
    };
    tokio::join!(client, server).0
}

#[tokio::test]
async fn every_framing_is_read_in_whole_and_in_small_pieces() {
    use After::{Closed, Kept};
    let cases: &[(Method, &str, u16, &str, After)] = &[
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            200,
            "hello",
            Kept,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            "",
            Kept,
        ),
        (
            Method::GET,
            "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
            200,
            "ok",
            Kept,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 02\r\n\r\nok",
            200,
            "ok",
            Kept,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\n\r\n",
            200,
            "hello!",
            Kept,
        ),
        (
            Method::POST,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
            200,
            "",
            Closed,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\n\r\nto the end",
            200,
            "to the end",
            Closed,
        ),
        (
            Method::GET,
            "HTTP/1.0 200 OK\r\n\r\nto the end",
            200,
            "to the end",
            Closed,
        ),
        (
            Method::GET,
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            200,
            "ok",
            Closed,
        ),
        (
            Method::GET,
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok",
            200,
            "ok",
            Kept,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: CLOSE\r\n\r\nok",
            200,
            "ok",
            Closed,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, close\r\n\r\nok",
            200,
            "ok",
            Closed,
        ),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", 204, "", Kept),
        (
            Method::GET,
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            204,
            "",
            Kept,
        ),
        (
            Method::GET,
            "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
            204,
            "",
            Closed,
        ),
        (
            Method::GET,
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            204,
            "",
            Closed,
        ),
        (
            Method::GET,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
            304,
            "",
            Kept,
        ),
        (
            Method::HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
            200,
            "",
            Kept,
        ),
        (
            Method::HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
            "",
            Kept,
        ),
        (Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n", 200, "", Kept),
        (
            Method::GET,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            200,
            "ok",
            Kept,
        ),
    ];
    for (method, reply, status, content, after) in cases {
        for step in [1, 3, 4096] {
            let got = exchange(method.clone(), reply.as_bytes(), step).await.unwrap();
            assert_eq!(
                (got.status, got.content.as_str()),
                (*status, *content),
                "{reply:?} by {step}"
            );
            assert_eq!(&got.after, after, "{reply:?} by {step}");
            assert!(!got.headers.contains_key(header::TRANSFER_ENCODING), "{reply:?}");
            assert!(!got.headers.contains_key(header::CONNECTION), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn bytes_after_the_response_forbid_reuse() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n\r\n",
    ] {
        let got = exchange(Method::GET, reply.as_bytes(), 4096).await.unwrap();
        assert_eq!(got.after, After::Closed, "{reply:?}");
    }
}

#[tokio::test]
async fn content_length_is_kept_where_there_is_no_content_and_handed_on_once() {
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 007\r\nContent-Length: 7\r\n\r\n";
    let got = exchange(Method::HEAD, reply, 4096).await.unwrap();
    let lengths: Vec<_> = got.headers.get_all(header::CONTENT_LENGTH).iter().collect();
    assert_eq!(lengths, ["7"]);
}

#[tokio::test]
async fn trailers_come_as_a_frame_without_forbidden_fields() {
    let reply = b"HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n";
    for step in [1, 4096] {
        let got = exchange(Method::GET, reply, step).await.unwrap();
        let trailers = got.trailers.unwrap();
        assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &"1".parse().unwrap()));
        assert_eq!((got.content.as_str(), got.after), ("ok", After::Kept));
    }
}

#[tokio::test]
async fn bodies_tell_their_size_and_their_end() {
    for (reply, hint) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Some(2)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(0)),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            None,
        ),
    ] {
        for step in [1, 4096] {
            let (cluster, mut wire) = memory(settings(&[1]), step);
            let client = async {
                let mut body = get(&cluster).await.unwrap().into_body();
                assert_eq!(body.size_hint().exact(), hint);
                assert_eq!(body.is_end_stream(), hint == Some(0));
                let mut left = hint.unwrap_or(2);
                while left > 0 {
                    left -= body.frame().await.unwrap().unwrap().data_ref().unwrap().len() as u64;
                    if hint.is_some() {
                        assert_eq!(body.size_hint().exact(), Some(left));
                    }
                }
                if hint.is_some() || step > 1 {
                    assert!(
                        body.is_end_stream(),
                        "the last frame is known to be the last: {reply:?}"
                    );
                }
                assert!(body.frame().await.is_none());
            };
            tokio::join!(client, wire.answer(reply));
        }
    }
}

#[tokio::test]
async fn malformed_responses_are_refused() {
    let many_interim =
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(17) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let replies = [
        // Where the head is not a head.
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "nonsense\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &many_interim,
        // Where the body's end would be a guess.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        // Where the chunks are no chunks.
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
    ];
    for reply in replies {
        for step in [1, 4096] {
            let failure = exchange(Method::GET, reply.as_bytes(), step).await.err();
            let kind = failure.map(|f| f.kind);
            assert!(
                matches!(kind, Some(FailureKind::Malformed(_))),
                "{reply:?} by {step}: {kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_response_that_is_cut_short_is_reported_so() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n",
    ] {
        let failure = exchange(Method::GET, reply.as_bytes(), 4096).await.err().unwrap();
        assert_eq!(failure.kind, FailureKind::Truncated, "{reply:?}");
        assert_eq!(failure.endpoint.as_deref(), Some("127.0.0.1:1"));
        let begun = reply.contains("\r\n\r\n") && !reply.contains("100");
        let want = if begun {
            RetrySafety::Unsafe
        } else {
            RetrySafety::Idempotent
        };
        assert_eq!(failure.retry, want, "{reply:?}");
    }
}

#[tokio::test]
async fn heads_have_a_limit_in_bytes_and_in_fields() {
    let field = |size: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\na: {}\r\n\r\n",
            "x".repeat(size)
        )
    };
    let fields = |count: usize| format!("HTTP/1.1 204 No\r\n{}\r\n", "a: b\r\n".repeat(count));
    for (reply, fits) in [
        (field(16 * 1024 - 45), true),
        (field(16 * 1024), false),
        (field(1 << 20), false),
        (fields(100), true),
        (fields(101), false),
    ] {
        let result = exchange(Method::GET, reply.as_bytes(), 1000).await;
        match result {
            Ok(_) => assert!(fits, "{}", reply.len()),
            Err(failure) => {
                assert!(!fits, "{}", reply.len());
                assert_eq!(failure.kind, FailureKind::HeadTooLarge);
            }
        }
    }
}

#[tokio::test]
async fn a_small_limit_of_fields_holds_too() {
    let mut small = settings(&[1]);
    small.max_headers = 2;
    let (cluster, mut wire) = memory(small, 4096);
    let (result, _) = tokio::join!(
        get(&cluster),
        wire.answer("HTTP/1.1 204 No\r\na: b\r\nc: d\r\ne: f\r\n\r\n")
    );
    assert_eq!(result.err().unwrap().kind, FailureKind::HeadTooLarge);
}
