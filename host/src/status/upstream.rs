//! How upstreams and their endpoints are, for `/status` and for the metrics.

use serde::Serialize;

use crate::config::PluginEntry;
use crate::telemetry::{BreakerSample, EndpointSample, UpstreamSample};
use crate::upstream::{BreakerState, CareRules, Checked, Limit, Lookup, Mark, Seat, Shared, names};

/// An upstream as `/status` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Upstream {
    name: String,
    /// The plugin entry that picks endpoints; left out for other policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    balancer: Option<String>,
    /// `closed`, `open` or `half-open`; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_use: Option<InUse>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct InUse {
    requests: usize,
    connections: usize,
    pending: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Endpoint {
    address: String,
    /// `available`, or `unavailable` for the `reasons`.
    state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
    weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    in_flight: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<&'static str>,
}

impl Upstream {
    /// The upstream now.
    pub(super) fn of(shared: &Shared, balancer: Option<&PluginEntry>) -> Self {
        let rules = &shared.settings().care;
        Self {
            name: shared.settings().name.to_string(),
            balancer: balancer.map(|entry| entry.name.to_string()),
            breaker: shared.care().breaker(rules).map(|(state, _)| state.name()),
            in_use: shared.care().limits().map(|limits| {
                let in_use = limits.in_use();
                InUse {
                    requests: in_use.requests,
                    connections: in_use.connections,
                    pending: in_use.pending,
                }
            }),
            endpoints: shared
                .roster()
                .seats
                .iter()
                .map(|seat| endpoint(seat, rules))
                .collect(),
        }
    }
}

fn endpoint(seat: &Seat, rules: &CareRules) -> Endpoint {
    let member = &seat.member;
    let reasons: Vec<_> = member.marks().map(Mark::name).collect();
    Endpoint {
        address: member.label().to_string(),
        state: if reasons.is_empty() {
            "available"
        } else {
            "unavailable"
        },
        reasons,
        weight: seat.weight,
        zone: seat.zone.as_ref().map(ToString::to_string),
        in_flight: member.in_flight(),
        breaker: member.ward().breaker(rules).map(|(state, _)| state.name()),
    }
}

/// The upstream now, for the metrics.
pub(super) fn sample(shared: &Shared) -> UpstreamSample {
    let rules = &shared.settings().care;
    let limits = shared.care().limits();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    UpstreamSample {
        name: shared.settings().name.clone(),
        breaker: shared.care().breaker(rules).map(breaker),
        in_use: limits.map_or_else(Vec::new, |limits| {
            let in_use = limits.in_use();
            vec![
                ("requests", count(in_use.requests)),
                ("connections", count(in_use.connections)),
                ("pending", count(in_use.pending)),
            ]
        }),
        limited: limits.map_or_else(Vec::new, |limits| {
            let refused = |limit: Limit| (limit.name(), limits.refused(limit));
            Limit::ALL.map(refused).to_vec()
        }),
        lookups: if names(shared).next().is_some() {
            Lookup::ALL
                .map(|lookup| (lookup.name(), shared.lookups(lookup)))
                .to_vec()
        } else {
            Vec::new()
        },
        endpoints: shared
            .roster()
            .seats
            .iter()
            .map(|seat| {
                let ward = seat.member.ward();
                let set = |mark: Mark| u64::from(seat.member.marks().any(|set| set == mark));
                EndpointSample {
                    label: seat.member.label().clone(),
                    marks: Mark::ALL.map(|mark| (mark.name(), set(mark))).to_vec(),
                    in_flight: count(seat.member.in_flight()),
                    ejections: ward.ejections(),
                    checks: [
                        ("passed", ward.checks(Checked::Passed)),
                        ("failed", ward.checks(Checked::Failed)),
                    ],
                    breaker: ward.breaker(rules).map(breaker),
                }
            })
            .collect(),
    }
}

fn breaker((now, transitions): (BreakerState, [u64; 3])) -> BreakerSample {
    let mut times = transitions.into_iter();
    BreakerSample(BreakerState::ALL.map(|state| {
        let is = u64::from(state == now);
        (state.name(), is, times.next().unwrap_or_default())
    }))
}
