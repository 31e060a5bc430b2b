//! Streams of one connection do not disturb each other.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::Builder;
use portcullis_tests::http2::{Client, get, next, receive, request, send};
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, Upstream};

use super::front;

#[tokio::test]
async fn a_hundred_streams_are_served_at_once() {
    let (upstream, gate) = Upstream::slow(&["done"]);
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(client.begin(get("/")).await.unwrap());
    }
    upstream.wait_for_requests(100).await;
    gate.open_for_good();
    for response in waiting {
        let reply = receive(response).await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, "done"));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_own_exchange_and_no_other() {
    let (upstream, gate) = Upstream::slow(&["done"]);
    let silent = Upstream::raw([Step::Request, Step::Drain]).tolerant();
    let gateway = front(upstream.address())
        .upstream("silent", &silent)
        .toml("[[routes]]\nname = 'silent'\nmatch = { path = '/silent' }\nupstream = 'silent'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let given_up = client.begin(get("/silent")).await.unwrap();
    let kept = client.begin(get("/")).await.unwrap();
    silent.wait_for_requests(1).await;
    upstream.wait_for_requests(1).await;
    assert_eq!(silent.open(), 1);
    drop(given_up);
    eventually("the upstream's request is cancelled", async || {
        (silent.open() == 0).then_some(())
    })
    .await;
    gate.open_for_good();
    assert_eq!(receive(kept).await.unwrap().text(), "done");
    assert_eq!(client.exchange(get("/3")).await.unwrap().text(), "done");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_resets_the_stream_only() {
    let upstream = Upstream::raw([
        Step::Request,
        Step::send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
    ]);
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..2 {
        let error = client.exchange(get("/")).await.unwrap_err();
        assert_eq!(
            (error.is_reset(), error.reason()),
            (true, Some(Reason::INTERNAL_ERROR))
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_window_and_no_more() {
    let upstream = Upstream::huge(50_000_000);
    let gateway = front(upstream.address()).start().await;
    let mut client = Client::connect_with(
        gateway.address(),
        Builder::new().initial_connection_window_size(1 << 20),
    )
    .await;
    let slow = client.begin(get("/")).await.unwrap();
    let mut slow = slow.await.unwrap().into_body();
    let mut before = u64::MAX;
    // What the sockets between upstream and gateway hold is the system's.
    eventually("an upstream that is held back", async || {
        let sent = upstream.sent();
        let rests = sent == before && sent > 0;
        before = sent;
        rests.then_some(())
    })
    .await;
    assert!(before < 20_000_000, "{before} bytes were taken");
    // The connection's window has room for others.
    let mut other = client.begin(get("/")).await.unwrap().await.unwrap().into_body();
    assert!(next(&mut other).await.unwrap().is_some());
    drop(other);
    let mut read = 0;
    while let Some(piece) = next(&mut slow).await.unwrap() {
        read += piece.len();
    }
    assert_eq!(read, 50_000_000);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_stream_after_the_body_timeout() {
    let upstream = Upstream::huge(50_000_000);
    let gateway = front(upstream.address())
        .listener("limits.body-timeout = '1s'")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let stuck = client.begin(get("/")).await.unwrap().await.unwrap();
    eventually("the upstream's connection is closed", async || {
        (upstream.connections() == 1 && upstream.open() == 0).then_some(())
    })
    .await;
    let mut body = stuck.into_body();
    let error = loop {
        match next(&mut body).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a body that was cut is whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    // The connection is as good as before.
    let again = client.begin(get("/")).await.unwrap().await.unwrap();
    assert_eq!(again.status(), 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_408_and_other_streams_go_on() {
    let upstream = Upstream::echo().tolerant();
    let gateway = front(upstream.address())
        .listener("limits.body-timeout = '1s'")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let (response, mut stalled) = client.open(request("POST", "/")).await;
    send(&mut stalled, Bytes::from_static(b"begin")).await.unwrap();
    assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    let reply = receive(response).await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (408, &"request-timeout".into())
    );
    assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn both_directions_stream_at_the_same_time() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .workers(1)
        .upstream("up", &upstream)
        .toml("[[routes]]\nname = 'all'\nupstream = 'up'\nmax-body = '1KiB'\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    // An answer that comes before the body has ended asks for no more of it (RFC 9113 section 8.1).
    let (response, mut stream) = client.open(request("POST", "/")).await;
    send(&mut stream, Bytes::from(vec![0; 4096])).await.unwrap();
    let reply = receive(response).await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (413, &"body-too-large".into())
    );
    let reason = tokio::time::timeout(
        Duration::from_secs(20),
        std::future::poll_fn(|cx| stream.poll_reset(cx)),
    );
    assert_eq!(reason.await.unwrap().unwrap(), Reason::NO_ERROR);
    gateway.shutdown().await;
}
