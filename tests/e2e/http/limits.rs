//! Limits on what a client may send.

use portcullis_tests::{Request, Upstream};

use super::peer::{End, Peer};
use super::{expect_problem, front};

#[tokio::test]
async fn a_target_that_is_too_long_is_refused() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { uri-bytes = '64B' }")
        .start()
        .await;
    let target = |length: usize| format!("/{}?{}", "a".repeat(30), "b".repeat(length - 32));
    assert_eq!(gateway.get(&target(64)).await.status, 200);
    expect_problem(&gateway.get(&target(65)).await, 414, "uri-too-long");
    // Normalising does not make it short enough.
    let target = format!("/{}", "./".repeat(32));
    expect_problem(&gateway.get(&target).await, 414, "uri-too-long");
    assert_eq!(upstream.requests().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn too_many_fields_are_refused() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { headers = 10 }")
        .start()
        .await;
    // The field `host` is one of them.
    let request = |count: usize| (1..count).fold(Request::get("/"), |request, _| request.header("x-a", "1"));
    assert_eq!(gateway.send(&request(10)).await.status, 200);
    let mut connection = gateway.connect().await;
    let answer = connection.exchange(&request(11)).await.unwrap();
    expect_problem(&answer, 431, "headers-too-large");
    connection.closed().await.unwrap();
    assert_eq!(upstream.requests().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn fields_that_are_too_large_are_refused() {
    let upstream = Upstream::echo();
    for (limit, fits, exceeds) in [("16KiB", 15 << 10, 17 << 10), ("1KiB", 900, 1025)] {
        let gateway = front(upstream.address(), "")
            .listener(&format!("limits = {{ header-bytes = '{limit}' }}"))
            .start()
            .await;
        let request = |length: usize| Request::get("/").header("x-a", &"v".repeat(length));
        assert_eq!(gateway.send(&request(fits)).await.status, 200, "{limit}");
        let mut connection = gateway.connect().await;
        let answer = connection.exchange(&request(exceeds)).await.unwrap();
        expect_problem(&answer, 431, "headers-too-large");
        gateway.shutdown().await;
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_head_without_end_is_refused_before_it_fills_the_memory() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-a: ").await;
    client.send("a".repeat(64 << 10)).await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(answer.contains("\"code\":\"headers-too-large\""), "{answer}");
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_announced_body_that_is_too_large_is_refused_before_it_comes() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { body = '10B' }")
        .start()
        .await;
    assert_eq!(gateway.send(&Request::post("/", "0123456789")).await.status, 200);
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n")
        .await;
    let (answer, end) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"code\":\"body-too-large\""), "{answer}");
    assert_eq!(end, End::Closed);
    assert_eq!(upstream.requests().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused_and_never_looks_complete() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { body = '10B' }")
        .start()
        .await;
    let request = |chunks: [&str; 2]| Request::post("/", "").chunks(chunks);
    assert_eq!(gateway.send(&request(["01234", "56789"])).await.status, 200);
    let answer = gateway.send(&request(["01234", "567890"])).await;
    expect_problem(&answer, 413, "body-too-large");
    let requests = upstream.requests();
    assert_eq!(requests.iter().filter(|request| request.complete).count(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_route_has_the_last_word_on_the_size_of_a_body() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { body = '10B' }")
        .toml(
            "match = { path = '/small' }\nmax-body = '5B'\n\
             [[routes]]\nname = 'large'\nupstream = 'up'\nmax-body = '20B'\n",
        )
        .start()
        .await;
    for (target, length, status) in [
        ("/small", 5, 200),
        ("/small", 6, 413),
        ("/x", 20, 200),
        ("/x", 21, 413),
    ] {
        let answer = gateway.send(&Request::post(target, vec![b'x'; length])).await;
        assert_eq!(answer.status, status, "{target} {length}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_sends_a_refused_body_all_the_same_still_gets_its_answer() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { body = '10B' }")
        .start()
        .await;
    let answer = gateway.send(&Request::post("/", vec![b'x'; 1 << 20])).await;
    expect_problem(&answer, 413, "body-too-large");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_gets_its_answer_and_no_reset() {
    const BODY: usize = 8 << 20;
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "")
        .listener("limits = { body = '10B' }")
        .start()
        .await;
    let mut client = Peer::connect(gateway.address()).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY}\r\n\r\n"
        ))
        .await;
    client.send(vec![b'x'; BODY / 2]).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    client.send(vec![b'x'; BODY / 2]).await;
    client.finish().await;
    let (document, end) = client.rest().await;
    assert!(document.contains("body-too-large"), "{document}");
    assert_eq!(end, End::Closed);
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;
}
