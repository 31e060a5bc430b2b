//! From upstreams of the configuration to what all workers share of them. It refuses to know workers and connections.

use std::sync::Arc;

use super::generation::Generation;
use crate::config::{Config, Upstream};
use crate::upstream::{Endpoint, Entry, Settings, Shared};

/// Response fields that an upstream may send.
const MAX_RESPONSE_FIELDS: usize = 200;

/// The upstreams of `config` in its order. One whose settings did not change is the one that `before` has; another with
/// the same name takes over what is known of its endpoints.
pub(super) fn shared(config: &Config, before: Option<&Generation>) -> Vec<Arc<Shared>> {
    let known = |name: &str| {
        before?
            .upstreams
            .iter()
            .find(|shared| &*shared.settings().name == name)
    };
    let make = |upstream: &Upstream| {
        let settings = settings(upstream);
        match known(&upstream.name) {
            Some(same) if **same.settings() == settings => Arc::clone(same),
            other => Shared::new(Arc::new(settings), other.map(|other| &**other)),
        }
    };
    config.upstreams.iter().map(make).collect()
}

fn settings(config: &Upstream) -> Settings {
    let entry = |endpoint: &crate::config::Endpoint| Entry {
        endpoint: Endpoint {
            host: endpoint.host.clone(),
            port: endpoint.port,
        },
        weight: 1,
        zone: None,
    };
    Settings {
        name: Arc::clone(&config.name),
        endpoints: config.endpoints.iter().map(entry).collect(),
        connect_timeout: config.connect_timeout,
        first_byte_timeout: config.first_byte_timeout,
        idle_timeout: config.idle_timeout,
        max_idle: config.max_idle,
        max_idle_time: config.max_idle_time,
        max_header_bytes: config.max_header_bytes,
        max_headers: MAX_RESPONSE_FIELDS,
    }
}
