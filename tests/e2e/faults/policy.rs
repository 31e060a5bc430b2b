//! What follows from a fault: the entry's policy, what it may not be, and errors that are no faults.

use portcullis_tests::{Gateway, Request, Upstream};

use super::stand::{bad, entry, faults, plugin, route};

#[tokio::test]
async fn a_plugin_for_security_is_not_skipped_unless_the_operator_says_so() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("guard")
        .upstream("main", &main)
        .toml("[plugins.closed]\nwasm = \"guard\"\non-fault = \"skip\"\n")
        .toml("[plugins.open]\nwasm = \"guard\"\non-fault = \"skip\"\nallow-fail-open = true\n")
        .toml(&route("closed", "\"closed\"", "\"main\""))
        .toml(&route("open", "\"open\"", "\"main\""))
        .start()
        .await;
    assert_eq!(gateway.get("/closed").await.status, 200);
    let answer = gateway.send(&bad(Request::get("/closed"))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "plugin-fault"));
    assert_eq!(main.requests().len(), 1);
    let answer = gateway.send(&bad(Request::get("/open"))).await;
    assert_eq!((answer.status, answer.text()), (200, "answer"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_answer_to_a_fault_names_no_plugin_and_no_cause() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml(&entry("rogue", "on-request", "panic", ""))
        .toml(&route("main", "\"rogue\"", "\"main\""))
        .start()
        .await;
    let answer = gateway.send(&bad(Request::get("/main"))).await;
    assert_eq!(answer.problem(), "plugin-fault");
    assert!(!answer.text().contains("rogue"), "{}", answer.text());
    let logs = gateway.logs();
    let line = logs
        .iter()
        .find(|line| line.message == "a plugin failed")
        .expect("a line");
    assert_eq!(
        (line.field("plugin"), line.field("hook"), line.field("kind")),
        (Some("rogue"), Some("on-request"), Some("panic"))
    );
    assert!(
        line.field("detail").unwrap().contains("the rogue panics"),
        "{line:?}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_error_that_the_plugin_reports_is_its_answer_and_no_fault() {
    let main = Upstream::fixed(200, &[], "answer");
    // The plugin logs the cause as an ERROR.
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml(&entry("rogue", "configure", "none", ""))
        .toml(&entry("err", "on-request", "err", "on-fault = \"skip\""))
        .toml(&entry(
            "big-state",
            "on-request",
            "big-state",
            "on-fault = \"skip\"",
        ))
        .toml(&route("err", "\"err\"", "\"main\""))
        .toml(&route("big-state", "\"big-state\"", "\"main\""))
        .allow_errors()
        .start()
        .await;
    for name in ["err", "big-state"] {
        let answer = gateway.send(&bad(Request::get(&format!("/{name}")))).await;
        assert_eq!((answer.status, answer.problem().as_str()), (500, "plugin-error"));
        assert_eq!(plugin(&gateway.status().await, name)["faults"], 0);
    }
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_stage_that_was_skipped_has_no_further_hooks_in_that_exchange() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml(&entry("rogue", "on-request", "trap", "on-fault = \"skip\""))
        .toml(&route("main", "\"rogue\"", "\"main\""))
        .start()
        .await;
    let answer = gateway.send(&bad(Request::post("/main", "hello"))).await;
    assert_eq!((answer.status, answer.text()), (200, "answer"));
    let calls = |hook: &str| format!("portcullis_plugin_calls_total{{plugin=\"rogue\",hook=\"{hook}\"}}");
    assert_eq!(gateway.metric(&calls("on-request")).await, Some(1.0));
    for hook in ["on-request-body", "on-response", "on-response-body"] {
        assert_eq!(
            gateway.metric(&calls(hook)).await.unwrap_or_default(),
            0.0,
            "{hook}"
        );
    }
    gateway.send(&Request::post("/main", "hello")).await;
    for hook in ["on-request-body", "on-response", "on-response-body"] {
        assert_eq!(gateway.metric(&calls(hook)).await, Some(1.0), "{hook}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_fault_runs_on_error_and_the_response_heads_of_the_other_stages() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("rogue")
        .guest("trace")
        .upstream("main", &main)
        .toml(&entry("rogue", "on-request", "trap", ""))
        .toml(&route("main", "\"trace\", \"rogue\", \"trace\"", "\"main\""))
        .start()
        .await;
    let answer = gateway.send(&bad(Request::get("/main"))).await;
    assert_eq!(answer.problem(), "plugin-fault");
    assert_eq!(
        answer.fields.all("x-trace"),
        ["trace"],
        "the stage before it, not the one behind"
    );
    let order = "trace on-error replace sorry";
    let answer = gateway
        .send(&bad(Request::get("/main")).header("x-do", order))
        .await;
    assert_eq!((answer.status, answer.text()), (203, "sorry"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_by_the_clock_is_ended() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml(&entry(
            "rogue",
            "on-request",
            "spin",
            "cpu = \"50s\"\ntimeout = \"50ms\"",
        ))
        .toml(&route("main", "\"rogue\"", "\"main\""))
        .start()
        .await;
    let answer = gateway.send(&bad(Request::get("/main"))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "plugin-fault"));
    assert_eq!(faults(&gateway, "rogue", "on-request", "timeout").await, 1.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_fault_while_an_error_is_answered_leaves_the_error_as_it_is() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("rogue")
        .guest("trace")
        .upstream("main", &main)
        .toml(&entry("rogue", "on-error", "trap", ""))
        .toml("[plugins.other]\nwasm = \"trace\"\nconfig = { name = \"other\" }\n")
        .toml(&route("main", "\"other\", \"rogue\", \"trace\"", "\"main\""))
        .start()
        .await;
    let request = bad(Request::get("/main")).header("x-do", "trace on-request refuse why");
    let answer = gateway.send(&request).await;
    assert_eq!((answer.status, answer.problem().as_str()), (418, "trace-refused"));
    // Neither who refused nor who failed sees the answer.
    assert_eq!(answer.fields.all("x-trace"), ["other"]);
    assert_eq!(faults(&gateway, "rogue", "on-error", "trap").await, 1.0);
    gateway.shutdown().await;
}
