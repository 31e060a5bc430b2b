//! Changes while traffic flows: what is good goes live without a failed answer, what is not changes nothing.

use portcullis_host::engine::ContentHash;
use portcullis_tests::gateway::site::Site;
use portcullis_tests::load::RunningLoad;
use portcullis_tests::{Answer, Gateway, GatewayBuilder, Load, Request, Upstream};
use serde_json::Value;

mod broken_configurations;
mod broken_plugins;
mod configurations;
mod files;
mod listeners;
mod many;
mod plugins;
mod restarts;
mod routes;

/// An entry `mock` that answers `/hello` with `text`, and a route `/plain` to the upstream `up`.
fn toml(text: &str) -> String {
    toml_with(&format!("responses = [{{ body = \"{text}\" }}]"))
}

/// The same with this in the `config` of `mock`. The line of `config` is the second one.
fn toml_with(config: &str) -> String {
    format!(
        "[plugins.mock]\nconfig = {{ {config} }}\n{}",
        route("hello", "{ plugin = \"mock\" }") + &route("plain", "\"up\"")
    )
}

/// A route for what begins with its name.
fn route(name: &str, upstream: &str) -> String {
    format!("[[routes]]\nname = \"{name}\"\nmatch = {{ prefix = \"/{name}\" }}\nupstream = {upstream}\n")
}

/// A gateway with [`toml`], whose upstream answers `up`.
fn hello(text: &str) -> (Upstream, GatewayBuilder) {
    let upstream = Upstream::fixed(200, &[], "up");
    let builder = Gateway::new()
        .plugin("mock")
        .upstream("up", &upstream)
        .toml(&toml(text));
    (upstream, builder)
}

/// Load on `target`, where every answer has to be a 200 with one of these texts.
fn load(site: &Site, target: &str, texts: &[&str]) -> RunningLoad {
    load_of(site, Request::get(target), texts)
}

fn load_of(site: &Site, request: Request, texts: &[&str]) -> RunningLoad {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let judge = move |answer: &Answer| match (answer.status, texts.iter().any(|text| text == answer.text())) {
        (200, true) => Ok(()),
        (status, _) => Err(format!("{status}: {}", answer.text())),
    };
    Load::new(site.address(), request).check(judge).start()
}

/// Lets the load go on for a while, and ends it.
async fn finish(load: RunningLoad) {
    load.wait_for(100).await;
    load.stop().await.expect_no_failure();
}

/// The part of a status that is about a plugin entry.
fn entry<'a>(status: &'a Value, name: &str) -> &'a Value {
    find(status, name).unwrap_or_else(|| panic!("no plugin `{name}` in {status:#}"))
}

fn find<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    let plugins = status["plugins"].as_array().expect("a list of plugins");
    plugins.iter().find(|plugin| plugin["name"] == name)
}

/// Waits until the entry runs the component with these bytes, and nothing is wrong with it.
async fn runs(site: &Site, name: &str, component: &[u8]) -> Value {
    let hash = ContentHash::of(component).to_string();
    site.wait_for(|status| {
        find(status, name)
            .is_some_and(|entry| entry["state"] == "active" && entry["component"]["sha256"] == hash.as_str())
    })
    .await
}

/// Waits until the entry is in this state, for a reason with this in it.
async fn is(site: &Site, name: &str, state: &str, reason: &str) -> Value {
    site.wait_for(|status| {
        find(status, name).is_some_and(|entry| {
            entry["state"] == state && entry["reason"].as_str().is_some_and(|text| text.contains(reason))
        })
    })
    .await
}

/// Waits until a reload was rejected, with this among its problems.
async fn rejected(site: &Site, problem: &str) -> Value {
    site.wait_for(|status| {
        let last = &status["last-reload"];
        last["result"] == "rejected"
            && last["problems"]
                .as_str()
                .is_some_and(|text| text.contains(problem))
    })
    .await
}

/// Waits for a generation after this status.
async fn next(site: &Site, before: &Value) -> Value {
    site.wait_for(|status| status["generation"].as_u64() > before["generation"].as_u64())
        .await
}

/// The value of `portcullis_plugin_state` for an entry and a state.
async fn state_metric(site: &Site, name: &str, state: &str) -> f64 {
    let series = format!("portcullis_plugin_state{{plugin=\"{name}\",state=\"{state}\"}}");
    site.metric(&series).await.expect("a state of the plugin")
}
