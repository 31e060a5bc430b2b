//! Faults before any request: in `configure`, at the start and at a reload.

use portcullis_tests::{Gateway, Request, Upstream};

use super::stand::{entry, plugin, route};

/// Faults that `configure` can have, each ended in its own way.
const FAULTS: [&str; 5] = ["trap", "panic", "memory", "stack", "err"];

/// Entry `NAME` with this configuration, behind the route of its name.
fn configured(name: &str, fault: &str) -> String {
    let keys = "max-memory = \"4MiB\"\non-fault = \"skip\"";
    entry(name, "configure", fault, keys) + &route(name, &format!("\"{name}\""), "\"main\"")
}

#[tokio::test]
async fn a_plugin_that_cannot_be_configured_costs_only_its_routes() {
    let main = Upstream::fixed(200, &[], "answer");
    let toml: String = FAULTS.iter().map(|fault| configured(fault, fault)).collect();
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml("[plugins.rogue]\nconfig = { hook = \"on-request\", fault = \"none\" }\n")
        .toml(&toml)
        .toml(&route("beside", "\"rogue\"", "\"main\""))
        .allow_errors()
        .start()
        .await;
    let status = gateway.status().await;
    for fault in FAULTS {
        let answer = gateway.get(&format!("/{fault}")).await;
        // Not skipped: there is nothing that could have failed at this request.
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (503, "plugin-unavailable"),
            "{fault}"
        );
        let entry = plugin(&status, fault);
        assert_eq!(entry["state"], "unavailable", "{fault}");
        assert!(!entry["reason"].as_str().unwrap().is_empty());
    }
    assert!(main.requests().is_empty());
    assert_eq!(gateway.get("/beside").await.status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_configuration_that_fails_at_a_reload_leaves_the_last_good_one() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml(&configured("rogue", "none"))
        .start()
        .await;
    for fault in FAULTS {
        gateway.write_toml(&configured("rogue", fault));
        let status = gateway
            .wait_for(|status| plugin(status, "rogue")["state"] == "last-good")
            .await;
        let reason = plugin(&status, "rogue")["reason"].as_str().unwrap().to_owned();
        assert!(!reason.is_empty());
        assert_eq!(gateway.get("/rogue").await.text(), "answer", "{fault}");
        gateway.write_toml(&configured("rogue", "none"));
        gateway
            .wait_for(|status| plugin(status, "rogue")["state"] == "active")
            .await;
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_plugin_that_could_not_be_configured_runs_once_it_can() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml(&configured("rogue", "panic"))
        .allow_errors()
        .start()
        .await;
    assert_eq!(gateway.get("/rogue").await.status, 503);
    gateway.write_toml(&configured("rogue", "none"));
    gateway
        .wait_for_answer("/rogue", |answer| answer.status == 200)
        .await;
    assert_eq!(gateway.send(&Request::post("/rogue", "x")).await.text(), "answer");
    gateway.shutdown().await;
}
