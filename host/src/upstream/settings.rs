//! What a cluster is told: endpoints, times and limits. It refuses to know where they were written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::balance::{Policy, SlowStart};
use super::care::CareRules;
use crate::tls::Client;

/// The settings of one upstream. They do not change while a [`Cluster`](super::Cluster) lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The upstream's name, for logs and metrics.
    pub name: Arc<str>,
    /// The servers.
    pub endpoints: Vec<Entry>,
    /// What the servers speak.
    pub protocol: Protocol,
    /// How endpoints are chosen.
    pub policy: Policy,
    /// How the load of endpoints that have just come grows.
    pub slow_start: Option<SlowStart>,
    /// When fewer than so many per cent of the endpoints are healthy, health is not looked at.
    pub panic_percent: u32,
    /// The gateway's own zone.
    pub zone: Option<Arc<str>>,
    /// What is looked after, and how.
    pub care: CareRules,
    /// The time for one endpoint to resolve and connect.
    pub connect_timeout: Duration,
    /// The time between the last progress of the request (or an interim response) and the complete head of the
    /// response. It does not run while a request body is still being sent: that is `idle_timeout`'s part.
    pub first_byte_timeout: Duration,
    /// The time between two pieces of a body, in either direction.
    pub idle_timeout: Duration,
    /// How many idle connections are kept per worker and endpoint.
    pub max_idle: usize,
    /// How long an idle connection is kept. It may be dropped earlier, by at most the time between two calls of
    /// [`Cluster::sweep`](super::Cluster::sweep).
    pub max_idle_time: Duration,
    /// The size in bytes of a response head, and of a trailer section, that is still accepted.
    pub max_header_bytes: usize,
    /// The number of fields in a response head, and in a trailer section, that is still accepted.
    pub max_headers: usize,
    /// TLS; none = in clear.
    pub tls: Option<Arc<Client>>,
}

/// What the servers of an upstream speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1: a connection for each exchange at a time.
    #[default]
    Http1,
    /// HTTP/2, by ALPN with TLS and else by prior knowledge (RFC 9113 sections 3.2 and 3.3): connections that exchanges
    /// share.
    Http2,
}

/// An endpoint as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Where it is.
    pub source: Source,
    /// Its share of the exchanges, at least 1.
    pub weight: u32,
    /// The zone that it is in.
    pub zone: Option<Arc<str>>,
    /// What else is said of it, by name.
    pub labels: Labels,
}

/// Names and values that nothing here looks at.
pub type Labels = Arc<[(String, String)]>;

impl From<Endpoint> for Entry {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            source: Source::Address(endpoint),
            weight: 1,
            zone: None,
            labels: Labels::default(),
        }
    }
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A host and a port.
    Address(Endpoint),
    /// The name of SRV records (RFC 2782).
    Srv(Arc<str>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(endpoint) => endpoint.fmt(f),
            Self::Srv(name) => f.write_str(name),
        }
    }
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// An IP address (an IPv6 one with or without brackets) or a name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// The host without the brackets of an IPv6 address.
    #[must_use]
    pub fn bare_host(&self) -> &str {
        let inner = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(&self.host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') && !self.host.starts_with('[') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_written_as_an_authority() {
        for (host, want) in [
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
            ("a.example", "a.example:80"),
        ] {
            assert_eq!(
                Endpoint {
                    host: host.to_owned(),
                    port: 80
                }
                .to_string(),
                want
            );
        }
    }
}
