//! Endpoints that a balancer picks from. Knows no host and no policy.

use std::ops::Deref;
use std::time::Duration;

/// An endpoint that may be chosen now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`, IPv6 in brackets; `address:port` where a name was resolved. The same text in every gateway.
    pub address: String,
    /// Its share as configured, without slow start.
    pub weight: u32,
    /// False where it is a candidate only because too few are healthy.
    pub healthy: bool,
    /// Exchanges that use it now.
    pub in_flight: u32,
    /// The time to the head of its responses; none as long as nothing is known.
    pub latency: Option<Duration>,
    /// Those of the configuration, and `zone`.
    pub labels: Vec<(String, String)>,
}

impl Endpoint {
    /// A healthy one with this address that nothing else is known of, for tests.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            weight: 1,
            healthy: true,
            ..Self::default()
        }
    }

    /// The same with one more label.
    #[must_use]
    pub fn with_label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        labels
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What [`pick`](crate::hooks::Pick) picks from: at least one endpoint, those of the gateway's zone first.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// Name of the upstream.
    pub upstream: String,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

impl Deref for Candidates {
    type Target = [Endpoint];

    fn deref(&self) -> &[Endpoint] {
        &self.endpoints
    }
}
