//! What the faults of a balancer cost.

use std::net::SocketAddr;

use portcullis_tests::upstream::Turn;
use portcullis_tests::{Gateway, Request, Upstream};

use super::super::trace::get;
use super::{PICKER, servers};

/// A gateway whose balancer is the rogue, with a retry and with a stage that tells what is left of it.
async fn with_rogue(endpoints: &[SocketAddr], fault: &str, policy: &str, keys: &str) -> Gateway {
    Gateway::new()
        .workers(1)
        .guest("rogue")
        .guest("trace")
        .upstream_with(
            "up",
            endpoints,
            &format!("balance = {{ plugin = 'rogue' }}\nretries = {{}}\n{keys}"),
        )
        .toml(PICKER)
        .toml(&format!(
            "[plugins.rogue]\non-fault = \"{policy}\"\n\
             config = {{ hook = \"balancer\", fault = \"{fault}\", when = \"x-rogue\" }}\n"
        ))
        .toml("[[routes]]\nname = \"all\"\npipeline = [\"p\"]\nupstream = \"up\"\n")
        // That it is let alone is an ERROR.
        .allow_errors()
        .start()
        .await
}

#[tokio::test]
async fn a_fault_is_answered_or_skipped_for_the_exchange_as_the_entry_says() {
    for (policy, fault, kind) in [
        ("reject", "trap", "trap"),
        ("reject", "bad-index", "bad-answer"),
        ("skip", "spin", "cpu"),
        ("skip", "bad-index", "bad-answer"),
    ] {
        let upstream = Upstream::flaky(&[Turn::Answer(503), Turn::Answer(200)]);
        let gateway = with_rogue(&[upstream.address()], fault, policy, "").await;
        let request = get(&["p on-response tell rogue.half-done"]).header("x-rogue", "1");
        let answer = gateway.send(&request).await;
        assert_eq!(answer.header("x-told"), Some("none"), "undone");
        let reached = match policy {
            "reject" => {
                assert_eq!((answer.status, answer.problem().as_str()), (503, "plugin-fault"));
                0
            }
            _ => {
                assert_eq!(answer.status, 200);
                2
            }
        };
        assert_eq!(upstream.requests().len(), reached, "{policy} {fault}");
        let series =
            format!("portcullis_plugin_faults_total{{plugin=\"rogue\",hook=\"balancer\",kind=\"{kind}\"}}");
        assert_eq!(gateway.metric(&series).await, Some(1.0), "{fault}: asked once");
        let counted = match policy {
            "reject" => "portcullis_plugin_rejected_total",
            _ => "portcullis_plugin_skipped_total",
        };
        let counted = format!("{counted}{{plugin=\"rogue\"}}");
        assert_eq!(gateway.metric(&counted).await, Some(1.0), "{fault}: counted once");
        // The next request has another instance.
        assert_eq!(gateway.get("/").await.status, 200);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_fault_is_no_failure_of_the_upstream_and_has_no_fallback() {
    let [main, spare] = servers::<2>();
    let keys = format!(
        "fallback = 'spare'\nbreaker = {{ consecutive-errors = 1, scope = 'upstream' }}\n[upstreams.spare]\nendpoints = ['{}']\n",
        spare.address()
    );
    let gateway = with_rogue(&[main.address()], "trap", "reject", &keys).await;
    for _ in 0..3 {
        let answer = gateway.send(&Request::get("/").header("x-rogue", "1")).await;
        assert_eq!(answer.problem(), "plugin-fault");
    }
    assert_eq!(gateway.get("/").await.text(), "0");
    assert_eq!(spare.requests().len(), 0);
    let status = gateway.status().await;
    assert_eq!(status["upstreams"][0]["breaker"], "closed");
    gateway.shutdown().await;
}

#[tokio::test]
async fn on_error_may_name_another_upstream_for_a_balancer_that_failed() {
    let [main, spare] = servers::<2>();
    let keys = format!("[upstreams.spare]\nendpoints = ['{}']\n", spare.address());
    let gateway = with_rogue(&[main.address()], "trap", "reject", &keys).await;
    let request = get(&["p on-error retry-on spare"]).header("x-rogue", "1");
    assert_eq!(gateway.send(&request).await.text(), "1");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_balancer_that_fails_again_and_again_is_let_alone_and_comes_back() {
    let [main] = servers::<1>();
    let gateway = with_rogue(&[main.address()], "trap", "reject", "").await;
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..20 {
        codes.insert(
            gateway
                .send(&Request::get("/").header("x-rogue", "1"))
                .await
                .problem(),
        );
    }
    let expected = ["plugin-fault", "plugin-unavailable"].map(str::to_owned);
    assert_eq!(codes, expected.into());
    gateway.wait_for_answer("/", |answer| answer.status == 200).await;
    gateway.shutdown().await;
}
