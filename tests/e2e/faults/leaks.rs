//! Guests that forget to drop what they were given: replaced before it matters, and no request fails for it.

use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, Request, Upstream};

use super::stand::{count, entry, route};

#[tokio::test]
async fn a_guest_that_keeps_blob_handles_is_replaced_and_not_failed() {
    let main = Upstream::fixed(200, &[], "answer");
    let hooks = ["on-request-body", "on-response-body"];
    let toml: String = hooks
        .iter()
        .map(|hook| entry(hook, hook, "leak", "") + &route(hook, &format!("\"{hook}\""), "\"main\""))
        .collect();
    let gateway = Gateway::new()
        .guest("rogue")
        .workers(1)
        .upstream("main", &main)
        .toml("[plugins.rogue]\nconfig = { hook = \"on-request\", fault = \"none\" }\n")
        .toml(&toml)
        .start()
        .await;
    for hook in hooks {
        let created = "portcullis_plugin_instances_created_total";
        let before = count(&gateway, created, hook).await;
        let mut connection = gateway.connect().await;
        // Twelve handles a call; a thousand are borne.
        for number in 0..200 {
            let body = format!("body {number}");
            let request = Request::post(&format!("/{hook}"), body).header("x-rogue", "1");
            let answer = connection.exchange(&request).await.unwrap();
            assert_eq!((answer.status, answer.text()), (200, "answer"), "{hook} {number}");
        }
        eventually("a new instance", async || {
            (count(&gateway, created, hook).await > before).then_some(())
        })
        .await;
        let faults = gateway.metrics().await;
        assert!(!faults.contains("portcullis_plugin_faults_total{"), "{faults}");
    }
    let texts = main.requests();
    assert_eq!(texts[7].text(), "body 7", "a body is never another's");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_instance_is_replaced_after_as_many_calls_as_the_entry_says() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = Gateway::new()
        .guest("gate")
        .workers(1)
        .upstream("main", &main)
        .toml("[plugins.gate]\nmax-calls = 10\nconfig = { keys = { key = \"acme\" } }\n")
        .toml(&route("main", "\"gate\"", "\"main\""))
        .start()
        .await;
    let created = "portcullis_plugin_instances_created_total";
    let before = count(&gateway, created, "gate").await;
    eventually("three more instances", async || {
        let answer = gateway
            .send(&Request::get("/main").header("x-api-key", "key"))
            .await;
        assert_eq!(answer.status, 200);
        (count(&gateway, created, "gate").await >= before + 3.0).then_some(())
    })
    .await;
    assert!(
        main.requests().len() >= 15,
        "two hooks a request, ten calls an instance"
    );
    gateway.shutdown().await;
}
