//! `balance`, `slow-start`, `panic-threshold` and `sticky` of an upstream.
//!
//! It refuses to choose an endpoint.

use std::time::Duration;

use http::HeaderName;

/// How the endpoints of an upstream are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balance {
    /// `balance`, default in turn.
    pub policy: Policy,
    /// `slow-start`; absent = endpoints that come have their full load at once.
    pub slow_start: Option<SlowStart>,
    /// `panic-threshold`: per cent of the endpoints, default 0 = never.
    pub panic_threshold: u32,
    /// `sticky`; absent = a client's requests go anywhere.
    pub sticky: Option<Sticky>,
}

/// `balance`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Policy {
    /// `round-robin`.
    #[default]
    RoundRobin,
    /// `random`.
    Random,
    /// `least-request`.
    LeastRequest,
    /// `peak-ewma`.
    PeakEwma {
        /// `decay`, default 10 s.
        decay: Duration,
    },
    /// `ring-hash`.
    RingHash(HashOn),
    /// `maglev`.
    Maglev(HashOn),
    /// `plugin`: an entry picks.
    Plugin {
        /// Its index in [`Config::plugins`](crate::config::Config::plugins).
        entry: usize,
        /// `max-candidates`: how many endpoints it is shown at most, default 100.
        max_candidates: usize,
    },
}

/// `hash-on`: what decides which endpoint a request goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum HashOn {
    /// `client-ip`.
    #[default]
    ClientIp,
    /// `path`, without the query.
    Path,
    /// `header:NAME`.
    Header(HeaderName),
    /// `cookie:NAME`.
    Cookie(String),
    /// `query:NAME`.
    Query(String),
}

/// `slow-start`: how the load of an endpoint that has come grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlowStart {
    /// `window`: how long.
    pub window: Duration,
    /// `aggression` in per cent, default 100 = evenly.
    pub aggression: u32,
    /// `min-weight` in per cent, default 10.
    pub min_weight: u32,
}

/// `sticky`: a cookie that names the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sticky {
    /// `cookie`: its name.
    pub cookie: String,
    /// `path`, default `/`.
    pub path: String,
    /// `ttl`; absent = until the browser is closed.
    pub ttl: Option<Duration>,
    /// `secure`: whether it is sent over TLS only.
    pub secure: bool,
    /// `http-only`: whether scripts do not see it, default true.
    pub http_only: bool,
    /// `same-site`, default `lax`.
    pub same_site: SameSite,
}

/// `same-site` of a cookie (RFC 6265bis, section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// `strict`.
    Strict,
    /// `lax`.
    Lax,
    /// `none`.
    None,
}
