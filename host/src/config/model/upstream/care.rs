//! `health-check`, `outlier`, `breaker` and `limits` of `[upstreams.NAME]`.
//!
//! It refuses to know what they do.

use std::time::Duration;

use http::Method;

use crate::message::statuses::Statuses;

/// What is done about endpoints that fail, and how much is asked of them at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Care {
    /// `health-check`.
    pub health_check: Option<HealthCheck>,
    /// `outlier`.
    pub outlier: Option<Outlier>,
    /// `breaker`.
    pub breaker: Option<Breaker>,
    /// `limits`.
    pub limits: Option<UpstreamLimits>,
}

/// `[upstreams.NAME.health-check]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `protocol` and what belongs to it.
    pub probe: HealthProbe,
    /// `interval`, default 5 s.
    pub interval: Duration,
    /// `timeout`, default 2 s.
    pub timeout: Duration,
    /// `healthy-threshold`, default 2.
    pub healthy_threshold: u32,
    /// `unhealthy-threshold`, default 3.
    pub unhealthy_threshold: u32,
    /// `port`, default that of the endpoint.
    pub port: Option<u16>,
}

/// `protocol`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProbe {
    /// `http`.
    Http(HttpCheck),
    /// `tcp`.
    Tcp,
    /// `grpc`.
    Grpc(GrpcCheck),
}

/// What a check by the health protocol of gRPC asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcCheck {
    /// `service`, default the server as a whole.
    pub service: String,
    /// `host`, default the endpoint.
    pub host: Option<String>,
}

/// What a check by HTTP asks and expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// `method`, default GET.
    pub method: Method,
    /// `path`, default `/`.
    pub path: String,
    /// `host`, default the endpoint.
    pub host: Option<String>,
    /// `expect`, default 200 to 399.
    pub expect: Statuses,
}

/// `[upstreams.NAME.outlier]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlier {
    /// `consecutive-gateway-errors`, default 5; none for 0.
    pub gateway_errors: Option<u32>,
    /// `consecutive-5xx`, default 5; none for 0.
    pub server_errors: Option<u32>,
    /// `base-time`, default 30 s.
    pub base_time: Duration,
    /// `max-time`, default 5 min.
    pub max_time: Duration,
    /// `max-percent`, default 50.
    pub max_percent: u32,
}

/// `[upstreams.NAME.breaker]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// `scope`, default `upstream`.
    pub scope: BreakerScope,
    /// `consecutive-errors`, default 10; none for 0.
    pub consecutive: Option<u32>,
    /// `error-percent`, default 50; none for 0.
    pub error_percent: Option<u32>,
    /// `slow-percent`; none for 0, the default.
    pub slow_percent: Option<u32>,
    /// `slow-after`, default 1 s.
    pub slow_after: Duration,
    /// `min-requests`, default 20.
    pub min_requests: u32,
    /// `window`, default 10 s.
    pub window: Duration,
    /// `open-time`, default 5 s.
    pub open_time: Duration,
    /// `max-open-time`, default 60 s.
    pub max_open_time: Duration,
    /// `trials`, default 3.
    pub trials: u16,
    /// `successes`, default `trials`.
    pub successes: u16,
    /// `statuses`, default 500, 502, 503 and 504.
    pub statuses: Statuses,
}

/// `scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerScope {
    /// `upstream`.
    Upstream,
    /// `endpoint`.
    Endpoint,
    /// `both`.
    Both,
}

/// `[upstreams.NAME.limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// `connections`.
    pub connections: Option<usize>,
    /// `pending`, default 1024.
    pub pending: usize,
    /// `pending-timeout`, default 5 s.
    pub pending_timeout: Duration,
    /// `requests`.
    pub requests: Option<usize>,
}
