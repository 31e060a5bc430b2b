//! Limits of an upstream, over all workers.

use portcullis_tests::Gateway;
use portcullis_tests::endpoint::Mode;
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Gate;
use portcullis_tests::websocket::{Client, EchoServer};
use serde_json::{Value, json};

use super::{burst, endpoints, expect_ok, expect_refused, front};

const CLIENTS: usize = 200;

#[tokio::test]
async fn exactly_so_many_requests_at_once() {
    let all: [_; 2] = endpoints().await;
    let gate = Gate::closed();
    all.iter().for_each(|each| each.set(Mode::Wait(gate.clone())));
    let gateway = front(&all.each_ref(), "limits = { requests = 10 }")
        .workers(4)
        .start()
        .await;
    let mut clients = burst(&gateway, CLIENTS);
    expect_refused(&mut clients, CLIENTS - 10, "upstream-overloaded").await;
    let in_use = json!({ "requests": 10, "connections": 0, "pending": 0 });
    gateway
        .wait_for(|status| status["upstreams"][0]["in-use"] == in_use)
        .await;
    assert_eq!(all.iter().map(|each| each.requests()).sum::<usize>(), 10);
    gate.open_for_good();
    expect_ok(clients, 10).await;
    let limited = "portcullis_upstream_limited_total{upstream=\"up\",limit=\"requests\"}";
    assert_eq!(gateway.metric(limited).await, Some((CLIENTS - 10) as f64));
    gateway
        .wait_for(|status| status["upstreams"][0]["in-use"]["requests"] == 0)
        .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn so_many_connections_and_so_many_requests_that_wait_for_one() {
    let [only] = endpoints().await;
    let gate = Gate::closed();
    only.set(Mode::Wait(gate.clone()));
    let keys = "limits = { connections = 5, pending = 20, pending-timeout = '1h' }";
    let gateway = front(&[&only], keys).workers(4).start().await;
    let mut clients = burst(&gateway, CLIENTS);
    expect_refused(&mut clients, CLIENTS - 25, "upstream-overloaded").await;
    only.wait_for_at_once(5).await;
    let in_use = json!({ "requests": 0, "connections": 5, "pending": 20 });
    gateway
        .wait_for(|status| status["upstreams"][0]["in-use"] == in_use)
        .await;
    assert_eq!(only.requests(), 5);
    gate.open_for_good();
    expect_ok(clients, 25).await;
    assert_eq!((only.requests(), only.most_at_once()), (25, 5));
    gateway.shutdown().await;
}

#[tokio::test]
async fn everybody_who_may_wait_is_served_through_few_connections() {
    let [only] = endpoints().await;
    let keys = "limits = { connections = 3, pending = 1000, pending-timeout = '1h' }";
    let gateway = front(&[&only], keys).workers(4).start().await;
    for _ in 0..5 {
        expect_ok(burst(&gateway, CLIENTS), CLIENTS).await;
    }
    assert!((1..=3).contains(&only.most_at_once()));
    assert_eq!(only.requests(), 5 * CLIENTS);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_waits_too_long_is_refused() {
    let [only] = endpoints().await;
    let gate = Gate::closed();
    only.set(Mode::Wait(gate.clone()));
    let keys = "limits = { connections = 1, pending-timeout = '50ms' }";
    let gateway = front(&[&only], keys).start().await;
    let mut clients = burst(&gateway, 3);
    expect_refused(&mut clients, 2, "upstream-overloaded").await;
    gate.open_for_good();
    expect_ok(clients, 1).await;
    let limited = "portcullis_upstream_limited_total{upstream=\"up\",limit=\"pending-timeout\"}";
    assert_eq!(gateway.metric(limited).await, Some(2.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let [only] = endpoints().await;
    let gate = Gate::closed();
    only.set(Mode::Wait(gate.clone()));
    let keys = "limits = { connections = 1, pending = 1, requests = 2, pending-timeout = '1h' }";
    let gateway = front(&[&only], keys).start().await;
    let mut clients = burst(&gateway, 2);
    let pending = |count: u64| move |status: &Value| status["upstreams"][0]["in-use"]["pending"] == count;
    gateway.wait_for(pending(1)).await;
    clients.abort_all();
    while clients.join_next().await.is_some() {}
    eventually("places that are free again", async || {
        let status = gateway.status().await;
        let free = json!({ "requests": 0, "connections": 0, "pending": 0 });
        (status["upstreams"][0]["in-use"] == free).then_some(())
    })
    .await;
    gate.open_for_good();
    expect_ok(burst(&gateway, 1), 1).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_tunnel_keeps_its_place_until_it_is_closed() {
    let server = EchoServer::start().await;
    let gateway = Gateway::new()
        .upstream_with(
            "up",
            &[server.address()],
            "limits = { requests = 1, connections = 1 }",
        )
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
        .start()
        .await;
    let mut client = Client::open(gateway.address(), "/", "").await;
    client.echoes("hello").await;
    let in_use = |of: Value| move |status: &Value| status["upstreams"][0]["in-use"] == of;
    gateway
        .wait_for(in_use(json!({ "requests": 1, "connections": 1, "pending": 0 })))
        .await;
    let answer = gateway.get("/").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "upstream-overloaded")
    );
    drop(client);
    gateway
        .wait_for(in_use(json!({ "requests": 0, "connections": 0, "pending": 0 })))
        .await;
    Client::open(gateway.address(), "/", "")
        .await
        .echoes("again")
        .await;
    gateway.shutdown().await;
}
