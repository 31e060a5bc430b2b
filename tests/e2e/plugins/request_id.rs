//! Plugin `request-id`, end to end.

use std::fs;

use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream};
use serde_json::Value;

use super::document;

const README: &str = include_str!("../../../plugins/request-id/README.md");

/// A gateway with the plugin on its listener and `/orders` behind it.
fn builder(config: &str) -> GatewayBuilder {
    Gateway::new()
        .plugin("request-id")
        .listener("pipeline = [\"request-id\"]")
        .toml(&format!("[plugins.request-id]\nconfig = {{ {config} }}\n"))
        .toml("[[routes]]\nname = \"orders\"\nmatch = { prefix = \"/orders\" }\nupstream = \"main\"\n")
}

/// The id in the response header.
fn id_of(answer: &Answer) -> String {
    let ids = answer.fields.all("x-request-id");
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids[0].to_owned()
}

fn is_gateways(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let orders = Upstream::fixed(200, &[("x-request-id", "the upstream's")], "");
    let gateway = document::of("request-id", README, Some(&orders.address().to_string()))
        .start()
        .await;
    let request = Request::get("/v1/orders/7")
        .header("x-request-id", "the client's")
        .header("X-Request-Id", "another");
    let answer = gateway.send(&request).await;
    let id = id_of(&answer);
    assert!(is_gateways(&id), "{id}");
    assert_eq!(orders.only_request().fields.all("x-request-id"), [id.as_str()]);
    assert_ne!(id_of(&gateway.send(&request).await), id);
    gateway.shutdown().await;
}

#[tokio::test]
async fn header_error_document_and_access_log_agree() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let gateway = builder("")
        .upstream_with("main", &[Upstream::nowhere()], "")
        .gateway(&format!(
            "access-log = {{ path = '{}', format = 'json' }}",
            log.display()
        ))
        .start()
        .await;
    let mut ids = Vec::new();
    for (target, code) in [("/none", "no-route"), ("/orders", "upstream-connect-failed")] {
        let answer = gateway.get(target).await;
        assert_eq!(answer.problem(), code);
        let id = id_of(&answer);
        assert_eq!(answer.json()["instance"], format!("urn:portcullis:request:{id}"));
        ids.push((target, id));
    }
    gateway.shutdown().await;
    let lines = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), ids.len());
    // Each worker writes its own lines.
    for (target, id) in ids {
        let line = lines.iter().find(|line| line["path"] == target).unwrap();
        assert_eq!(line["request_id"], id.as_str());
        assert_eq!(line["attributes"]["request.id"], id.as_str());
    }
}

#[tokio::test]
async fn a_clients_id_is_kept_only_where_it_is_valid() {
    let main = Upstream::echo();
    let gateway = builder("accept = \"valid\", format = \"uuid-v7\"")
        .upstream("main", &main)
        .start()
        .await;
    let kept = Request::get("/orders").header("x-request-id", "Root=1-67891233:a/b+c");
    assert_eq!(id_of(&gateway.send(&kept).await), "Root=1-67891233:a/b+c");
    for request in [
        Request::get("/orders"),
        Request::get("/orders").header("x-request-id", "a b"),
        Request::get("/orders").header("x-request-id", &"a".repeat(129)),
        Request::get("/orders")
            .header("x-request-id", "a")
            .header("x-request-id", "a"),
    ] {
        let id = id_of(&gateway.send(&request).await);
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert!(id.split('-').nth(2).unwrap().starts_with('7'), "{id}");
    }
    let sent: Vec<String> = main
        .requests()
        .iter()
        .map(|request| request.fields.all("x-request-id").join(" "))
        .collect();
    assert_eq!(sent[0], "Root=1-67891233:a/b+c");
    assert!(sent[1..].iter().all(|id| id.len() == 36), "{sent:?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn another_instance_sends_the_same_id_back() {
    let main = Upstream::echo();
    let gateway = Gateway::new()
        .plugin("request-id")
        .upstream("main", &main)
        .toml(
            r#"
            [plugins.request-id]
            max-calls = 1
            config = { format = "uuid-v4", response-header = "x-id" }
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["request-id"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(gateway.get("/orders").await.header("x-id").unwrap().to_owned());
    }
    let sent: Vec<String> = main
        .requests()
        .iter()
        .map(|request| request.header("x-request-id").unwrap().to_owned())
        .collect();
    assert_eq!(ids, sent);
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
    gateway.shutdown().await;
}
