//! Active health checks.

use portcullis_tests::endpoint::{Endpoint, Mode};
use portcullis_tests::{Gateway, Upstream};

use super::{endpoint, endpoints, front, logged, wait_for_available, wait_for_reason};

const CHECK: &str = "health-check = { path = '/health', interval = '20ms', timeout = '500ms' }";

/// Sends so many requests, which must all be answered with 200.
async fn all_well(gateway: &Gateway, count: usize) {
    for _ in 0..count {
        assert_eq!(gateway.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn an_endpoint_that_dies_leaves_and_one_that_is_back_is_used_again() {
    let [one, two, three] = endpoints().await;
    let gateway = front(&[&one, &two, &three], CHECK).start().await;
    all_well(&gateway, 12).await;
    assert!(two.requests() > 0);
    two.wait_for_check().await;

    two.kill();
    wait_for_reason(&gateway, &two, "unhealthy").await;
    let address = two.address().to_string();
    let fields = [("upstream", "up"), ("endpoint", &*address)];
    let lost = "an endpoint fails its health checks and is not used any more";
    assert!(logged(&gateway, "WARN", lost, &fields));
    let before = two.requests();
    all_well(&gateway, 12).await;

    two.restart().await;
    wait_for_available(&gateway, &two).await;
    all_well(&gateway, 12).await;
    assert!(two.requests() > before);
    assert!(logged(
        &gateway,
        "INFO",
        "an endpoint passes its health checks again",
        &fields
    ));
    let series = |metric: &str, labels: &str| {
        format!("portcullis_upstream_{metric}{{upstream=\"up\",endpoint=\"{address}\"{labels}}}")
    };
    let failed = gateway
        .metric(&series("health_checks_total", ",result=\"failed\""))
        .await;
    assert!(failed >= Some(3.0), "{failed:?}");
    assert_eq!(gateway.metric(&series("endpoint_available", "")).await, Some(1.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_or_says_that_it_is_ill_leaves() {
    let [good, hung, ill] = endpoints().await;
    hung.set(Mode::Hang);
    ill.set_health(500);
    let keys = CHECK.replace("500ms", "50ms");
    let gateway = front(&[&good, &hung, &ill], &keys).start().await;
    wait_for_reason(&gateway, &hung, "unhealthy").await;
    wait_for_reason(&gateway, &ill, "unhealthy").await;
    for (endpoint, reason) in [(&hung, "did not answer in time"), (&ill, "500")] {
        let address = endpoint.address().to_string();
        let logs = gateway.logs();
        let line = logs
            .iter()
            .find(|line| line.field("endpoint") == Some(&*address))
            .unwrap();
        assert!(line.field("reason").unwrap().contains(reason), "{line:?}");
    }
    let before = ill.requests();
    all_well(&gateway, 20).await;
    assert_eq!(ill.requests(), before);
    ill.set_health(204);
    wait_for_available(&gateway, &ill).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn without_a_healthy_endpoint_there_is_none() {
    let [only] = endpoints().await;
    only.set_health(503);
    let gateway = front(&[&only], CHECK).start().await;
    wait_for_reason(&gateway, &only, "unhealthy").await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "no-endpoint"));
    assert_eq!(only.requests(), 0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_check_asks_what_it_is_told_to() {
    let (up, checked) = (Endpoint::start().await, Upstream::fixed(301, &[], ""));
    let keys = format!(
        "health-check = {{ method = 'HEAD', path = '/live?deep=1', host = 'up.example', expect = ['3xx'], port = {}, \
         interval = '20ms' }}",
        checked.address().port()
    );
    let gateway = front(&[&up], &keys).start().await;
    checked.wait_for_requests(2).await;
    let status = gateway.status().await;
    assert_eq!(endpoint(&status, &up)["state"], "available");
    let request = checked.requests().swap_remove(0);
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("HEAD", "/live?deep=1")
    );
    let raw = String::from_utf8(request.raw).unwrap();
    assert!(raw.contains("\r\nhost: up.example\r\n"), "{raw}");
    assert!(
        raw.contains("\r\nuser-agent: portcullis-health-check\r\n"),
        "{raw}"
    );
    assert_eq!(up.checks(), 0);
    checked.stop();
    wait_for_reason(&gateway, &up, "unhealthy").await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_check_by_tcp_needs_nothing_but_a_connection() {
    let [one, two] = endpoints().await;
    one.set(Mode::Hang);
    let gateway = front(
        &[&one, &two],
        "health-check = { protocol = 'tcp', interval = '20ms' }",
    )
    .start()
    .await;
    two.kill();
    wait_for_reason(&gateway, &two, "unhealthy").await;
    let status = gateway.status().await;
    assert_eq!(endpoint(&status, &one)["state"], "available");
    assert_eq!(one.checks() + two.checks(), 0);
    two.restart().await;
    wait_for_available(&gateway, &two).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_reload_keeps_what_checks_found_out_and_one_without_checks_forgets_it() {
    let [ill, good] = endpoints().await;
    ill.set_health(500);
    let upstream = |endpoints: &[&Endpoint], keys: &str| {
        let addresses: Vec<_> = endpoints
            .iter()
            .map(|each| format!("'{}'", each.address()))
            .collect();
        let list = addresses.join(", ");
        format!("[upstreams.up]\nendpoints = [{list}]\n{keys}\n[[routes]]\nname = 'all'\nupstream = 'up'\n")
    };
    let gateway = Gateway::new()
        .toml(&upstream(&[&ill, &good], CHECK))
        .start()
        .await;
    wait_for_reason(&gateway, &ill, "unhealthy").await;
    let generation = |number: u64| move |status: &serde_json::Value| status["generation"] == number;

    // The checks are seldom now: what is known stays.
    let seldom = CHECK.replace("20ms", "1h");
    gateway.write_toml(&upstream(&[&good, &ill], &seldom));
    let status = gateway.wait_for(generation(2)).await;
    assert_eq!(endpoint(&status, &ill)["state"], "unavailable");

    gateway.write_toml(&upstream(&[&ill, &good], ""));
    gateway.wait_for(generation(3)).await;
    wait_for_available(&gateway, &ill).await;
    all_well(&gateway, 8).await;
    assert!(ill.requests() > 0);
    gateway.shutdown().await;
}
