//! Edits of the TOML that are good.

use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, Request, Upstream};

use super::{finish, hello, load, load_of, next, route, toml};

#[tokio::test]
async fn a_route_is_added_and_removed_under_load() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let (load, beside) = (
        load(&gateway, "/hello", &["one"]),
        load(&gateway, "/plain", &["up"]),
    );
    assert_eq!(gateway.get("/more").await.status, 404);
    gateway.write_toml(&(toml("one") + &route("more", "\"up\"")));
    let answer = gateway
        .wait_for_answer("/more", |answer| answer.status != 404)
        .await;
    assert_eq!((answer.status, answer.text()), (200, "up"));
    gateway.write_toml(&toml("one"));
    gateway
        .wait_for_answer("/more", |answer| answer.status == 404)
        .await;
    finish(load).await;
    finish(beside).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_moves_under_load() {
    let (old, new) = (Upstream::fixed(200, &[], "old"), Upstream::fixed(200, &[], "new"));
    let to = |upstream: &Upstream| {
        format!("[upstreams.up]\nendpoints = [\"{}\"]\n", upstream.address()) + &route("plain", "\"up\"")
    };
    let gateway = Gateway::new().toml(&to(&old)).start().await;
    let before = load(&gateway, "/plain", &["old", "new"]);
    before.wait_for(50).await;
    let status = gateway.status().await;
    gateway.write_toml(&to(&new));
    next(&gateway, &status).await;
    let after = load(&gateway, "/plain", &["new"]);
    finish(after).await;
    finish(before).await;
    // Nobody needs the old one's connections any more.
    eventually("no connection to the old upstream", async || {
        (old.open() == 0).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn connections_to_an_upstream_that_stays_are_kept() {
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = Gateway::new()
        .workers(1)
        .upstream("up", &upstream)
        .toml(&route("plain", "\"up\""))
        .start()
        .await;
    let mut connection = gateway.connect().await;
    let mut status = gateway.status().await;
    for more in ["a", "b", "c"] {
        assert_eq!(
            connection.exchange(&Request::get("/plain")).await.unwrap().text(),
            "up"
        );
        gateway.write_toml(&(route("plain", "\"up\"") + &route(more, "\"up\"")));
        status = next(&gateway, &status).await;
    }
    assert_eq!(
        connection.exchange(&Request::get("/c")).await.unwrap().text(),
        "up"
    );
    assert_eq!((upstream.requests().len(), upstream.connections()), (4, 1));
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_config_of_a_plugin_changes_under_load() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let before = load(&gateway, "/hello", &["one", "two"]);
    before.wait_for(50).await;
    let status = gateway.status().await;
    gateway.write_toml(&toml("two"));
    next(&gateway, &status).await;
    let after = load(&gateway, "/hello", &["two"]);
    finish(after).await;
    finish(before).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_pipeline_changes_under_load() {
    let upstream = Upstream::fixed(200, &[], "up");
    let with = |pipeline: &str| {
        format!(
            "[plugins.gate]\nconfig = {{ keys = {{ secret = \"acme\" }} }}\n\
             [[routes]]\nname = \"all\"\npipeline = {pipeline}\nupstream = \"up\"\n"
        )
    };
    let gateway = Gateway::new()
        .guest("probe")
        .guest("gate")
        .upstream("up", &upstream)
        .toml(&with("[]"))
        .start()
        .await;
    let request = Request::get("/")
        .header("x-api-key", "secret")
        .header("x-case", "response-headers");
    let load = load_of(&gateway, request.clone(), &["up"]);
    let seen = async || {
        let answer = gateway.send(&request).await;
        (
            answer.header("x-gateway").is_some(),
            answer.header("x-probe").is_some(),
        )
    };
    assert_eq!(seen().await, (false, false));
    let mut status = gateway.status().await;
    for (pipeline, expected) in [
        ("[\"gate\"]", (true, false)),
        ("[\"gate\", \"probe\"]", (true, true)),
        ("[\"probe\", \"gate\"]", (true, true)),
        ("[\"probe\"]", (false, true)),
        ("[]", (false, false)),
    ] {
        gateway.write_toml(&with(pipeline));
        status = next(&gateway, &status).await;
        assert_eq!(seen().await, expected, "{pipeline}");
    }
    assert_eq!(gateway.get("/").await.status, 200);
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_exchange_whose_route_is_gone_comes_to_its_end() {
    let (upstream, gate) = Upstream::slow(&["one", "two"]);
    let slow = |name: &str| {
        format!("[upstreams.slow]\nendpoints = [\"{}\"]\n", upstream.address()) + &route(name, "\"slow\"")
    };
    let gateway = Gateway::new().toml(&slow("first")).start().await;
    let status = gateway.status().await;
    let mut connection = gateway.connect().await;
    connection.send(&Request::get("/first")).await.unwrap();
    upstream.wait_for_requests(1).await;
    gateway.write_toml(&slow("second"));
    next(&gateway, &status).await;
    assert_eq!(gateway.get("/first").await.status, 404);
    gate.open_for_good();
    let answer = connection.receive("GET").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "onetwo"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn settings_that_only_a_start_reads_are_named_in_the_log() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let status = gateway.status().await;
    let text = std::fs::read_to_string(gateway.configuration()).unwrap();
    let text = text.replacen("[gateway]\n", "[gateway]\nworkers = 3\n", 1);
    gateway.write_file("portcullis.toml", text.as_bytes());
    next(&gateway, &status).await;
    let logs = gateway.logs();
    let line = logs
        .iter()
        .find(|line| line.message.contains("apply at the next start"));
    assert_eq!(line.and_then(|line| line.field("keys")), Some("workers"));
    gateway.shutdown().await;
}
