//! How upstreams and their endpoints are, as metrics. The numbers are the upstreams' own: whoever asks for the document
//! brings them along.
//!
//! It knows names and numbers; not who judges an endpoint.

use std::sync::Arc;

use crate::telemetry::catalogue::{self as names, Description};
use crate::telemetry::exposition::{Exposition, Label};

/// One upstream at one moment.
#[derive(Debug, Clone)]
pub struct UpstreamSample {
    /// Its name.
    pub name: Arc<str>,
    /// Its breaker as a whole, if it has one.
    pub breaker: Option<BreakerSample>,
    /// What is in use of each limit, by the limit's name; empty without limits.
    pub in_use: Vec<(&'static str, u64)>,
    /// How often each limit refused an exchange; empty without limits.
    pub limited: Vec<(&'static str, u64)>,
    /// Lookups of its names by result; empty where there are no names.
    pub lookups: Vec<(&'static str, u64)>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointSample>,
}

/// One endpoint at one moment.
#[derive(Debug, Clone)]
pub struct EndpointSample {
    /// `host:port`.
    pub label: Arc<str>,
    /// What may speak against using it, and whether it does (1).
    pub marks: Vec<(&'static str, u64)>,
    /// Exchanges that use it.
    pub in_flight: u64,
    /// How often it was ejected.
    pub ejections: u64,
    /// Its health checks by result.
    pub checks: [(&'static str, u64); 2],
    /// Its breaker, if it has one.
    pub breaker: Option<BreakerSample>,
}

/// A breaker at one moment: each of its states, whether it is in it (1), and how often it went there.
#[derive(Debug, Clone)]
pub struct BreakerSample(pub [(&'static str, u64, u64); 3]);

/// Writes them, metric by metric in the order of the catalogue.
pub(super) fn write(doc: &mut Exposition, upstreams: &[UpstreamSample]) {
    let endpoints = || {
        let of = |upstream| move |endpoint| (upstream, endpoint);
        upstreams
            .iter()
            .flat_map(move |upstream: &UpstreamSample| upstream.endpoints.iter().map(of(upstream)))
    };
    begin(doc, names::UPSTREAM_LOOKUPS);
    for upstream in upstreams {
        for (result, count) in &upstream.lookups {
            let labels = [("upstream", &*upstream.name), ("result", *result)];
            doc.count(names::UPSTREAM_LOOKUPS.name, &labels, *count);
        }
    }
    begin(doc, names::ENDPOINT_AVAILABLE);
    for (upstream, endpoint) in endpoints() {
        let available = endpoint.marks.iter().all(|(_, set)| *set == 0);
        let labels = both(upstream, endpoint);
        doc.count(names::ENDPOINT_AVAILABLE.name, &labels, u64::from(available));
    }
    begin(doc, names::ENDPOINT_MARKED);
    for (upstream, endpoint) in endpoints() {
        let [first, second] = both(upstream, endpoint);
        for (reason, set) in &endpoint.marks {
            let labels = [first, second, ("reason", *reason)];
            doc.count(names::ENDPOINT_MARKED.name, &labels, *set);
        }
    }
    begin(doc, names::ENDPOINT_IN_FLIGHT);
    for (upstream, endpoint) in endpoints() {
        let labels = both(upstream, endpoint);
        doc.count(names::ENDPOINT_IN_FLIGHT.name, &labels, endpoint.in_flight);
    }
    begin(doc, names::ENDPOINT_EJECTIONS);
    for (upstream, endpoint) in endpoints() {
        let labels = both(upstream, endpoint);
        doc.count(names::ENDPOINT_EJECTIONS.name, &labels, endpoint.ejections);
    }
    begin(doc, names::HEALTH_CHECKS);
    for (upstream, endpoint) in endpoints() {
        let [first, second] = both(upstream, endpoint);
        for (result, count) in endpoint.checks {
            doc.count(
                names::HEALTH_CHECKS.name,
                &[first, second, ("result", result)],
                count,
            );
        }
    }
    let breakers = || {
        let of_endpoints = endpoints().filter_map(|(upstream, endpoint)| {
            let breaker = endpoint.breaker.as_ref()?;
            Some((&*upstream.name, &*endpoint.label, breaker))
        });
        let whole = upstreams
            .iter()
            .filter_map(|upstream| Some((&*upstream.name, "", upstream.breaker.as_ref()?)));
        whole.chain(of_endpoints)
    };
    begin(doc, names::BREAKER_STATE);
    for (upstream, endpoint, BreakerSample(states)) in breakers() {
        for (state, is, _) in states {
            let labels = [("upstream", upstream), ("endpoint", endpoint), ("state", *state)];
            doc.count(names::BREAKER_STATE.name, &labels, *is);
        }
    }
    begin(doc, names::BREAKER_TRANSITIONS);
    for (upstream, endpoint, BreakerSample(states)) in breakers() {
        for (state, _, times) in states {
            let labels = [("upstream", upstream), ("endpoint", endpoint), ("state", *state)];
            doc.count(names::BREAKER_TRANSITIONS.name, &labels, *times);
        }
    }
    by_limit(doc, names::UPSTREAM_IN_USE, upstreams, |upstream| {
        &upstream.in_use
    });
    by_limit(doc, names::UPSTREAM_LIMITED, upstreams, |upstream| {
        &upstream.limited
    });
}

fn by_limit(
    doc: &mut Exposition,
    metric: Description,
    upstreams: &[UpstreamSample],
    numbers: impl Fn(&UpstreamSample) -> &Vec<(&'static str, u64)>,
) {
    begin(doc, metric);
    for upstream in upstreams {
        for (limit, number) in numbers(upstream) {
            let labels = [("upstream", &*upstream.name), ("limit", *limit)];
            doc.count(metric.name, &labels, *number);
        }
    }
}

fn both<'a>(upstream: &'a UpstreamSample, endpoint: &'a EndpointSample) -> [Label<'a>; 2] {
    [("upstream", &upstream.name), ("endpoint", &endpoint.label)]
}

fn begin(doc: &mut Exposition, metric: Description) {
    doc.metric(metric.name, metric.kind, metric.help);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_available_while_nothing_speaks_against_it() {
        let sample = |set| UpstreamSample {
            name: "orders".into(),
            breaker: Some(BreakerSample([
                ("closed", 0, 1),
                ("open", 1, 2),
                ("half-open", 0, 1),
            ])),
            in_use: vec![("requests", 4)],
            limited: vec![("requests", 9)],
            lookups: vec![("found", 7)],
            endpoints: vec![EndpointSample {
                label: "a:1".into(),
                marks: vec![("unhealthy", 0), ("ejected", set)],
                in_flight: 3,
                ejections: 2,
                checks: [("passed", 5), ("failed", 1)],
                breaker: None,
            }],
        };
        for (set, available) in [(0, 1), (1, 0)] {
            let mut doc = Exposition::default();
            write(&mut doc, &[sample(set)]);
            let text = doc.into_text();
            for line in [
                "portcullis_upstream_lookups_total{upstream=\"orders\",result=\"found\"} 7".to_owned(),
                format!("portcullis_upstream_endpoint_available{{upstream=\"orders\",endpoint=\"a:1\"}} {available}"),
                format!("portcullis_upstream_endpoint_marked{{upstream=\"orders\",endpoint=\"a:1\",reason=\"ejected\"}} {set}"),
                "portcullis_upstream_endpoint_in_flight{upstream=\"orders\",endpoint=\"a:1\"} 3".to_owned(),
                "portcullis_upstream_endpoint_ejections_total{upstream=\"orders\",endpoint=\"a:1\"} 2".to_owned(),
                "portcullis_upstream_health_checks_total{upstream=\"orders\",endpoint=\"a:1\",result=\"failed\"} 1".to_owned(),
                "portcullis_upstream_breaker_state{upstream=\"orders\",endpoint=\"\",state=\"open\"} 1".to_owned(),
                "portcullis_upstream_breaker_transitions_total{upstream=\"orders\",endpoint=\"\",state=\"open\"} 2".to_owned(),
                "portcullis_upstream_in_use{upstream=\"orders\",limit=\"requests\"} 4".to_owned(),
                "portcullis_upstream_limited_total{upstream=\"orders\",limit=\"requests\"} 9".to_owned(),
            ] {
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
        }
    }
}
