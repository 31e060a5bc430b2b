//! A plugin that fails again and again: it is let alone for a while, then tried again.

use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, Request, Upstream};

use super::stand::{bad, entry, plugin, route};

/// Faults in a row that close the entry: eight are answered by a restart alone.
const CLOSING: u64 = 9;

async fn gateway(main: &Upstream, hook: &str, policy: &str) -> Gateway {
    Gateway::new()
        .guest("rogue")
        .upstream("main", main)
        .toml(&entry(
            "rogue",
            hook,
            "trap",
            &format!("on-fault = \"{policy}\""),
        ))
        .toml(&route("main", "\"rogue\"", "\"main\""))
        .toml(&route("beside", "", "\"main\""))
        // It says that it lets the plugin alone.
        .allow_errors()
        .start()
        .await
}

/// How often the hook was called.
async fn calls(gateway: &Gateway, hook: &str) -> f64 {
    let series = format!("portcullis_plugin_calls_total{{plugin=\"rogue\",hook=\"{hook}\"}}");
    gateway.metric(&series).await.unwrap_or_default()
}

/// Lets it fail until it is closed; later faults make the pause longer.
async fn close(gateway: &Gateway, faults: u64) {
    eventually("an entry that is closed", async || {
        gateway.send(&bad(Request::get("/main"))).await;
        let status = gateway.status().await;
        let entry = plugin(&status, "rogue");
        let faulted = entry["faults"].as_u64().unwrap();
        (faulted >= faults && entry["state"] == "open").then_some(())
    })
    .await;
}

#[tokio::test]
async fn repeated_faults_close_the_entry_and_a_trial_opens_it() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "on-request", "reject").await;
    // The pause after so many faults (more than two seconds) is longer than the look at it takes.
    close(&gateway, CLOSING + 5).await;
    let called = calls(&gateway, "on-request").await;
    let answer = gateway.get("/main").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "plugin-unavailable")
    );
    assert_eq!(calls(&gateway, "on-request").await, called, "it is not called");
    assert!(main.requests().is_empty());
    assert_eq!(gateway.get("/beside").await.status, 200);
    let open = "portcullis_plugin_state{plugin=\"rogue\",state=\"open\"}";
    assert_eq!(gateway.metric(open).await, Some(1.0));

    gateway
        .wait_for_answer("/main", |answer| answer.status == 200)
        .await;
    let status = gateway.status().await;
    assert_eq!(plugin(&status, "rogue")["state"], "active");
    assert_eq!(gateway.metric(open).await.unwrap_or_default(), 0.0);
    let logs = gateway.logs();
    for (level, message) in [
        ("ERROR", "a plugin failed too often and is not called for a while"),
        ("INFO", "a plugin works again"),
    ] {
        let found = logs
            .iter()
            .any(|line| line.level.as_str() == level && line.message == message);
        assert!(found, "{message} in {logs:#?}");
    }

    // It starts from the beginning: faults are answered by a restart again.
    let answer = gateway.send(&bad(Request::get("/main"))).await;
    assert_eq!(answer.problem(), "plugin-fault");
    assert_eq!(gateway.get("/main").await.status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_entry_that_may_be_skipped_is_skipped_while_it_is_closed() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "on-request", "skip").await;
    close(&gateway, CLOSING + 2).await;
    let answer = gateway.send(&bad(Request::get("/main"))).await;
    assert_eq!((answer.status, answer.text()), (200, "answer"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn faults_with_successes_between_them_close_nothing() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "on-request", "reject").await;
    for _ in 0..3 * CLOSING {
        let answer = gateway.send(&bad(Request::get("/main"))).await;
        assert_eq!(answer.problem(), "plugin-fault");
        assert_eq!(gateway.get("/main").await.status, 200);
    }
    let status = gateway.status().await;
    let entry = plugin(&status, "rogue");
    assert_eq!(
        (&entry["state"], &entry["faults"]),
        (&"active".into(), &(3 * CLOSING).into())
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn hooks_that_work_do_not_heal_the_one_that_fails() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "on-response", "reject").await;
    close(&gateway, CLOSING + 5).await;
    let (called, sent) = (calls(&gateway, "on-request").await, main.requests().len());
    let answer = gateway.get("/main").await;
    assert_eq!(answer.problem(), "plugin-unavailable");
    assert_eq!(
        calls(&gateway, "on-request").await,
        called,
        "none of its hooks is called"
    );
    assert_eq!(
        main.requests().len(),
        sent,
        "no upstream works for an answer that is refused"
    );
    gateway
        .wait_for_answer("/main", |answer| answer.status == 200)
        .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn faults_after_the_answer_close_only_the_hook_that_comes_after_it() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = gateway(&main, "on-finish", "reject").await;
    close(&gateway, CLOSING + 5).await;
    let called = calls(&gateway, "on-finish").await;
    assert_eq!(gateway.get("/main").await.text(), "answer");
    assert_eq!(calls(&gateway, "on-finish").await, called);
    eventually("an entry that works again", async || {
        gateway.get("/main").await;
        let status = gateway.status().await;
        (plugin(&status, "rogue")["state"] == "active").then_some(())
    })
    .await;
    gateway.shutdown().await;
}
