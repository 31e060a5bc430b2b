//! What the whole process knows of one endpoint: how many exchanges use it, and why it may not be chosen at the moment.
//! It refuses to know connections, other endpoints, and who judged it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::balance::{Peak, Policy, hash};
use super::care::Ward;
use super::settings::Endpoint;
use crate::clock;

/// Why an endpoint may not be chosen. Each is set and cleared by one judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Its health checks fail.
    Unhealthy,
    /// It failed too often, and sits out.
    Ejected,
    /// Its circuit breaker is open.
    Open,
}

impl Mark {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unhealthy, Self::Ejected, Self::Open];

    const fn bit(self) -> u32 {
        match self {
            Self::Unhealthy => 1,
            Self::Ejected => 2,
            Self::Open => 4,
        }
    }

    /// The word for status and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Open => "open",
        }
    }
}

/// One endpoint for all workers. It lives as long as an upstream lists its address, reloads included.
#[derive(Debug)]
pub struct Member {
    endpoint: Endpoint,
    address: Option<SocketAddr>,
    label: Arc<str>,
    id: u64,
    peak: Peak,
    ward: Ward,
    marks: AtomicU32,
    in_flight: AtomicUsize,
    since_ns: AtomicU64,
}

impl Member {
    /// An endpoint that nothing is known of. `address` is what its name was resolved to; a name without one is resolved at
    /// every connect.
    #[must_use]
    pub fn new(endpoint: Endpoint, address: Option<SocketAddr>) -> Self {
        let own = || {
            Some(SocketAddr::new(
                endpoint.bare_host().parse::<IpAddr>().ok()?,
                endpoint.port,
            ))
        };
        let label = address.map_or_else(|| endpoint.to_string(), |address| address.to_string());
        Self {
            address: address.or_else(own),
            id: hash(label.as_bytes()),
            label: label.into(),
            peak: Peak::default(),
            ward: Ward::default(),
            endpoint,
            marks: AtomicU32::new(0),
            in_flight: AtomicUsize::new(0),
            since_ns: AtomicU64::new(0),
        }
    }

    /// Host and port as they were listed.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where to connect to, if that is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// `host:port` for people; with the address where a name was resolved.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// A number for its label, the same in every gateway.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What one more exchange has to expect, in nanoseconds; 0 where nobody measures.
    pub(super) fn cost(&self, now_ns: u64, policy: Policy) -> f64 {
        let Policy::PeakEwma(decay) = policy else {
            return 0.0;
        };
        let in_flight = u32::try_from(self.in_flight()).unwrap_or(u32::MAX);
        self.peak.cost(f64::from(in_flight), now_ns, decay)
    }

    /// The time to the head of its answers; none where nobody measures, and before the first.
    pub(super) fn latency(&self, now_ns: u64, policy: Policy) -> Option<Duration> {
        self.peak.average(now_ns, policy.decay()?)
    }

    /// An exchange took this long to its head.
    pub(super) fn took(&self, took: Duration, policy: Policy) {
        if let Some(decay) = policy.decay() {
            self.peak.observe(took, clock::monotonic_ns(), decay);
        }
    }

    /// What its judges know of it.
    #[must_use]
    pub fn ward(&self) -> &Ward {
        &self.ward
    }

    /// Whether nothing speaks against choosing it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.marks.load(Ordering::Relaxed) == 0
    }

    /// What speaks against choosing it.
    pub fn marks(&self) -> impl Iterator<Item = Mark> {
        let marks = self.marks.load(Ordering::Relaxed);
        Mark::ALL.into_iter().filter(move |mark| marks & mark.bit() != 0)
    }

    /// Exchanges that use it in all workers; 0 where nobody counts them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// When it began to be chosen, last, by [`clock::monotonic_ns`]; 0 if that was with the upstream's first list.
    #[must_use]
    pub fn since_ns(&self) -> u64 {
        self.since_ns.load(Ordering::Relaxed)
    }

    /// Begins its slow start now.
    pub(super) fn begin_slowly(&self) {
        self.since_ns.store(clock::monotonic_ns(), Ordering::Relaxed);
    }

    /// Sets a mark; whether it was not set before. [`Shared::mark`](super::Shared::mark) tells the clusters, too.
    pub(super) fn mark(&self, mark: Mark) -> bool {
        self.marks.fetch_or(mark.bit(), Ordering::Relaxed) & mark.bit() == 0
    }

    /// Clears a mark; whether it was set.
    pub(super) fn clear(&self, mark: Mark) -> bool {
        let before = self.marks.fetch_and(!mark.bit(), Ordering::Relaxed);
        if before == mark.bit() {
            self.begin_slowly();
        }
        before & mark.bit() != 0
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(host: &str) -> Member {
        let endpoint = Endpoint {
            host: host.to_owned(),
            port: 80,
        };
        Member::new(endpoint, None)
    }

    #[test]
    fn a_member_is_available_when_the_last_mark_is_cleared() {
        let member = member("127.0.0.1");
        assert!(member.mark(Mark::Unhealthy));
        assert!(!member.mark(Mark::Unhealthy));
        assert!(member.mark(Mark::Open));
        assert!(member.clear(Mark::Unhealthy));
        assert_eq!(member.since_ns(), 0);
        assert!(!member.is_available());
        assert_eq!(member.marks().collect::<Vec<_>>(), [Mark::Open]);
        assert!(member.clear(Mark::Open));
        assert!(member.is_available());
        assert!(!member.clear(Mark::Open));
        assert!(member.since_ns() > 0);
    }

    #[test]
    fn an_address_is_its_own_and_a_name_has_none_until_it_is_resolved() {
        assert_eq!(member("[::1]").address(), Some("[::1]:80".parse().unwrap()));
        let named = member("a.example");
        assert_eq!((named.address(), &**named.label()), (None, "a.example:80"));
        let found = Member::new(named.endpoint().clone(), Some("10.0.0.1:80".parse().unwrap()));
        assert_eq!(&**found.label(), "10.0.0.1:80");
    }
}
