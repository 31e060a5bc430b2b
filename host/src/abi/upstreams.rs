//! Interface `upstreams`: what is told of an endpoint. It refuses to know who asks for it.

use super::imports::upstreams::Endpoint;
use crate::upstream::Candidate;

impl From<&Candidate> for Endpoint {
    fn from(candidate: &Candidate) -> Self {
        let zone = candidate
            .zone
            .as_ref()
            .map(|zone| ("zone".to_owned(), zone.as_ref().to_owned()));
        Self {
            address: candidate.member.label().as_ref().to_owned(),
            weight: candidate.weight,
            healthy: candidate.is_healthy(),
            in_flight: u32::try_from(candidate.member.in_flight()).unwrap_or(u32::MAX),
            latency_us: candidate.latency.map_or(0, |latency| {
                // What is known is never told as unknown.
                u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1)
            }),
            labels: candidate.labels.iter().cloned().chain(zone).collect(),
        }
    }
}
