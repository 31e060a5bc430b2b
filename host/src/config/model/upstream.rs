//! `[upstreams.NAME]`.
//!
//! It refuses to know what the settings do.

mod balance;
mod care;
mod recourse;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::http2::UpstreamProtocol;
use crate::config::origin::Origin;
use crate::tls::Client;

pub use balance::{Balance, HashOn, Policy, SameSite, SlowStart, Sticky};
pub use care::{
    Breaker, BreakerScope, Care, GrpcCheck, HealthCheck, HealthProbe, HttpCheck, Outlier, UpstreamLimits,
};
pub use recourse::{Condition, Fallback, Recourse, Retries, RetryBudget, StaticAnswer};

/// `[upstreams.NAME]`: servers that answer alike.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// `endpoints`, at least one.
    pub endpoints: Vec<Listed>,
    /// `protocol`, default HTTP/1.1.
    pub protocol: UpstreamProtocol,
    /// Which of them is chosen.
    pub balance: Balance,
    /// `connect-timeout`, default 5 s.
    pub connect_timeout: Duration,
    /// `first-byte-timeout`: from the end of the request to the head of the response, default 60 s.
    pub first_byte_timeout: Duration,
    /// `idle-timeout`: between two pieces of a body, default 60 s.
    pub idle_timeout: Duration,
    /// `max-idle`: kept connections per worker and endpoint, default 128.
    pub max_idle: usize,
    /// `max-idle-time`: how long an unused connection is kept, default 60 s.
    pub max_idle_time: Duration,
    /// `max-header-bytes`: status line and header fields of a response, default 64 KiB.
    pub max_header_bytes: usize,
    /// `[upstreams.NAME.tls]`; absent = in clear.
    pub tls: Option<Arc<Client>>,
    /// What is done about tries that fail.
    pub recourse: Recourse,
    /// What is done about endpoints that fail, and how much is asked of them at once.
    pub care: Care,
    /// Where it is written.
    pub origin: Origin,
}

/// An element of `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Where it is.
    pub source: Source,
    /// `weight`, 1 to 10,000, default 1.
    pub weight: u32,
    /// `zone`.
    pub zone: Option<Arc<str>>,
    /// `labels`, in the order of their names.
    pub labels: Arc<[(String, String)]>,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// `address`.
    Address(Endpoint),
    /// `srv`: the name of SRV records (RFC 2782), lower case.
    Srv(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(endpoint) => endpoint.fmt(f),
            Self::Srv(name) => f.write_str(name),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an IP address, lower case; IPv6 without brackets.
    pub host: String,
    /// The port, not 0.
    pub port: u16,
}

/// `host:port`, with brackets around an IPv6 address (RFC 3986 section 3.2.2).
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
