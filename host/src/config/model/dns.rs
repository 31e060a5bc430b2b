//! `[gateway.dns]`.
//!
//! It refuses to ask a server.

use std::net::SocketAddr;
use std::time::Duration;

/// `[gateway.dns]`: how names of endpoints are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// `servers`; empty = those of the system.
    pub servers: Vec<SocketAddr>,
    /// `family`, default IPv4 first.
    pub family: Family,
    /// `min-ttl`, default 1 s.
    pub min_ttl: Duration,
    /// `max-ttl`, default 5 min.
    pub max_ttl: Duration,
}

/// `family`: which addresses of a name are endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `ipv4-first`.
    V4First,
    /// `ipv6-first`.
    V6First,
    /// `ipv4`.
    V4,
    /// `ipv6`.
    V6,
    /// `both`.
    Both,
}
