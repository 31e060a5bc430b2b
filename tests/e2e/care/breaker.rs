//! Circuit breakers.

use std::time::Duration;

use portcullis_tests::Gateway;
use portcullis_tests::endpoint::{Endpoint, Mode};
use portcullis_tests::upstream::Gate;

use super::{breaker, burst, endpoint, endpoints, expect_ok, expect_refused, front, logged, wait_for_reason};

const BREAKER: &str = "breaker = { consecutive-errors = 3, open-time = '1s', trials = 3 }";

/// Lets the breaker open, and gives how many requests that took.
async fn open(gateway: &Gateway, endpoint: &Endpoint) -> usize {
    endpoint.set(Mode::Answer(500));
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 500);
    }
    let mut refused = burst(gateway, 5);
    expect_refused(&mut refused, 5, "circuit-open").await;
    endpoint.requests()
}

#[tokio::test]
async fn it_opens_then_lets_exactly_its_trials_through_then_closes() {
    let [only] = endpoints().await;
    let gateway = front(&[&only], BREAKER).workers(4).start().await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(breaker(&gateway.status().await), "closed");
    let before = open(&gateway, &only).await;
    assert_eq!(before, 4);

    let gate = Gate::closed();
    only.set(Mode::Wait(gate.clone()));
    gateway.wait_for(|status| breaker(status) == "half-open").await;
    let mut clients = burst(&gateway, 100);
    expect_refused(&mut clients, 97, "circuit-open").await;
    only.wait_for_at_once(3).await;
    assert_eq!(only.requests() - before, 3);
    gate.open_for_good();
    expect_ok(clients, 3).await;
    assert_eq!(breaker(&gateway.status().await), "closed");
    expect_ok(burst(&gateway, 100), 100).await;

    let series = |metric: &str, state: &str| {
        format!("portcullis_upstream_breaker_{metric}{{upstream=\"up\",endpoint=\"\",state=\"{state}\"}}")
    };
    for state in ["open", "half-open", "closed"] {
        let transitions = gateway.metric(&series("transitions_total", state)).await;
        assert_eq!(transitions, Some(1.0), "{state}");
    }
    assert_eq!(gateway.metric(&series("state", "closed")).await, Some(1.0));
    let opened = [("upstream", "up"), ("cause", "consecutive-errors")];
    assert!(logged(&gateway, "WARN", "a circuit breaker opened", &opened));
    assert!(logged(
        &gateway,
        "INFO",
        "a circuit breaker closed",
        &[("upstream", "up")]
    ));
    gateway.shutdown().await;
}

#[tokio::test]
async fn trials_that_fail_open_it_again_and_trials_whose_client_leaves_are_made_by_others() {
    let [only] = endpoints().await;
    let keys = BREAKER.replace("trials = 3", "trials = 1");
    let gateway = front(&[&only], &keys).start().await;
    let before = open(&gateway, &only).await;
    gateway.wait_for(|status| breaker(status) == "half-open").await;
    assert_eq!(gateway.get("/").await.status, 500);
    let mut refused = burst(&gateway, 1);
    expect_refused(&mut refused, 1, "circuit-open").await;
    assert_eq!(only.requests(), before + 1);

    let gate = Gate::closed();
    only.set(Mode::Wait(gate.clone()));
    gateway.wait_for(|status| breaker(status) == "half-open").await;
    let mut client = gateway.connect().await;
    client.send(&portcullis_tests::Request::get("/")).await.unwrap();
    only.wait_for_at_once(1).await;
    drop(client);
    only.wait_for_at_once(0).await;
    only.set(Mode::Answer(200));
    gateway.wait_for_answer("/", |answer| answer.status == 200).await;
    assert_eq!(breaker(&gateway.status().await), "closed");
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_breaker_of_an_endpoint_leaves_the_others_alone() {
    let [good, bad] = endpoints().await;
    bad.set(Mode::Answer(500));
    let keys =
        "breaker = { consecutive-errors = 3, open-time = '1h', max-open-time = '1h', scope = 'endpoint' }";
    let gateway = front(&[&good, &bad], keys).workers(1).start().await;
    let mut failed = 0;
    for _ in 0..30 {
        failed += usize::from(gateway.get("/").await.status == 500);
    }
    assert_eq!((failed, bad.requests()), (3, 3));
    wait_for_reason(&gateway, &bad, "open").await;
    let status = gateway.status().await;
    assert_eq!(endpoint(&status, &bad)["breaker"], "open");
    assert_eq!(endpoint(&status, &good)["breaker"], "closed");

    good.set(Mode::Answer(500));
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 500);
    }
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "circuit-open"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn too_many_slow_answers_open_it() {
    let [slow] = endpoints().await;
    slow.set(Mode::Slow(Duration::from_millis(60)));
    let keys = "breaker = { slow-percent = 50, slow-after = '50ms', min-requests = 4, window = '1h', open-time = '1h', \
                max-open-time = '1h' }";
    let gateway = front(&[&slow], keys).start().await;
    expect_ok(burst(&gateway, 4), 4).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "circuit-open"));
    assert!(logged(
        &gateway,
        "WARN",
        "a circuit breaker opened",
        &[("cause", "slow-ratio")]
    ));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_plugin_may_replace_the_answer_of_an_open_breaker() {
    let [bad] = endpoints().await;
    bad.set(Mode::Answer(500));
    let keys = "breaker = { consecutive-errors = 1, open-time = '1h', max-open-time = '1h' }";
    let gateway = front(&[&bad], keys)
        .plugin("error-pages")
        .listener("pipeline = [\"error-pages\"]")
        .start()
        .await;
    assert_eq!(gateway.get("/").await.status, 500);
    let answer = gateway
        .send(&portcullis_tests::Request::get("/").header("accept", "text/html"))
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("retry-after"), Some("3600"));
    gateway.shutdown().await;
}
