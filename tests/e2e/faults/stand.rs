//! What the tests of faults share: entries of the guest `rogue`, and what the admin listener says of them.

use portcullis_tests::{Gateway, Request};
use serde_json::Value;

/// A request that makes the rogue fail.
pub(super) fn bad(request: Request) -> Request {
    request.header("x-rogue", "1")
}

/// An entry that fails in this hook, so, at requests with `x-rogue`.
pub(super) fn entry(name: &str, hook: &str, fault: &str, keys: &str) -> String {
    format!(
        "[plugins.{name}]\nwasm = \"rogue\"\n\
         config = {{ hook = \"{hook}\", fault = \"{fault}\", when = \"x-rogue\", millis = 60000 }}\n{keys}\n"
    )
}

/// A route `/NAME` with this pipeline to this upstream (a name or a table).
pub(super) fn route(name: &str, pipeline: &str, upstream: &str) -> String {
    format!(
        "[[routes]]\nname = \"{name}\"\nmatch = {{ prefix = \"/{name}\" }}\npipeline = [{pipeline}]\nupstream = {upstream}\n"
    )
}

/// How often the entry failed in this hook, so.
pub(super) async fn faults(gateway: &Gateway, entry: &str, hook: &str, kind: &str) -> f64 {
    let series =
        format!("portcullis_plugin_faults_total{{plugin=\"{entry}\",hook=\"{hook}\",kind=\"{kind}\"}}");
    gateway.metric(&series).await.unwrap_or_default()
}

/// A counter that has the entry as its only label.
pub(super) async fn count(gateway: &Gateway, metric: &str, entry: &str) -> f64 {
    let series = format!("{metric}{{plugin=\"{entry}\"}}");
    gateway.metric(&series).await.unwrap_or_default()
}

/// The entry in `/status`.
pub(super) fn plugin<'a>(status: &'a Value, entry: &str) -> &'a Value {
    let plugins = status["plugins"].as_array().expect("a list of plugins");
    plugins
        .iter()
        .find(|plugin| plugin["name"] == entry)
        .unwrap_or_else(|| panic!("no entry {entry} in {status}"))
}
