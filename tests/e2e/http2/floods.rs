//! Clients that make work without wanting answers.

use portcullis_tests::http2::frames::{
    END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, Wire, block, frame,
};
use portcullis_tests::http2::{Client, get};
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, Upstream};

use super::front;

/// RFC 9113 section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

fn head() -> Vec<u8> {
    block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a.example"),
        (":path", "/"),
    ])
}

/// Reads requests and never answers, but sees when they are given up.
fn silent() -> Upstream {
    Upstream::raw([Step::Request, Step::Drain]).tolerant()
}

/// Waits until no client connection is open.
async fn all_gone(gateway: &Gateway) {
    eventually("the connection is forgotten", async || {
        let series = "portcullis_listener_connections{listener=\"public\"}";
        (gateway.metric(series).await == Some(0.0)).then_some(())
    })
    .await;
}

/// CVE-2023-44487.
#[tokio::test]
async fn a_flood_of_resets_is_cut_and_leaves_nothing_behind() {
    let upstream = silent();
    let gateway = front(upstream.address()).start().await;
    let mut wire = Wire::open(gateway.address()).await;
    let block = head();
    let mut cut = None;
    for round in 0..2_000_u32 {
        let mut bytes = Vec::new();
        for n in 0..10 {
            let stream = 1 + 2 * (round * 10 + n);
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        bytes.extend(frame(PING, 0, 0, &[0; 8]));
        wire.send(&bytes).await;
        match wire.next_of(&[PING, GOAWAY]).await {
            Some(frame) if frame.kind == GOAWAY => {
                cut = frame.code();
                break;
            }
            Some(_) => {}
            None => break,
        }
    }
    assert_eq!(cut, Some(ENHANCE_YOUR_CALM));
    drop(wire);
    all_gone(&gateway).await;
    eventually("the upstream's requests are cancelled", async || {
        (upstream.open() == 0).then_some(())
    })
    .await;
    // Others are served.
    let mut client = Client::connect(gateway.address()).await;
    let waiting = client.begin(get("/")).await.unwrap();
    eventually("a request at the upstream", async || {
        (upstream.open() == 1).then_some(())
    })
    .await;
    drop(waiting);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_cancels_now_and_then_is_not_cut() {
    let (upstream, gate) = Upstream::slow(&["done"]);
    let upstream = upstream.tolerant();
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..30 {
        drop(client.begin(get("/")).await.unwrap());
    }
    gate.open_for_good();
    assert_eq!(client.exchange(get("/")).await.unwrap().text(), "done");
    gateway.shutdown().await;
}

#[tokio::test]
async fn no_more_streams_are_open_than_the_limit() {
    let (upstream, gate) = Upstream::slow(&["done"]);
    let gateway = front(upstream.address())
        .listener("http2.max-concurrent-streams = 3")
        .start()
        .await;
    let mut wire = Wire::open(gateway.address()).await;
    let settings = wire.next_of(&[SETTINGS]).await.unwrap();
    let limit = settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]);
    assert_eq!(limit, Some(&[0, 3, 0, 0, 0, 3][..]));
    for stream in [1, 3, 5, 7] {
        let bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head());
        wire.send(&bytes).await;
    }
    let refused = wire.next_of(&[RST_STREAM]).await.unwrap();
    // REFUSED_STREAM: it may be sent again.
    assert_eq!((refused.stream, refused.code()), (7, Some(7)));
    upstream.wait_for_requests(3).await;
    gate.open_for_good();
    drop(wire);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_idle_connection_is_told_and_closed() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address())
        .listener("limits.keep-alive = '1s'")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    client.closed().await.unwrap();
    all_gone(&gateway).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_given_up() {
    let upstream = silent();
    let gateway = front(upstream.address())
        .listener("http2.ping-interval = '1s'\nhttp2.ping-timeout = '1s'")
        .start()
        .await;
    // This one answers, and is kept.
    let mut alive = Client::connect(gateway.address()).await;
    let waiting = alive.begin(get("/")).await.unwrap();
    let mut wire = Wire::open(gateway.address()).await;
    wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head()))
        .await;
    assert!(wire.next_of(&[PING]).await.is_some());
    assert!(wire.next_of(&[PING]).await.is_none(), "the connection goes on");
    eventually("the other's request goes on", async || {
        (upstream.open() == 1).then_some(())
    })
    .await;
    drop(waiting);
    gateway.shutdown().await;
}
