//! What is counted per plugin entry: calls, time, faults and instances; each worker has its own set of cells.
//!
//! It knows hooks and kinds of faults by name; not what a plugin is, nor what follows from a fault.

use std::sync::OnceLock;
use std::time::Duration;

use crate::telemetry::cell::Counter;

/// The calls that a plugin can get, as metrics and logs name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `plugin.configure`
    Configure,
    /// `router.route`
    Router,
    /// `on-request.handle`
    OnRequest,
    /// `on-request-body.handle`
    OnRequestBody,
    /// `on-response.handle`
    OnResponse,
    /// `on-response-body.handle`
    OnResponseBody,
    /// All calls of `body-filter`
    BodyFilter,
    /// `on-error.handle`
    OnError,
    /// `on-finish.handle`
    OnFinish,
    /// `balancer.pick`
    Balancer,
    /// `responder.handle`
    Responder,
    /// `on-tick.handle`
    OnTick,
}

impl Hook {
    /// All hooks, in the order of their cells.
    pub const ALL: [Self; 12] = [
        Self::Configure,
        Self::Router,
        Self::OnRequest,
        Self::OnRequestBody,
        Self::OnResponse,
        Self::OnResponseBody,
        Self::BodyFilter,
        Self::OnError,
        Self::OnFinish,
        Self::Balancer,
        Self::Responder,
        Self::OnTick,
    ];

    /// Value of the label `hook`: the name in the WIT contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Router => "router",
            Self::OnRequest => "on-request",
            Self::OnRequestBody => "on-request-body",
            Self::OnResponse => "on-response",
            Self::OnResponseBody => "on-response-body",
            Self::BodyFilter => "body-filter",
            Self::OnError => "on-error",
            Self::OnFinish => "on-finish",
            Self::Balancer => "balancer",
            Self::Responder => "responder",
            Self::OnTick => "on-tick",
        }
    }
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// A trap of the guest's own: unreachable, out of bounds.
    Trap,
    /// The guest's own panic or uncaught exception.
    Panic,
    /// The guest's stack overflowed.
    Stack,
    /// The guest called `exit`.
    Exit,
    /// A host function ended it: one that may not be called here, or not so.
    Refused,
    /// The CPU time is used up.
    Cpu,
    /// The wall-clock time is over, waiting included.
    Timeout,
    /// The memory cap is reached.
    Memory,
    /// An answer that breaks the contract.
    BadAnswer,
    /// No instance could be made or configured.
    Start,
    /// The host's own fault.
    Internal,
}

impl FaultKind {
    /// All kinds, in the order of their cells.
    pub const ALL: [Self; 11] = [
        Self::Trap,
        Self::Panic,
        Self::Stack,
        Self::Exit,
        Self::Refused,
        Self::Cpu,
        Self::Timeout,
        Self::Memory,
        Self::BadAnswer,
        Self::Start,
        Self::Internal,
    ];

    /// Value of the label `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Panic => "panic",
            Self::Stack => "stack",
            Self::Exit => "exit",
            Self::Refused => "refused",
            Self::Cpu => "cpu",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::BadAnswer => "bad-answer",
            Self::Start => "start",
            Self::Internal => "internal",
        }
    }
}

/// Which version of an entry answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PluginState {
    /// The one that the configuration names.
    Active,
    /// The last good one, for the one that the configuration names was rejected.
    LastGood,
    /// None: routes that use it answer 503.
    Unavailable,
    /// None for now, after too many faults: its fault policy applies without a call.
    Open,
}

impl PluginState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Active, Self::LastGood, Self::Unavailable, Self::Open];

    /// Value of the label `state`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::LastGood => "last-good",
            Self::Unavailable => "unavailable",
            Self::Open => "open",
        }
    }
}

const HOOKS: usize = Hook::ALL.len();
const KINDS: usize = FaultKind::ALL.len();

/// One worker's numbers of one plugin entry. Faults are counted by `events::PluginFault` alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PluginStats {
    calls: [Counter; HOOKS],
    time_ns: [Counter; HOOKS],
    faults: OnceLock<Box<[[Counter; KINDS]; HOOKS]>>,
    skipped: Counter,
    rejected: Counter,
    unknown_routes: Counter,
    created: Counter,
    ended: Counter,
}

impl PluginStats {
    /// A hook was called and came back, or failed, after `took`.
    pub fn call(&self, hook: Hook, took: Duration) {
        if let (Some(calls), Some(time_ns)) = (self.calls.get(hook as usize), self.time_ns.get(hook as usize))
        {
            calls.add(1);
            time_ns.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// An exchange went on without this plugin (`on-fault = "skip"`).
    pub fn skipped(&self) {
        self.skipped.add(1);
    }

    /// An exchange was answered 503 because of this plugin (`on-fault = "reject"`, or no version of it to call).
    pub fn rejected(&self) {
        self.rejected.add(1);
    }

    /// It named a route, as a router, that its listener does not have.
    pub fn unknown_route(&self) {
        self.unknown_routes.add(1);
    }

    /// An instance was made.
    pub fn instance_created(&self) {
        self.created.add(1);
    }

    /// An instance was dropped.
    pub fn instance_ended(&self) {
        self.ended.add(1);
    }

    pub(super) fn fault(&self, hook: Hook, kind: FaultKind) {
        let faults = self.faults.get_or_init(Box::default);
        if let Some(counter) = faults
            .get(hook as usize)
            .and_then(|kinds| kinds.get(kind as usize))
        {
            counter.add(1);
        }
    }
}

/// All workers' numbers of one plugin entry.
#[derive(Debug, Default)]
pub(super) struct PluginSum {
    pub(super) calls: [u64; HOOKS],
    pub(super) time_ns: [u64; HOOKS],
    pub(super) faults: [[u64; KINDS]; HOOKS],
    pub(super) skipped: u64,
    pub(super) rejected: u64,
    pub(super) unknown_routes: u64,
    pub(super) created: u64,
    pub(super) ended: u64,
}

impl PluginSum {
    pub(super) fn add(&mut self, stats: &PluginStats) {
        for (sum, calls) in self.calls.iter_mut().zip(&stats.calls) {
            *sum += calls.get();
        }
        for (sum, time_ns) in self.time_ns.iter_mut().zip(&stats.time_ns) {
            *sum += time_ns.get();
        }
        if let Some(faults) = stats.faults.get() {
            let sums = self.faults.iter_mut().flatten();
            for (sum, faults) in sums.zip(faults.iter().flatten()) {
                *sum += faults.get();
            }
        }
        self.skipped += stats.skipped.get();
        self.rejected += stats.rejected.get();
        self.unknown_routes += stats.unknown_routes.get();
        // `ended` first: an instance that comes and goes between the two reads must not make the sum negative.
        self.ended += stats.ended.get();
        self.created += stats.created.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_in_the_order_of_the_lists() {
        for (at, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(at, hook as usize);
        }
        for (at, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(at, kind as usize);
        }
    }

    #[test]
    fn workers_are_summed() {
        let (a, b) = (PluginStats::default(), PluginStats::default());
        a.call(Hook::OnRequest, Duration::from_micros(2));
        b.call(Hook::OnRequest, Duration::from_micros(3));
        b.call(Hook::OnError, Duration::from_micros(4));
        b.fault(Hook::OnError, FaultKind::Memory);
        let mut sum = PluginSum::default();
        sum.add(&a);
        sum.add(&b);
        assert_eq!((sum.calls[2], sum.time_ns[2]), (2, 5_000));
        assert_eq!(sum.faults[Hook::OnError as usize][FaultKind::Memory as usize], 1);
    }
}
