//! What is counted per route, upstream and listener; each worker has its own set of cells.
//!
//! It knows numbers only; names and labels are the registry's.

use std::sync::OnceLock;
use std::time::Duration;

use crate::telemetry::cell::{Counter, Histogram, HistogramSum};

/// How one exchange ended, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    /// From the first byte of the request to the last of the response.
    pub took: Duration,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Whether it ended otherwise than complete.
    pub end: End,
}

/// Whether an exchange came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The last byte was sent.
    Complete,
    /// The client left, or the response broke off.
    Aborted,
}

/// One worker's numbers of one route. The cells are allocated by the first exchange, so that a route that nobody asks
/// for costs a pointer.
#[derive(Debug, Default)]
pub struct RouteStats(OnceLock<Box<RouteCells>>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct RouteCells {
    classes: [Counter; 5],
    bytes_in: Counter,
    bytes_out: Counter,
    aborted: Counter,
    duration: Histogram,
}

impl RouteStats {
    /// Counts one exchange. One without a status is counted as aborted and in no class.
    pub fn record(&self, exchange: &Finished) {
        let cells = self.0.get_or_init(Box::default);
        let class = usize::from(exchange.status / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| cells.classes.get(class)) {
            counter.add(1);
        }
        cells.bytes_in.add(exchange.bytes_in);
        cells.bytes_out.add(exchange.bytes_out);
        cells.aborted.add(u64::from(exchange.end == End::Aborted));
        cells.duration.observe(exchange.took);
    }
}

/// All workers' numbers of one route.
#[derive(Debug, Default)]
pub(super) struct RouteSum {
    /// Whether there was any exchange.
    pub(super) used: bool,
    pub(super) classes: [u64; 5],
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) aborted: u64,
    pub(super) duration: HistogramSum,
}

impl RouteSum {
    pub(super) fn add(&mut self, stats: &RouteStats) {
        let Some(cells) = stats.0.get() else { return };
        self.used = true;
        for (sum, class) in self.classes.iter_mut().zip(&cells.classes) {
            *sum += class.get();
        }
        self.bytes_in += cells.bytes_in.get();
        self.bytes_out += cells.bytes_out.get();
        self.aborted += cells.aborted.get();
        self.duration.add(&cells.duration);
    }
}

/// Why a try at an upstream brought no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// No connection.
    Connect,
    /// TLS refused or not trusted.
    Tls,
    /// Too slow, by any of the time limits.
    Timeout,
    /// The connection broke off.
    Reset,
    /// The response breaks HTTP.
    Protocol,
    /// Not tried: no endpoint may be chosen, the breaker is open, or a limit was reached.
    Unavailable,
}

impl UpstreamFailure {
    /// All kinds, in the order of their cells.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Unavailable,
    ];

    /// Value of the label `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why a request was sent to an upstream again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// There was no connection.
    Connect,
    /// It took too long.
    Timeout,
    /// The connection broke off.
    Reset,
    /// The response broke HTTP.
    Protocol,
    /// The response had a status that is tried again.
    Status,
    /// Another upstream failed, and this one stands in for it.
    Failover,
}

impl RetryReason {
    /// All reasons, in the order of their cells.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Status,
        Self::Failover,
    ];

    /// Value of the label `reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Failover => "failover",
        }
    }
}

/// One worker's numbers of one upstream.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct UpstreamStats {
    requests: Counter,
    retries: [Counter; RetryReason::ALL.len()],
    over_budget: Counter,
    hedges: Counter,
    hedges_won: Counter,
    fallbacks: Counter,
    mirrored: Counter,
    unmirrored: Counter,
    connects: Counter,
    failures: [Counter; UpstreamFailure::ALL.len()],
    duration: Histogram,
}

impl UpstreamStats {
    /// A try was sent.
    pub fn request(&self) {
        self.requests.add(1);
    }

    /// The try is a further one of its exchange.
    pub fn retry(&self, reason: RetryReason) {
        if let Some(counter) = self.retries.get(reason as usize) {
            counter.add(1);
        }
    }

    /// A further try was not allowed by the budget.
    pub fn over_budget(&self) {
        self.over_budget.add(1);
    }

    /// A second try was sent beside a slow first one.
    pub fn hedge(&self) {
        self.hedges.add(1);
    }

    /// The second try was the better one.
    pub fn hedge_won(&self) {
        self.hedges_won.add(1);
    }

    /// The upstream's fallback took over.
    pub fn fallback(&self) {
        self.fallbacks.add(1);
    }

    /// A copy of a request was sent to the upstream.
    pub fn mirrored(&self) {
        self.mirrored.add(1);
    }

    /// A copy of a request was not sent to the upstream.
    pub fn unmirrored(&self) {
        self.unmirrored.add(1);
    }

    /// Connections were opened.
    pub fn connected(&self, count: u64) {
        self.connects.add(count);
    }

    /// A response head came so long after the try was sent.
    pub fn response(&self, took: Duration) {
        self.duration.observe(took);
    }

    /// A try failed.
    pub fn failure(&self, kind: UpstreamFailure) {
        if let Some(counter) = self.failures.get(kind as usize) {
            counter.add(1);
        }
    }
}

