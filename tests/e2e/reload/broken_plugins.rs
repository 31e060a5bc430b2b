//! Plugins that cannot run: the last good version goes on, or the route answers 503.

use std::fs::OpenOptions;
use std::io::Write;

use portcullis_tests::artifact;
use portcullis_tests::gateway::folder::with_another_hash;
use portcullis_tests::{Gateway, Upstream};

use super::{entry, finish, hello, is, load, next, route, runs, state_metric, toml, toml_with};

#[tokio::test]
async fn whatever_is_wrong_with_a_file_the_last_good_version_goes_on() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let good = gateway.plugin_bytes("mock");
    let misfit = std::fs::read(artifact::guest("misfit")).unwrap();
    let (half, cut) = (&good[..good.len() / 2], &good[..5]);
    let cases: [(&[u8], &str); 8] = [
        (
            b"neither fish nor fowl",
            "does not begin with the WebAssembly magic number",
        ),
        (b"", "shorter than a WebAssembly header"),
        (cut, "shorter than a WebAssembly header"),
        (half, "does not compile"),
        (b"\0asm\x01\0\0\0", "a core module, not a component"),
        (b"\0asm\x0d\0\x01\0", "it is no Portcullis plugin"),
        (b"\0asm\x0e\0\x01\0", "unknown version"),
        (&misfit, "the plugin's configuration schema is invalid"),
    ];
    let load = load(&gateway, "/hello", &["one"]);
    for (bytes, reason) in cases {
        gateway.replace_plugin("mock", bytes);
        let status = is(&gateway, "mock", "last-good", reason).await;
        assert_eq!(entry(&status, "mock")["component"]["name"], "mock");
    }
    assert_eq!(state_metric(&gateway, "mock", "last-good").await, 1.0);
    let next = with_another_hash(&good, "next");
    gateway.replace_plugin("mock", &next);
    runs(&gateway, "mock", &next).await;
    assert_eq!(state_metric(&gateway, "mock", "active").await, 1.0);
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_old_file_put_back_heals_the_entry() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let good = gateway.plugin_bytes("mock");
    let load = load(&gateway, "/hello", &["one"]);
    gateway.replace_plugin("mock", b"a corrupt file");
    is(&gateway, "mock", "last-good", "magic number").await;
    gateway.replace_plugin("mock", &good);
    runs(&gateway, "mock", &good).await;
    assert_eq!(state_metric(&gateway, "mock", "active").await, 1.0);
    assert_eq!(state_metric(&gateway, "mock", "last-good").await, 0.0);
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_deleted_file_leaves_its_last_good_version() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let good = gateway.plugin_bytes("mock");
    let load = load(&gateway, "/hello", &["one"]);
    gateway.remove_plugin("mock");
    is(&gateway, "mock", "last-good", "mock.wasm: No such file").await;
    // What else changes goes live all the same, with the version that is left.
    gateway.write_toml(&(toml("one") + &route("more", "\"up\"")));
    gateway
        .wait_for_answer("/more", |answer| answer.status == 200)
        .await;
    gateway.replace_plugin("mock", &good);
    runs(&gateway, "mock", &good).await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_file_written_in_pieces_goes_live_when_it_is_whole() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let next = with_another_hash(&gateway.plugin_bytes("mock"), "next");
    let load = load(&gateway, "/hello", &["one"]);
    let path = gateway.path().join("plugins/mock.wasm");
    let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    let (begin, rest) = next.split_at(4);
    let (middle, end) = rest.split_at(rest.len() / 2);
    file.write_all(begin).unwrap();
    is(&gateway, "mock", "last-good", "shorter than a WebAssembly header").await;
    file.write_all(middle).unwrap();
    is(&gateway, "mock", "last-good", "does not compile").await;
    file.write_all(end).unwrap();
    drop(file);
    runs(&gateway, "mock", &next).await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn something_else_than_a_file_is_not_waited_for() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let good = gateway.plugin_bytes("mock");
    let path = gateway.path().join("plugins/mock.wasm");
    gateway.remove_plugin("mock");
    std::fs::create_dir(&path).unwrap();
    is(&gateway, "mock", "last-good", "not a regular file").await;
    std::fs::remove_dir(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // A pipe that nobody writes to: the next change is seen nevertheless.
    gateway.write_toml(&(toml("one") + &route("more", "\"up\"")));
    gateway
        .wait_for_answer("/more", |answer| answer.status == 200)
        .await;
    gateway.replace_plugin("mock", &good);
    runs(&gateway, "mock", &good).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_config_that_breaks_the_schema_leaves_the_entry_as_it_was_and_applies_the_rest() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one"]);
    let wrong = toml_with("responses = [{ body = \"two\", status = 7000 }], respones = 1");
    gateway.write_toml(&(wrong.clone() + &route("more", "\"up\"")));
    gateway
        .wait_for_answer("/more", |answer| answer.status == 200)
        .await;
    let status = is(&gateway, "mock", "last-good", "portcullis.toml:").await;
    let text = std::fs::read_to_string(gateway.configuration()).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.starts_with("config = "))
        .unwrap();
    let reason = entry(&status, "mock")["reason"].as_str().unwrap();
    for part in [
        format!("portcullis.toml:{line}:41"),
        "respones".to_owned(),
        "greater than the maximum of 599".to_owned(),
    ] {
        assert!(reason.contains(&part), "no `{part}` in {reason}");
    }
    assert!(
        !reason.contains("two") && !reason.contains("7000"),
        "a value in {reason}"
    );
    gateway.write_toml(&toml("one"));
    let status = next(&gateway, &status).await;
    assert_eq!(entry(&status, "mock")["state"], "active");
    assert_eq!(state_metric(&gateway, "mock", "active").await, 1.0);
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_config_that_the_plugin_refuses_leaves_the_entry_as_it_was() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one", "two"]);
    let wrong = toml_with("responses = [{ body = \"two\", echo = true }]");
    gateway.write_toml(&wrong);
    let reason = "the plugin refuses its configuration: responses[0]: only one of `body`, `json` and `echo`";
    let status = is(&gateway, "mock", "last-good", reason).await;
    let text = entry(&status, "mock")["reason"].as_str().unwrap();
    assert!(text.contains("portcullis.toml:"), "{text}");
    assert_eq!(gateway.get("/hello").await.text(), "one");
    gateway.write_toml(&toml("two"));
    gateway
        .wait_for_answer("/hello", |answer| answer.text() == "two")
        .await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_file_that_is_not_the_pinned_one_is_not_taken() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let good = gateway.plugin_bytes("mock");
    let next = with_another_hash(&good, "next");
    let pin = |component: &[u8]| {
        let hash = portcullis_host::engine::ContentHash::of(component);
        toml("one").replacen("config", &format!("sha256 = \"{hash}\"\nconfig"), 1)
    };
    gateway.write_toml(&pin(&good));
    runs(&gateway, "mock", &good).await;
    gateway.replace_plugin("mock", &next);
    is(&gateway, "mock", "last-good", "`sha256` pins another").await;
    gateway.write_toml(&pin(&next));
    runs(&gateway, "mock", &next).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn without_a_last_good_version_its_routes_answer_503_and_others_work() {
    let upstream = Upstream::fixed(200, &[], "up");
    let good = std::fs::read(artifact::plugin("mock")).unwrap();
    let stage = "[[routes]]\nname = \"stage\"\nmatch = { prefix = \"/stage\" }\npipeline = [\"mock\"]\nupstream = \"up\"\n";
    let gateway = Gateway::new()
        .file("plugins/mock.wasm", "broken")
        .upstream("up", &upstream)
        .toml(&toml("one"))
        .toml(stage)
        .allow_errors()
        .start()
        .await;
    let status = gateway.status().await;
    assert_eq!(entry(&status, "mock")["state"], "unavailable");
    assert_eq!(state_metric(&gateway, "mock", "unavailable").await, 1.0);
    let beside = load(&gateway, "/plain", &["up"]);
    for target in ["/hello", "/stage"] {
        let answer = gateway.get(target).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (503, "plugin-unavailable")
        );
    }
    // Missing instead of broken: still nothing to fall back on.
    gateway.remove_plugin("mock");
    is(&gateway, "mock", "unavailable", "No such file").await;
    assert_eq!(gateway.get("/hello").await.status, 503);
    gateway.replace_plugin("mock", &good);
    runs(&gateway, "mock", &good).await;
    assert_eq!(state_metric(&gateway, "mock", "active").await, 1.0);
    assert_eq!(gateway.get("/hello").await.text(), "one");
    // It runs in the pipeline, too; it has no hook there.
    assert_eq!(gateway.get("/stage").await.text(), "up");
    finish(beside).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_entry_added_without_its_file_starts_when_the_file_comes() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.allow_errors().start().await;
    let load = load(&gateway, "/hello", &["one"]);
    gateway.write_toml(&(toml("one") + "[plugins.probe]\n" + &route("probe", "{ plugin = \"probe\" }")));
    is(&gateway, "probe", "unavailable", "No such file").await;
    assert_eq!(gateway.get("/probe").await.problem(), "plugin-unavailable");
    gateway.replace_plugin("probe", &std::fs::read(artifact::guest("probe")).unwrap());
    gateway
        .wait_for_answer("/probe", |answer| answer.status == 200)
        .await;
    finish(load).await;
    gateway.shutdown().await;
}
