//! A second try beside a slow first one.

use std::time::Duration;

use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::{Gate, Step};
use portcullis_tests::websocket::Client;
use portcullis_tests::{Request, Upstream};
use tokio::time::Instant;

use super::{front, up};

/// Reads a request and answers nothing.
fn silent() -> Upstream {
    Upstream::raw([Step::Request, Step::Drain])
}

#[tokio::test]
async fn the_second_try_answers_for_a_slow_first_one_which_is_given_up() {
    let (slow, good) = (silent(), Upstream::echo());
    let endpoints = [slow.address(), good.address()];
    let gateway = front(&endpoints, "hedge.after = '50ms'").start().await;
    let began = Instant::now();
    while slow.requests().is_empty() {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert!(began.elapsed() >= Duration::from_millis(50));
    eventually("the end of the slow try", async || {
        (slow.open() == 0).then_some(())
    })
    .await;
    let hedges = (up(&gateway, "hedges").await, up(&gateway, "hedges_won").await);
    assert_eq!(hedges, (1.0, 1.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_quick_response_and_a_request_that_may_not_be_sent_twice_have_no_second_try() {
    let good = Upstream::echo();
    let gateway = front(&[good.address()], "hedge.after = '1h'").start().await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!((good.requests().len(), up(&gateway, "hedges").await), (5, 0.0));
    gateway.shutdown().await;

    for request in [Request::post("/", ""), Request::new("PUT", "/").body("hello")] {
        let slow = silent();
        let gateway = front(
            &[slow.address()],
            "hedge.after = '1ms'\nfirst-byte-timeout = '100ms'",
        )
        .start()
        .await;
        assert_eq!(gateway.send(&request).await.problem(), "upstream-timeout");
        assert_eq!((slow.requests().len(), up(&gateway, "hedges").await), (1, 0.0));
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_bad_response_does_not_beat_one_that_is_still_to_come() {
    let gate = Gate::closed();
    let slow = Upstream::raw([
        Step::Request,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow"),
    ]);
    let bad = Upstream::fixed(503, &[], "");
    let endpoints = [slow.address(), bad.address()];
    let gateway = front(&endpoints, "hedge.after = '20ms'").start().await;
    let mut connection = gateway.connect().await;
    loop {
        connection.send(&Request::get("/")).await.unwrap();
        let seen = eventually("a request", async || {
            let (slow, bad) = (slow.requests().len(), bad.requests().len());
            (slow + bad > 0).then_some((slow, bad))
        })
        .await;
        if seen.0 > 0 {
            break;
        }
        assert_eq!(connection.receive("GET").await.unwrap().status, 503);
    }
    eventually("the second try", async || {
        (!bad.requests().is_empty()).then_some(())
    })
    .await;
    gate.open_for_good();
    let answer = connection.receive("GET").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "slow"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_second_try_is_one_of_the_budget() {
    let slow = silent();
    let keys = "hedge.after = '1ms'\nfirst-byte-timeout = '100ms'\nretry-budget = { percent = 0, min-per-second = 0 }";
    let gateway = front(&[slow.address()], keys).start().await;
    assert_eq!(gateway.get("/").await.problem(), "upstream-timeout");
    assert_eq!(
        (
            slow.requests().len(),
            up(&gateway, "retry_budget_exhausted").await
        ),
        (1, 1.0)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_asks_for_an_upgrade_has_no_second_try() {
    let slow = silent();
    let keys = "hedge.after = '1ms'\nfirst-byte-timeout = '100ms'";
    let gateway = front(&[slow.address()], keys).start().await;
    let (_stream, head) = Client::ask(gateway.address(), "/", "").await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert_eq!((slow.requests().len(), up(&gateway, "hedges").await), (1, 0.0));
    gateway.shutdown().await;
}
