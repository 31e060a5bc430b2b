//! Entries that are no balancers, and new versions of those that are.

use std::time::Duration;

use portcullis_tests::gateway::folder::with_another_hash;
use portcullis_tests::{Answer, Gateway, Load, Request};

use super::super::trace::get;
use super::{ROUTE, addresses, front, pick, servers};

#[tokio::test]
async fn an_entry_without_the_hook_is_a_mistake_with_its_place_and_its_routes_answer_503() {
    let [main] = servers::<1>();
    let gateway = Gateway::new()
        .plugin("mock")
        .upstream_with("up", &[main.address()], "balance = { plugin = 'mock' }")
        .toml("[plugins.mock]\nconfig = { responses = [{ status = 204 }] }\n")
        .toml(ROUTE)
        .allow_errors()
        .start()
        .await;
    let answer = gateway.get("/").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "plugin-unavailable")
    );
    let status = gateway.status().await;
    let entry = &status["plugins"][0];
    assert_eq!(entry["state"], "unavailable");
    let reason = entry["reason"].as_str().unwrap();
    assert!(
        reason.contains("plugin entry `mock` has no hook `balancer`")
            && reason.contains("portcullis.toml:9:22"),
        "{reason}"
    );
    assert_eq!(status["upstreams"][0]["balancer"], "mock");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_stage_that_becomes_a_balancer_without_the_hook_goes_on_as_a_stage_alone() {
    let [main] = servers::<1>();
    let text = |balance: &str| {
        format!(
            "[plugins.gate]\nconfig = {{ keys = {{ key = \"acme\" }} }}\n\
             [upstreams.up]\nendpoints = ['{}']\n{balance}\n[upstreams.plain]\nendpoints = ['{}']\n\
             [[routes]]\nname = \"plain\"\nmatch = {{ prefix = \"/plain\" }}\npipeline = [\"gate\"]\nupstream = \"plain\"\n{ROUTE}",
            main.address(),
            main.address()
        )
    };
    let gateway = Gateway::new()
        .guest("gate")
        .toml(&text(""))
        .allow_errors()
        .start()
        .await;
    assert_eq!(gateway.get("/").await.status, 200);
    gateway.write_toml(&text("balance = { plugin = 'gate' }"));
    gateway.wait_for_answer("/", |answer| answer.status == 503).await;
    let request = Request::get("/plain").header("x-api-key", "key");
    assert_eq!(gateway.send(&request).await.text(), "0");
    gateway.shutdown().await;
}

#[tokio::test]
async fn another_version_of_the_balancer_goes_live_under_load_without_a_failed_request() {
    let upstreams = servers::<2>();
    let all = addresses(&upstreams);
    let gateway = front(&all, "").start().await;
    let before = gateway.plugin_bytes("trace");
    let judge = |answer: &Answer| {
        let right = (answer.status, answer.text()) == (200, "1");
        right.then_some(()).ok_or_else(|| format!("{answer:?}"))
    };
    let load = Load::new(gateway.address(), get(&[&pick(all[1])]))
        .pause(Duration::from_millis(1))
        .check(judge)
        .start();
    load.wait_for(50).await;
    for mark in ["one", "two"] {
        let generation = gateway.status().await["generation"].as_u64().unwrap();
        gateway.replace_plugin("trace", &with_another_hash(&before, mark));
        gateway
            .wait_for(|status| status["generation"].as_u64() > Some(generation))
            .await;
        load.wait_for(50).await;
    }
    load.stop().await.expect_no_failure();
    assert_eq!(upstreams[0].requests().len(), 0);
    gateway.shutdown().await;
}
