//! Requests and responses through the gateway: routing, limits, time-outs, bodies.

use std::net::SocketAddr;

use portcullis_tests::{Answer, Gateway, GatewayBuilder};
use serde_json::Value;

pub(super) mod access_log;
mod bodies;
mod connections;
mod failures;
mod fields;
mod framing;
mod hosts;
mod limits;
mod malformed;
mod paths;
pub(super) mod peer;
mod routing;
mod semantics;
mod shutdown;
mod streaming;
mod timeouts;
mod unparsed;
mod upgrades;
pub(super) mod websocket;

/// One worker, so that there is one pool of connections, and one route for everything. `keys` are further keys of
/// the upstream.
fn front(upstream: SocketAddr, keys: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", &[upstream], keys)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

/// The document of an error of the gateway's own, which has to be whole and to name no endpoint.
fn expect_problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (status, code),
        "{answer:?}"
    );
    let document = answer.json();
    assert_eq!(document["type"], format!("urn:portcullis:error:{code}"));
    assert!(
        document["title"].as_str().is_some_and(|title| !title.is_empty()),
        "{document}"
    );
    let instance = document["instance"].as_str().unwrap_or_default();
    let id = instance.strip_prefix("urn:portcullis:request:");
    assert!(id.is_some_and(|id| id.len() >= 16), "{document}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let raw = String::from_utf8_lossy(&answer.raw);
    assert!(!raw.contains("127.0.0.1"), "an address in {raw}");
    document
}
