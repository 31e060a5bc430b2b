//! What listeners and upstreams speak, and `[listeners.NAME.http2]`. It refuses to know how the protocols work.

use std::time::Duration;

/// `protocols`: what clients may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocols {
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
    /// Either.
    Both,
}

/// `protocol` of an upstream: what its servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// `[listeners.NAME.http2]`: what a connection that speaks HTTP/2 may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2 {
    /// `max-concurrent-streams`, default 100.
    pub max_concurrent_streams: u32,
    /// `stream-window`: bytes of one request body that may come before they are taken, default 64 KiB.
    pub stream_window: u32,
    /// `connection-window`: the same for all streams together, default 1 MiB.
    pub connection_window: u32,
    /// `ping-interval`: how often a client with open streams is asked whether it is still there, default 30 s.
    pub ping_interval: Duration,
    /// `ping-timeout`: how long its answer may take, default 20 s.
    pub ping_timeout: Duration,
}
