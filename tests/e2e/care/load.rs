//! Endpoints killed, hung and slowed while there is load.

use std::time::Duration;

use portcullis_tests::endpoint::Mode;
use portcullis_tests::{Load, Request};

use super::{endpoints, front, wait_for_available, wait_for_reason};

const CHECK: &str = "health-check = { path = '/health', interval = '50ms', timeout = '200ms' }";
const CONNECTIONS: usize = 8;

#[tokio::test]
async fn a_killed_endpoint_costs_no_client_an_error_and_comes_back_by_its_checks() {
    let [one, two, three] = endpoints().await;
    let keys = format!(
        "{CHECK}\noutlier = {{ base-time = '200ms', max-time = '200ms' }}\nretries = {{ attempts = 2 }}"
    );
    let gateway = front(&[&one, &two, &three], &keys).start().await;
    let load = Load::new(gateway.address(), Request::get("/"))
        .connections(CONNECTIONS)
        .start();
    load.wait_for(1_000).await;
    two.kill();
    load.wait_for(2_000).await;
    gateway
        .wait_for(|status| super::endpoint(status, &two)["state"] == "unavailable")
        .await;
    let before = two.requests();
    load.wait_for(1_000).await;
    assert_eq!(two.requests(), before);
    two.restart().await;
    wait_for_available(&gateway, &two).await;
    load.wait_for(1_000).await;
    let report = load.stop().await;
    report.expect_no_failure();
    assert!(report.requests >= 5_000, "{report}");
    assert!(two.requests() > before);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_hung_endpoint_fails_the_requests_that_it_has_and_few_more() {
    let [one, two] = endpoints().await;
    let keys = "first-byte-timeout = '200ms'\noutlier = { consecutive-gateway-errors = 3, base-time = '1h', max-time = '1h' }";
    let gateway = front(&[&one, &two], keys).start().await;
    let load = Load::new(gateway.address(), Request::get("/"))
        .connections(CONNECTIONS)
        .start();
    load.wait_for(200).await;
    two.set(Mode::Hang);
    wait_for_reason(&gateway, &two, "ejected").await;
    load.wait_for(2_000).await;
    let report = load.stop().await;
    // Three make it leave; each other connection may have one there by then.
    assert!((3..=CONNECTIONS as u64 + 3).contains(&report.failed), "{report}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_slow_endpoint_is_left_to_its_trials() {
    let [one, two] = endpoints().await;
    let keys = "breaker = { scope = 'endpoint', slow-percent = 50, slow-after = '100ms', min-requests = 4, window = '1s', \
                open-time = '1h', max-open-time = '1h' }";
    let gateway = front(&[&one, &two], keys).start().await;
    let load = Load::new(gateway.address(), Request::get("/"))
        .connections(CONNECTIONS)
        .start();
    load.wait_for(200).await;
    two.set(Mode::Slow(Duration::from_millis(150)));
    wait_for_reason(&gateway, &two, "open").await;
    let before = two.requests();
    load.wait_for(1_000).await;
    let report = load.stop().await;
    report.expect_no_failure();
    assert!(two.requests() <= before + CONNECTIONS, "{report}");
    gateway.shutdown().await;
}
