//! Servers that are processes, killed and started again, behind the real binary.

use portcullis_tests::endpoint::process::Process;
use portcullis_tests::{Gateway, Load, Request};
use serde_json::Value;

const KEYS: &str = "health-check = { path = '/health', interval = '50ms', timeout = '500ms' }\n\
                    retries = { on = ['connect-failure', 'reset'] }";
const REQUESTS: u64 = 5_000;

fn is(status: &Value, server: &Process, state: &str) -> bool {
    let all = status["upstreams"][0]["endpoints"].as_array().unwrap();
    let address = server.address().to_string();
    let of = all.iter().find(|each| each["address"] == address).unwrap();
    of["state"] == state
}

#[tokio::test]
async fn no_client_sees_that_a_server_is_killed_and_it_is_used_again_when_it_is_back() {
    let mut servers = [
        Process::start().await,
        Process::start().await,
        Process::start().await,
    ];
    let addresses = servers.each_ref().map(Process::address);
    let gateway = Gateway::new()
        .upstream_with("up", &addresses, KEYS)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
        .start_binary()
        .await;
    let load = Load::new(gateway.address(), Request::get("/"))
        .connections(8)
        .start();
    load.wait_for(REQUESTS / 5).await;
    servers[1].kill();
    load.wait_for(REQUESTS / 5).await;
    gateway
        .wait_for(|status| is(status, &servers[1], "unavailable"))
        .await;
    load.wait_for(REQUESTS / 5).await;
    servers[1].restart().await;
    gateway
        .wait_for(|status| is(status, &servers[1], "available"))
        .await;
    load.wait_for(REQUESTS / 5).await;
    // Nobody but the one that is back is left to answer.
    servers[0].kill();
    servers[2].kill();
    load.wait_for(REQUESTS / 5).await;
    let report = load.stop().await;
    report.expect_no_failure();
    assert!(report.requests >= REQUESTS, "{report}");
    gateway.shutdown().await;
}
