//! From upstreams of the configuration to what all workers share of them. It refuses to know workers and connections.

mod care;

use std::sync::Arc;

use super::generation::Generation;
use super::http2;
use crate::config::{self, Config, Listed, Upstream};
use crate::upstream::{Endpoint, Entry, Policy, Settings, Shared, SlowStart, Source};

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
        let settings = settings(upstream, config.gateway.zone.as_ref());
        match known(&upstream.name) {
            Some(same) if **same.settings() == settings => Arc::clone(same),
            other => Shared::new(Arc::new(settings), other.map(|other| &**other)),
        }
    };
    config.upstreams.iter().map(make).collect()
}

fn settings(config: &Upstream, zone: Option<&Arc<str>>) -> Settings {
    let entry = |listed: &Listed| Entry {
        source: match &listed.source {
            config::Source::Address(endpoint) => Source::Address(Endpoint {
                host: endpoint.host.clone(),
                port: endpoint.port,
            }),
            config::Source::Srv(name) => Source::Srv(name.as_str().into()),
        },
        weight: listed.weight,
        zone: listed.zone.clone(),
        labels: listed.labels.clone(),
    };
    Settings {
        name: Arc::clone(&config.name),
        endpoints: config.endpoints.iter().map(entry).collect(),
        protocol: http2::of_upstream(config.protocol),
        policy: policy(&config.balance.policy),
        slow_start: config.balance.slow_start.map(|slow| SlowStart {
            window: slow.window,
            aggression_percent: slow.aggression,
            least_percent: slow.min_weight,
        }),
        panic_percent: config.balance.panic_threshold,
        zone: zone.cloned(),
        care: care::rules(&config.care),
        connect_timeout: config.connect_timeout,
        first_byte_timeout: config.first_byte_timeout,
        idle_timeout: config.idle_timeout,
        max_idle: config.max_idle,
        max_idle_time: config.max_idle_time,
        max_header_bytes: config.max_header_bytes,
        max_headers: MAX_RESPONSE_FIELDS,
        tls: config.tls.clone(),
    }
}

fn policy(config: &config::Policy) -> Policy {
    match config {
        config::Policy::RoundRobin => Policy::RoundRobin,
        config::Policy::Random => Policy::Random,
        config::Policy::LeastRequest => Policy::LeastRequest,
        config::Policy::PeakEwma { decay } => Policy::PeakEwma(*decay),
        config::Policy::RingHash(_) => Policy::RingHash,
        config::Policy::Maglev(_) => Policy::Maglev,
        config::Policy::Plugin { max_candidates, .. } => Policy::Picked(*max_candidates),
    }
}
