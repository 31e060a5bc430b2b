//! `[routes.mirror]`.
//!
//! It refuses to know how copies are sent.

/// Requests of which a second upstream gets a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// `upstream`: an index into [`Config::upstreams`](crate::config::Config::upstreams).
    pub upstream: usize,
    /// `percent` of the requests, default 100.
    pub percent: u8,
    /// `max-body`: requests with longer bodies are not copied, default 64 KiB.
    pub max_body: u64,
    /// `max-concurrent`: copies under way in each worker, default 64.
    pub max_concurrent: usize,
}
