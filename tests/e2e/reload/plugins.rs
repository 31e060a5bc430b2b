//! New versions of plugins.

use portcullis_tests::artifact;
use portcullis_tests::gateway::folder::with_another_hash;
use portcullis_tests::{Answer, Gateway, Load, Request, Upstream};

use super::{entry, finish, hello, load, next, route, runs, state_metric, toml};

#[tokio::test]
async fn the_same_plugin_with_another_hash_goes_live_under_load() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let before = gateway.plugin_bytes("mock");
    runs(&gateway, "mock", &before).await;
    let (load, beside) = (
        load(&gateway, "/hello", &["one"]),
        load(&gateway, "/plain", &["up"]),
    );
    load.wait_for(50).await;
    let after = with_another_hash(&before, "after");
    gateway.replace_plugin("mock", &after);
    let status = runs(&gateway, "mock", &after).await;
    assert_eq!(status["generation"], 2);
    finish(load).await;
    finish(beside).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn another_plugin_in_the_place_of_one_goes_live_under_load() {
    let upstream = Upstream::fixed(200, &[], "up");
    let [gate, probe] = ["gate", "probe"].map(|name| std::fs::read(artifact::guest(name)).unwrap());
    let gateway = Gateway::new()
        .file("plugins/front.wasm", gate)
        .upstream("up", &upstream)
        .toml("[plugins.front]\nconfig = { keys = { secret = \"acme\" } }\n")
        .toml("[[routes]]\nname = \"all\"\npipeline = [\"front\"]\nupstream = \"up\"\n")
        .start()
        .await;
    let request = Request::get("/")
        .header("x-api-key", "secret")
        .header("x-case", "respond")
        .header("x-arg", "new");
    let old = |answer: &Answer| {
        answer.status == 200 && answer.text() == "up" && answer.header("x-gateway").is_some()
    };
    let new = |answer: &Answer| answer.status == 202 && answer.text() == "probe says new";
    let judge = move |answer: &Answer| {
        let good = old(answer) || new(answer);
        good.then_some(()).ok_or_else(|| format!("{answer:?}"))
    };
    let load = Load::new(gateway.address(), request.clone()).check(judge).start();
    load.wait_for(50).await;
    assert!(old(&gateway.send(&request).await));
    gateway.replace_plugin("front", &probe);
    runs(&gateway, "front", &probe).await;
    let judge = move |answer: &Answer| new(answer).then_some(()).ok_or_else(|| format!("{answer:?}"));
    let only_new = Load::new(gateway.address(), request).check(judge).start();
    finish(only_new).await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_exchange_ends_with_the_version_that_it_began_with() {
    let (upstream, gate) = Upstream::slow(&["late"]);
    let gateway = Gateway::new()
        .guest("probe")
        .upstream("up", &upstream)
        .toml("[[routes]]\nname = \"all\"\npipeline = [\"probe\"]\nupstream = \"up\"\n")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    let request = Request::get("/")
        .header("x-case", "state")
        .header("x-arg", "kept");
    connection.send(&request).await.unwrap();
    upstream.wait_for_requests(1).await;
    let gate_guest = std::fs::read(artifact::guest("gate")).unwrap();
    gateway.replace_plugin("probe", &gate_guest);
    runs(&gateway, "probe", &gate_guest).await;
    gate.open_for_good();
    let answer = connection.receive("GET").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "late"));
    assert_eq!(answer.header("x-state"), Some("kept"));
    // The next one on the same connection is the new version's.
    let answer = connection.exchange(&request).await.unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (401, "key-invalid"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_a_plugin_shares_survives_its_reload() {
    let upstream = Upstream::echo();
    let all = "[[routes]]\nname = \"all\"\npipeline = [\"probe\"]\nupstream = \"up\"\n";
    let gateway = Gateway::new()
        .guest("probe")
        .upstream("up", &upstream)
        .toml(all)
        .start()
        .await;
    let ask = async |case: &str| {
        let request = Request::get("/").header("x-case", case).header("x-arg", "a");
        gateway.send(&request).await.text().to_owned()
    };
    let cases = ["shared-count", "counter-add", "counter-take"];
    for (case, expected) in cases.iter().zip(["1", "1", "true 2"]) {
        assert_eq!(ask(case).await, expected);
    }
    let after = with_another_hash(&gateway.plugin_bytes("probe"), "after");
    gateway.replace_plugin("probe", &after);
    let status = runs(&gateway, "probe", &after).await;
    for (case, expected) in cases.iter().zip(["2", "2", "true 1"]) {
        assert_eq!(ask(case).await, expected);
    }
    gateway.write_toml(&format!("[plugins.probe]\nconfig = {{ another = 1 }}\n{all}"));
    next(&gateway, &status).await;
    for (case, expected) in cases.iter().zip(["3", "3", "true 0"]) {
        assert_eq!(ask(case).await, expected);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn touched_files_are_no_new_generation() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let first = gateway.status().await;
    gateway.replace_plugin("mock", &gateway.plugin_bytes("mock"));
    gateway.write_toml(&toml("one"));
    let status = gateway
        .wait_for(|status| status["last-reload"]["result"] == "unchanged")
        .await;
    assert_eq!(status["generation"], first["generation"]);
    assert_eq!(
        gateway
            .metric("portcullis_reloads_total{result=\"applied\"}")
            .await,
        Some(1.0)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_component_that_no_entry_names_changes_nothing() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let first = gateway.status().await;
    gateway.replace_plugin("unknown", b"not a component");
    let status = gateway
        .wait_for(|status| status["last-reload"]["result"] == "unchanged")
        .await;
    assert_eq!(status["generation"], first["generation"]);
    assert_eq!(status["plugins"], first["plugins"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_plugin_that_fails_keeps_nobody_else_from_its_new_version() {
    let upstream = Upstream::fixed(200, &[], "up");
    let text = |text: &str| {
        let config = format!(
            "[plugins.mock]\nconfig = {{ responses = [{{ body = \"{text}\" }}] }}\n[plugins.probe]\n"
        );
        config + &route("hello", "{ plugin = \"mock\" }") + &route("plain", "\"up\"")
    };
    let gateway = Gateway::new()
        .plugin("mock")
        .guest("probe")
        .upstream("up", &upstream)
        .toml(&text("one"))
        .start()
        .await;
    let probe = with_another_hash(&gateway.plugin_bytes("probe"), "after");
    gateway.replace_plugin("mock", b"a corrupt file");
    gateway.replace_plugin("probe", &probe);
    let status = runs(&gateway, "probe", &probe).await;
    assert_eq!(entry(&status, "mock")["state"], "last-good");
    gateway.write_toml(&(text("one") + &route("more", "\"up\"")));
    gateway
        .wait_for_answer("/more", |answer| answer.status == 200)
        .await;
    assert_eq!(gateway.get("/hello").await.text(), "one");
    assert_eq!(state_metric(&gateway, "mock", "last-good").await, 1.0);
    assert_eq!(state_metric(&gateway, "probe", "active").await, 1.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_entry_is_added_and_removed_while_traffic_flows() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one"]);
    let probe = std::fs::read(artifact::guest("probe")).unwrap();
    gateway.replace_plugin("probe", &probe);
    gateway.write_toml(&(toml("one") + "[plugins.probe]\n" + &route("probe", "{ plugin = \"probe\" }")));
    let answer = gateway
        .wait_for_answer("/probe", |answer| answer.status == 200)
        .await;
    assert_eq!(answer.header("x-probe"), Some("responder"));
    gateway.write_toml(&toml("one"));
    let status = gateway
        .wait_for(|status| status["plugins"].as_array().is_some_and(|list| list.len() == 1))
        .await;
    assert_eq!(entry(&status, "mock")["state"], "active");
    assert_eq!(gateway.get("/probe").await.status, 404);
    finish(load).await;
    gateway.shutdown().await;
}
