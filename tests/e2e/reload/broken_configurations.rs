//! TOML that cannot be used: nothing changes, and the status says why.

use portcullis_tests::{Gateway, Request, Upstream};

use super::{entry, finish, hello, is, load, next, rejected, route, toml, toml_with};

const SUCCESS: &str = "portcullis_last_reload_success";

#[tokio::test]
async fn a_broken_file_changes_nothing_until_it_is_repaired() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.allow_errors().start().await;
    let load = load(&gateway, "/hello", &["one"]);
    gateway.write_toml(&(toml("two") + "[[routes\n"));
    let status = rejected(&gateway, "portcullis.toml:").await;
    let text = std::fs::read_to_string(gateway.configuration()).unwrap();
    let line = text.lines().count();
    let problems = status["last-reload"]["problems"].as_str().unwrap();
    assert!(
        problems.contains(&format!("portcullis.toml:{line}:9")),
        "{problems}"
    );
    assert!(problems.contains("| [[routes\n"), "{problems}");
    assert_eq!(status["generation"], 1);
    assert_eq!(entry(&status, "mock")["state"], "active");
    assert_eq!(gateway.metric(SUCCESS).await, Some(0.0));
    assert_eq!(
        gateway
            .metric("portcullis_reloads_total{result=\"rejected\"}")
            .await,
        Some(1.0)
    );
    // What it was before: nothing to apply, and nothing wrong any more.
    gateway.write_toml(&toml("one"));
    let status = gateway
        .wait_for(|status| status["last-reload"]["result"] != "rejected")
        .await;
    assert_eq!(
        (&status["last-reload"]["result"], &status["generation"]),
        (&"unchanged".into(), &1.into())
    );
    assert_eq!(gateway.metric(SUCCESS).await, Some(1.0));
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn every_problem_is_reported_at_once() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.allow_errors().start().await;
    let load = load(&gateway, "/hello", &["one"]);
    let wrong = toml("two") + &route("a", "\"nowhere\"") + &route("b", "\"up\"") + "tiemout = \"1s\"\n";
    gateway.write_toml(&wrong);
    let status = rejected(&gateway, "nowhere").await;
    let problems = status["last-reload"]["problems"].as_str().unwrap();
    assert!(
        problems.contains("tiemout") && problems.contains("`timeout`"),
        "{problems}"
    );
    gateway.write_toml(&toml("one"));
    gateway
        .wait_for(|status| status["last-reload"]["result"] == "unchanged")
        .await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_emptied_or_deleted_file_changes_nothing() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.allow_errors().start().await;
    let load = load(&gateway, "/hello", &["one", "two"]);
    gateway.write_file("portcullis.toml", b"");
    rejected(&gateway, "there is no listener any more").await;
    gateway.remove_file("portcullis.toml");
    rejected(&gateway, "cannot read").await;
    gateway.write_file("portcullis.toml", b"\xff\xfe");
    let status = rejected(&gateway, "not UTF-8").await;
    assert_eq!(status["generation"], 1);
    assert_eq!(gateway.get("/hello").await.text(), "one");
    gateway.write_toml(&toml("two"));
    gateway
        .wait_for_answer("/hello", |answer| answer.text() == "two")
        .await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_missing_file_that_the_configuration_names_heals_it_when_it_comes() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.allow_errors().start().await;
    let load = load(&gateway, "/hello", &["one", "two"]);
    for (number, path) in ["text.txt", "new/folder/text.txt"].into_iter().enumerate() {
        let status = gateway.status().await;
        let config = format!("responses = [{{ body = {{ file = \"{path}\" }} }}]");
        gateway.write_toml(&toml_with(&config));
        rejected(&gateway, path).await;
        let text = ["two", "one"][number];
        gateway.write_file(path, text.as_bytes());
        next(&gateway, &status).await;
        assert_eq!(gateway.get("/hello").await.text(), text);
    }
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn secrets_are_in_no_status_metric_or_log() {
    // A variable that every process has stands for a secret one.
    let path = std::env::var("PATH").unwrap();
    let secrets = [path.as_str(), "from-a-file", "literal-secret"];
    let upstream = Upstream::fixed(200, &[], "up");
    let keys =
        "keys = { env = { env = \"PATH\" }, file = { file = \"key.txt\" }, literal = \"literal-secret\" }";
    let text = |more: &str| {
        format!("[plugins.auth-key]\nallow = {{ attributes = [\"auth.\"] }}\nconfig = {{ {keys}{more} }}\n")
            + "[[routes]]\nname = \"all\"\npipeline = [\"auth-key\"]\nupstream = \"up\"\n"
    };
    let gateway = Gateway::new()
        .plugin("auth-key")
        .file("key.txt", "from-a-file")
        .upstream("up", &upstream)
        .toml(&text(""))
        .allow_errors()
        .start()
        .await;
    let silent = async || {
        let seen = [
            gateway.status().await.to_string(),
            gateway.metrics().await,
            format!("{:?}", gateway.logs()),
        ];
        for (seen, secret) in seen.iter().flat_map(|seen| secrets.map(|secret| (seen, secret))) {
            assert!(!seen.contains(secret), "`{secret}` in {seen}");
        }
    };
    let accepted = async || {
        let request = Request::get("/").header("x-api-key", "from-a-file");
        gateway.send(&request).await.status
    };
    assert_eq!(accepted().await, 200);
    silent().await;
    gateway.write_toml(&text(", header = 1"));
    is(&gateway, "auth-key", "last-good", "portcullis.toml:").await;
    silent().await;
    gateway.write_toml(&text(", header = \"\""));
    is(&gateway, "auth-key", "last-good", "there is no place for a key").await;
    silent().await;
    gateway.write_toml(&text(", header = \"x\" \"y\""));
    rejected(&gateway, "portcullis.toml:").await;
    silent().await;
    assert_eq!(accepted().await, 200);
    gateway.shutdown().await;
}
