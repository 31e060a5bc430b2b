//! Further tries: which requests have them, where they go, and how many there are.

use std::time::Duration;

use portcullis_tests::upstream::{Gate, Step, Turn};
use portcullis_tests::websocket::{Client, EchoServer};
use portcullis_tests::wire::Fault;
use portcullis_tests::{Load, Request, Upstream};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::{front, retried, up};

#[tokio::test]
async fn an_idempotent_request_is_tried_again_when_its_connection_or_its_status_is_bad() {
    for (turn, reason) in [
        (Turn::Reset, "reset"),
        (Turn::Close, "reset"),
        (Turn::Answer(503), "status"),
    ] {
        let upstream = Upstream::flaky(&[turn, turn, Turn::Answer(200)]);
        let gateway = front(&[upstream.address()], "retries = {}").start().await;
        for (method, body) in [("GET", ""), ("PUT", "hello")] {
            let before = upstream.requests().len();
            let answer = gateway.send(&Request::new(method, "/").body(body)).await;
            assert_eq!(answer.status, 200, "{turn:?} {method}");
            let requests = upstream.requests().split_off(before);
            assert_eq!(requests.len(), 3, "{turn:?} {method}");
            assert!(requests.iter().all(|request| request.raw == requests[0].raw));
        }
        assert_eq!(retried(&gateway, reason).await, 4.0);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn the_last_response_is_passed_on_when_the_tries_are_used_up_and_others_at_once() {
    for (status, keys, tries) in [
        (503, "retries = {}", 3),
        (503, "retries.attempts = 1", 2),
        (503, "retries.attempts = 0", 1),
        (503, "", 1),
        (500, "retries = {}", 1),
        (500, "retries.on = ['5xx']", 3),
        (500, "retries.on = ['gateway-error']", 1),
        (429, "retries.on = ['reset', '429']", 3),
    ] {
        let upstream = Upstream::fixed(status, &[("x-a", "b")], "body");
        let gateway = front(&[upstream.address()], keys).start().await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.text()), (status, "body"), "{keys}");
        assert_eq!(answer.header("x-a"), Some("b"));
        assert_eq!(upstream.requests().len(), tries, "{status} {keys}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_post_is_never_sent_twice_unless_that_is_said_to_be_safe() {
    for (turn, status) in [(Turn::Reset, 502), (Turn::Close, 502), (Turn::Answer(503), 503)] {
        let upstream = Upstream::flaky(&[turn, Turn::Answer(200)]);
        let gateway = front(&[upstream.address()], "retries = {}").start().await;
        let answer = gateway.send(&Request::post("/", "hello")).await;
        assert_eq!((answer.status, upstream.requests().len()), (status, 1));
        gateway.shutdown().await;

        let upstream = Upstream::flaky(&[turn, Turn::Answer(200)]);
        let gateway = front(&[upstream.address()], "retries.methods = ['POST']")
            .start()
            .await;
        assert_eq!(gateway.send(&Request::post("/", "hello")).await.status, 200);
        let requests = upstream.requests();
        assert_eq!((requests.len(), requests[1].text()), (2, "hello"));
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn nothing_was_sent_without_a_connection_so_any_request_goes_again() {
    let gateway = front(&[Upstream::nowhere()], "retries = {}").start().await;
    let request = Request::new("POST", "/").chunks(["a", "b"]);
    for request in [request, Request::post("/", "hello")] {
        let answer = gateway.send(&request).await;
        assert_eq!(answer.problem(), "upstream-connect-failed");
    }
    assert_eq!(retried(&gateway, "connect").await, 4.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_streams_is_sent_again_as_long_as_all_of_it_is_kept() {
    for (buffer, tries, status) in [("9B", 2, 200), ("8B", 1, 502), ("0B", 1, 502)] {
        let upstream = Upstream::flaky(&[Turn::Reset, Turn::Answer(200)]);
        let gateway = front(&[upstream.address()], &format!("retries.buffer = '{buffer}'"))
            .start()
            .await;
        let request = Request::new("PUT", "/").chunks(["one", "two", "six"]);
        assert_eq!(gateway.send(&request).await.status, status, "{buffer}");
        let requests = upstream.requests();
        assert_eq!(requests.len(), tries, "{buffer}");
        assert!(requests.iter().all(|request| request.text() == "onetwosix"));
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_further_try_goes_to_another_endpoint() {
    let (bad, good) = (Upstream::reset(), Upstream::echo());
    let endpoints = [bad.address(), good.address()];
    let gateway = front(&endpoints, "retries.attempts = 1").start().await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(good.requests().len(), 20);
    assert_eq!(retried(&gateway, "reset").await, bad.requests().len() as f64);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_followed_by_one_at_another_endpoint() {
    let gate = Gate::closed();
    let slow = Upstream::raw([Step::Request, Step::Wait(gate.clone())]);
    let good = Upstream::echo();
    let endpoints = [slow.address(), good.address()];
    let gateway = front(&endpoints, "retries.per-try-timeout = '100ms'")
        .start()
        .await;
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    let waited = u32::try_from(slow.requests().len()).unwrap();
    assert!(waited > 0 && began.elapsed() >= Duration::from_millis(100) * waited);
    assert_eq!(retried(&gateway, "timeout").await, f64::from(waited));
    gate.open_for_good();
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_passed_on() {
    for (wait, tries) in [("0", 3), ("2", 1), ("Fri, 31 Dec 1999 23:59:59 GMT", 1)] {
        let upstream = Upstream::fixed(503, &[("retry-after", wait)], "");
        let gateway = front(&[upstream.address()], "retries = {}").start().await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some(wait)));
        assert_eq!(upstream.requests().len(), tries, "{wait}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_after_its_head_is_not_tried_again() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none";
    let gate = Gate::closed();
    let upstream = Upstream::raw([Step::Request, Step::send(head), Step::Wait(gate.clone())]);
    let gateway = front(&[upstream.address()], "retries = {}").start().await;
    let mut connection = gateway.connect().await;
    connection.send(&Request::get("/")).await.unwrap();
    let (status, head) = connection.receive_head().await.unwrap();
    gate.open_for_good();
    let framing = head
        .fields
        .framing(portcullis_tests::message::Framing::Close)
        .unwrap();
    let end = connection.pieces(framing, |_| {}).await;
    assert!(matches!(end, Err(Fault::Truncated(_) | Fault::Closed)), "{end:?}");
    assert_eq!((status, upstream.requests().len()), (200, 1));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_route_can_have_retries_of_its_own() {
    let upstream = Upstream::fixed(503, &[], "");
    let gateway = front(&[upstream.address()], "retries.attempts = 1")
        .toml("[[routes]]\nname = 'own'\nupstream = 'up'\nmatch.path = '/own'\nretries.attempts = 4\n")
        .toml("[[routes]]\nname = 'none'\nupstream = 'up'\nmatch.path = '/none'\nretries.attempts = 0\n")
        .start()
        .await;
    for (path, tries) in [("/", 2), ("/own", 5), ("/none", 1)] {
        let before = upstream.requests().len();
        assert_eq!(gateway.get(path).await.status, 503);
        assert_eq!(upstream.requests().len() - before, tries, "{path}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_deadline_of_the_exchange_ends_its_tries() {
    let upstream = Upstream::fixed(503, &[], "");
    let keys = "retries = { attempts = 10, back-off = '1h', max-back-off = '1h' }";
    let gateway = portcullis_tests::Gateway::new()
        .upstream_with("up", &[upstream.address()], keys)
        .toml("[[routes]]\nname = 'all'\nupstream = 'up'\ntimeout = '10s'\n")
        .start()
        .await;
    let began = Instant::now();
    // The pause is random, and short ones are rare.
    assert_eq!(gateway.get("/").await.status, 503);
    assert!(began.elapsed() < Duration::from_secs(10));
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_is_down_sees_at_most_as_many_further_tries_as_its_budget_allows() {
    let upstream = Upstream::fixed(503, &[], "");
    let keys =
        "retries = { attempts = 10, back-off = '0s' }\nretry-budget = { percent = 20, min-per-second = 0 }";
    let gateway = front(&[upstream.address()], keys).workers(2).start().await;
    let load = Load::new(gateway.address(), Request::get("/"))
        .check(|answer| match answer.status {
            503 => Ok(()),
            status => Err(status.to_string()),
        })
        .start();
    load.wait_for(500).await;
    let report = load.stop().await;
    report.expect_no_failure();
    let (sent, seen) = (report.requests, upstream.requests().len() as u64);
    assert!(seen > sent && seen <= sent * 120 / 100, "{seen} of {sent}");
    assert_eq!(retried(&gateway, "status").await, (seen - sent) as f64);
    assert!(up(&gateway, "retry_budget_exhausted").await > 0.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_death_of_one_of_three_endpoints_fails_no_request_that_can_be_repeated() {
    let upstreams = [Upstream::echo(), Upstream::echo(), Upstream::echo()];
    let gateway = front(&upstreams.each_ref().map(Upstream::address), "retries = {}")
        .workers(2)
        .start()
        .await;
    let load = Load::new(gateway.address(), Request::get("/"))
        .connections(8)
        .start();
    load.wait_for(500).await;
    upstreams[1].stop();
    load.wait_for(1_000).await;
    load.stop().await.expect_no_failure();
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upgrade_goes_to_another_endpoint_when_one_cannot_be_connected() {
    let server = EchoServer::start().await;
    let endpoints = [Upstream::nowhere(), server.address()];
    let gateway = front(&endpoints, "retries = {}").start().await;
    for _ in 0..4 {
        Client::open(gateway.address(), "/", "")
            .await
            .echoes("hello")
            .await;
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_101_that_breaks_off_afterwards_is_not_tried_again() {
    let switching = "HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let upstream = Upstream::raw([Step::Request, Step::send(switching)]);
    let keys = "retries = { on = ['reset', '5xx'] }\nfallback = { status = 503 }";
    let gateway = front(&[upstream.address()], keys).start().await;
    let (mut stream, head) = Client::ask(gateway.address(), "/", "").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
    assert_eq!((rest.len(), upstream.requests().len()), (0, 1));
    drop(stream);
    gateway.shutdown().await;
}
