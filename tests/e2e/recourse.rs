//! What is done when a try at an upstream fails or takes long: further tries, their budget, hedging, fallbacks; and copies
//! of requests for a second upstream.

use std::net::SocketAddr;

use portcullis_tests::{Gateway, GatewayBuilder};

mod fallbacks;
mod hedges;
mod mirrors;
mod retries;

/// One worker and one route, to the upstream `up` with these endpoints and further keys.
fn front(endpoints: &[SocketAddr], keys: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", endpoints, keys)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

/// A metric of the upstream `up`.
async fn up(gateway: &Gateway, metric: &str) -> f64 {
    of(gateway, metric, "up").await
}

/// A metric of an upstream.
async fn of(gateway: &Gateway, metric: &str, upstream: &str) -> f64 {
    let name = format!("portcullis_upstream_{metric}_total{{upstream=\"{upstream}\"}}");
    let value = gateway.metric(&name).await;
    value.unwrap_or_else(|| panic!("no {name}"))
}

/// Retries at the upstream `up` for this reason.
async fn retried(gateway: &Gateway, reason: &str) -> f64 {
    let name = format!("portcullis_upstream_retries_total{{upstream=\"up\",reason=\"{reason}\"}}");
    let value = gateway.metric(&name).await;
    value.unwrap_or_else(|| panic!("no {name}"))
}