/// All workers' numbers of one upstream.
#[derive(Debug, Default)]
pub(super) struct UpstreamSum {
    pub(super) requests: u64,
    pub(super) retries: [u64; RetryReason::ALL.len()],
    pub(super) over_budget: u64,
    pub(super) hedges: u64,
    pub(super) hedges_won: u64,
    pub(super) fallbacks: u64,
    pub(super) mirrored: u64,
    pub(super) unmirrored: u64,
    pub(super) connects: u64,
    pub(super) failures: [u64; UpstreamFailure::ALL.len()],
    pub(super) duration: HistogramSum,
}

impl UpstreamSum {
    pub(super) fn add(&mut self, stats: &UpstreamStats) {
        self.requests += stats.requests.get();
        for (sum, retries) in self.retries.iter_mut().zip(&stats.retries) {
            *sum += retries.get();
        }
        self.over_budget += stats.over_budget.get();
        self.hedges += stats.hedges.get();
        self.hedges_won += stats.hedges_won.get();
        self.fallbacks += stats.fallbacks.get();
        self.mirrored += stats.mirrored.get();
        self.unmirrored += stats.unmirrored.get();
        self.connects += stats.connects.get();
        for (sum, failures) in self.failures.iter_mut().zip(&stats.failures) {
            *sum += failures.get();
        }
        self.duration.add(&stats.duration);
    }
}

/// One worker's numbers of one listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerStats {
    opened: Counter,
    closed: Counter,
    refused: Counter,
    upgraded: Counter,
    tunnels_closed: Counter,
    handshakes: [Counter; Handshake::ALL.len()],
}

/// How a TLS handshake of a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// A new session.
    Full,
    /// An earlier session goes on.
    Resumed,
    /// No agreement, or none in time.
    Failed,
}

impl Handshake {
    /// All ends, in the order of their cells.
    pub const ALL: [Self; 3] = [Self::Full, Self::Resumed, Self::Failed];

    /// Value of the label `result`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
        }
    }
}

impl ListenerStats {
    /// A connection has gone over to another protocol.
    pub fn upgraded(&self) {
        self.upgraded.add(1);
    }

    /// Such a connection ended.
    pub fn tunnel_closed(&self) {
        self.tunnels_closed.add(1);
    }

    /// A connection was accepted.
    pub fn opened(&self) {
        self.opened.add(1);
    }

    /// An accepted connection ended.
    pub fn closed(&self) {
        self.closed.add(1);
    }

    /// A connection was closed at once, for a limit on connections; it is not `opened`.
    pub fn refused(&self) {
        self.refused.add(1);
    }

    /// A TLS handshake ended. One that failed was a connection that was refused.
    pub fn handshake(&self, handshake: Handshake) {
        if handshake == Handshake::Failed {
            self.refused.add(1);
        }
        if let Some(counter) = self.handshakes.get(handshake as usize) {
            counter.add(1);
        }
    }
}

/// All workers' numbers of one listener.
#[derive(Debug, Default)]
pub(super) struct ListenerSum {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) refused: u64,
    pub(super) upgraded: u64,
    pub(super) tunnels_closed: u64,
    pub(super) handshakes: [u64; Handshake::ALL.len()],
}

impl ListenerSum {
    pub(super) fn add(&mut self, stats: &ListenerStats) {
        // `closed` first: a connection that opens and closes between the two reads must not make the sum negative.
        self.closed += stats.closed.get();
        self.opened += stats.opened.get();
        self.refused += stats.refused.get();
        self.tunnels_closed += stats.tunnels_closed.get();
        self.upgraded += stats.upgraded.get();
        for (sum, handshakes) in self.handshakes.iter_mut().zip(&stats.handshakes) {
            *sum += handshakes.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_counted_in_its_class() {
        let stats = RouteStats::default();
        for status in [204, 299, 404, 0, 999] {
            stats.record(&Finished {
                status,
                took: Duration::from_millis(1),
                bytes_in: 10,
                bytes_out: 20,
                end: if status == 0 { End::Aborted } else { End::Complete },
            });
        }
        let mut sum = RouteSum::default();
        sum.add(&stats);
        sum.add(&RouteStats::default());
        assert_eq!(sum.classes, [0, 2, 0, 1, 0]);
        assert_eq!((sum.bytes_in, sum.bytes_out, sum.aborted), (50, 100, 1));
        assert_eq!(sum.duration.buckets[0], 5);
    }

    #[test]
    fn an_unused_route_is_small() {
        assert!(size_of::<RouteStats>() <= 16);
    }

    #[test]
    fn failure_kinds_are_in_the_order_of_their_cells() {
        for (at, kind) in UpstreamFailure::ALL.into_iter().enumerate() {
            assert_eq!(at, kind as usize);
        }
        for (at, kind) in Handshake::ALL.into_iter().enumerate() {
            assert_eq!(at, kind as usize);
        }
        for (at, reason) in RetryReason::ALL.into_iter().enumerate() {
            assert_eq!(at, reason as usize);
        }
    }
}
