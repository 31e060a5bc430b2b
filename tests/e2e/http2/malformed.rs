//! Requests that are none: the stream or the connection ends, and nothing reaches an upstream (RFC 9113 sections 8.1.1
//! and 5.4).

use portcullis_tests::Upstream;
use portcullis_tests::http2::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, Wire, block, frame,
};

use super::front;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;

/// The fields of a request that is right, and these.
fn plus(fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut all = vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a.example"),
        (":path", "/"),
    ];
    all.extend_from_slice(fields);
    block(&all)
}

#[tokio::test]
async fn malformed_heads_are_answered_by_a_protocol_error() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    for (what, bad) in [
        ("upper case", plus(&[("X-Upper", "1")])),
        ("connection", plus(&[("connection", "close")])),
        ("keep-alive", plus(&[("keep-alive", "1")])),
        ("proxy-connection", plus(&[("proxy-connection", "close")])),
        ("transfer-encoding", plus(&[("transfer-encoding", "chunked")])),
        ("upgrade", plus(&[("upgrade", "h2c")])),
        ("te", plus(&[("te", "gzip")])),
        (
            "pseudo-field behind a field",
            plus(&[("x-a", "1"), (":path", "/b")]),
        ),
        ("pseudo-field twice", plus(&[(":path", "/b")])),
        ("unknown pseudo-field", plus(&[(":nonsense", "1")])),
        ("pseudo-field of responses", plus(&[(":status", "200")])),
        (
            "no method",
            block(&[(":scheme", "http"), (":authority", "a"), (":path", "/")]),
        ),
        (
            "no scheme",
            block(&[(":method", "GET"), (":authority", "a"), (":path", "/")]),
        ),
        (
            "no path",
            block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a")]),
        ),
        (
            "empty path",
            block(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", ""),
            ]),
        ),
        (
            "method with a blank",
            block(&[
                (":method", "G T"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]),
        ),
        (
            "path with a blank",
            block(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/ HTTP/1.1\r\nx: y"),
            ]),
        ),
        ("line end in a value", plus(&[("x-a", "1\r\nx-b: 2")])),
        ("NUL in a value", plus(&[("x-a", "1\0")])),
        ("name with a blank", plus(&[("x a", "1")])),
        ("name with a line end", plus(&[("x-a\r\n", "1")])),
        ("empty name", plus(&[("", "1")])),
        ("length that is no number", plus(&[("content-length", "1x")])),
        ("length of a body that is none", plus(&[("content-length", "5")])),
    ] {
        let mut wire = Wire::open(gateway.address()).await;
        wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bad))
            .await;
        let end = wire.next_of(&[RST_STREAM, GOAWAY, HEADERS]).await.unwrap();
        assert_eq!(end.code(), Some(PROTOCOL_ERROR), "{what}: {end:?}");
        if end.kind == GOAWAY {
            // RFC 9113 section 5.4.2 leaves it to the server to end the connection.
            assert!(wire.next_of(&[GOAWAY]).await.is_none(), "{what}");
            continue;
        }
        wire.send(&frame(PING, 0, 0, b"12345678")).await;
        let pong = loop {
            let frame = wire.next_of(&[PING]).await.unwrap();
            if frame.flags == ACK {
                break frame;
            }
        };
        assert_eq!(pong.payload, b"12345678", "{what}");
    }
    assert!(upstream.wires().is_empty(), "{:?}", upstream.wires());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_differs_from_its_length_ends_its_stream() {
    let upstream = Upstream::echo().tolerant();
    let gateway = front(upstream.address()).start().await;
    for (what, body) in [("short", &b"123"[..]), ("long", b"1234567")] {
        let mut wire = Wire::open(gateway.address()).await;
        wire.send(&frame(HEADERS, END_HEADERS, 1, &plus(&[("content-length", "5")])))
            .await;
        wire.send(&frame(DATA, END_STREAM, 1, body)).await;
        let end = wire.next_of(&[RST_STREAM]).await.unwrap();
        assert_eq!(end.code(), Some(PROTOCOL_ERROR), "{what}");
    }
    assert!(upstream.requests().iter().all(|request| !request.complete));
    gateway.shutdown().await;
}

#[tokio::test]
async fn broken_frames_end_the_connection() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address()).start().await;
    let head = plus(&[]);
    for (what, bytes, code) in [
        ("DATA on stream 0", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        (
            "HEADERS on stream 0",
            frame(HEADERS, END_HEADERS, 0, &head),
            PROTOCOL_ERROR,
        ),
        (
            "a stream of the server's",
            frame(HEADERS, END_HEADERS | END_STREAM, 2, &head),
            PROTOCOL_ERROR,
        ),
        (
            "a CONTINUATION of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &head),
            PROTOCOL_ERROR,
        ),
        (
            "a frame within a field block",
            [frame(HEADERS, 0, 1, &head), frame(PING, 0, 0, &[0; 8])].concat(),
            PROTOCOL_ERROR,
        ),
        ("PING of 7 bytes", frame(PING, 0, 0, &[0; 7]), PROTOCOL_ERROR),
        (
            "SETTINGS of 5 bytes",
            frame(SETTINGS, 0, 0, &[0; 5]),
            PROTOCOL_ERROR,
        ),
        (
            "a frame that is too long",
            frame(DATA, 0, 1, &[0; 16_385]),
            FRAME_SIZE_ERROR,
        ),
        (
            "a field block that is none",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 12]),
            PROTOCOL_ERROR,
        ),
        (
            "a window of 0",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            PROTOCOL_ERROR,
        ),
        (
            "a window beyond 2^31",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            FLOW_CONTROL_ERROR,
        ),
    ] {
        let mut wire = Wire::open(gateway.address()).await;
        wire.send(&bytes).await;
        let end = wire.next_of(&[GOAWAY]).await;
        assert_eq!(end.and_then(|frame| frame.code()), Some(code), "{what}");
        assert!(
            wire.next_of(&[GOAWAY]).await.is_none(),
            "{what}: the connection goes on"
        );
    }
    assert!(upstream.wires().is_empty(), "{:?}", upstream.wires());
    gateway.shutdown().await;
}
