//! What is counted of a store that gateways share: commands by outcome, their times, connections.
//!
//! It knows a store by its name; not what is kept there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::telemetry::cell::{Counter, Histogram, HistogramSum};

/// Why a command had no answer that is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFailure {
    /// There was no connection.
    Disconnected,
    /// The connection broke while the command was under way.
    Broken,
    /// It took too long.
    Timeout,
    /// Too many were under way.
    Busy,
    /// The store refused it.
    Refused,
}

impl StoreFailure {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Disconnected,
        Self::Broken,
        Self::Timeout,
        Self::Busy,
        Self::Refused,
    ];

    /// As the label says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Refused => "refused",
        }
    }
}

/// The numbers of one store.
#[derive(Debug, Default)]
pub struct StoreStats {
    answered: Counter,
    failures: [Counter; StoreFailure::ALL.len()],
    duration: Histogram,
    connects: Counter,
    disconnects: Counter,
    /// Whether the log says that the store cannot be reached.
    told: AtomicBool,
}

impl StoreStats {
    /// A command was answered.
    pub fn answered(&self, took: Duration) {
        self.answered.add(1);
        self.duration.observe(took);
    }

    /// A command failed.
    pub fn failed(&self, failure: StoreFailure) {
        if let Some(counter) = self.failures.get(failure as usize) {
            counter.add(1);
        }
    }

    /// A worker is connected. Whether this ends an outage that the log knows of.
    pub fn connected(&self) -> bool {
        self.connects.add(1);
        self.told.swap(false, Ordering::Relaxed)
    }

    /// A worker's connection is no more.
    pub fn disconnected(&self) {
        self.disconnects.add(1);
    }

    /// The store cannot be reached. Whether the log is yet to be told.
    pub fn unreachable(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

/// Sum of the numbers of one store.
#[derive(Debug, Default)]
pub(super) struct StoreSum {
    pub(super) answered: u64,
    pub(super) failures: [u64; StoreFailure::ALL.len()],
    pub(super) duration: HistogramSum,
    pub(super) connects: u64,
    pub(super) connected: u64,
}

impl StoreSum {
    pub(super) fn add(&mut self, stats: &StoreStats) {
        self.answered += stats.answered.get();
        for (sum, counter) in self.failures.iter_mut().zip(&stats.failures) {
            *sum += counter.get();
        }
        self.duration.add(&stats.duration);
        // In this order: a connection is never counted as closed before it is counted as open.
        let closed = stats.disconnects.get();
        let opened = stats.connects.get();
        self.connects += opened;
        self.connected += opened.saturating_sub(closed);
    }
}
