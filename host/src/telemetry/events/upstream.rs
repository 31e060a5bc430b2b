//! What an operator is told of upstreams: endpoints lost and back, breakers open and closed. Their numbers are read from
//! the upstreams themselves when they are asked for.
//!
//! It knows what happened, by name; not why the host decided so.

use std::time::Duration;

use tracing::{info, warn};

use super::ms;

/// Health checks of an endpoint fail: it is not used any more.
#[derive(Debug, Clone, Copy)]
pub struct EndpointLost<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// `host:port`.
    pub endpoint: &'a str,
    /// How the latest check failed.
    pub reason: &'a str,
}

impl EndpointLost<'_> {
    /// WARN.
    pub fn emit(self) {
        let Self {
            upstream,
            endpoint,
            reason,
        } = self;
        warn!(
            upstream,
            endpoint, reason, "an endpoint fails its health checks and is not used any more"
        );
    }
}

/// Health checks of an endpoint pass again.
#[derive(Debug, Clone, Copy)]
pub struct EndpointRecovered<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// `host:port`.
    pub endpoint: &'a str,
}

impl EndpointRecovered<'_> {
    /// INFO.
    pub fn emit(self) {
        info!(
            upstream = self.upstream,
            endpoint = self.endpoint,
            "an endpoint passes its health checks again"
        );
    }
}

/// An endpoint failed too often in a row and sits out.
#[derive(Debug, Clone, Copy)]
pub struct EndpointEjected<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// `host:port`.
    pub endpoint: &'a str,
    /// How long.
    pub pause: Duration,
}

impl EndpointEjected<'_> {
    /// WARN.
    pub fn emit(self) {
        warn!(
            upstream = self.upstream,
            endpoint = self.endpoint,
            pause_ms = ms(self.pause),
            "an endpoint failed too often in a row and is not used for a while"
        );
    }
}

/// An ejection is over.
#[derive(Debug, Clone, Copy)]
pub struct EndpointReturned<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// `host:port`.
    pub endpoint: &'a str,
}

impl EndpointReturned<'_> {
    /// INFO.
    pub fn emit(self) {
        info!(
            upstream = self.upstream,
            endpoint = self.endpoint,
            "an endpoint that was ejected is used again"
        );
    }
}

/// A circuit breaker went to another state.
#[derive(Debug, Clone, Copy)]
pub struct BreakerChanged<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// `host:port`, if it is the breaker of an endpoint.
    pub endpoint: Option<&'a str>,
    /// `open`, `half-open` or `closed`.
    pub state: &'a str,
    /// What opened it; "" if it did not open.
    pub cause: &'a str,
    /// How long it stays open.
    pub pause: Duration,
}

impl BreakerChanged<'_> {
    /// WARN when it opens, INFO else.
    pub fn emit(self) {
        let Self {
            upstream,
            endpoint,
            state,
            cause,
            pause,
        } = self;
        match state {
            "open" => warn!(
                upstream,
                endpoint,
                state,
                cause,
                pause_ms = ms(pause),
                "a circuit breaker opened"
            ),
            "half-open" => info!(upstream, endpoint, state, "a circuit breaker lets trials through"),
            _ => info!(upstream, endpoint, state, "a circuit breaker closed"),
        }
    }
}
