//! Which of the endpoints that may be chosen comes next: one file for each policy, all of them pure. It refuses to know
//! connections, clocks, and why an endpoint may not be chosen.

mod chooser;
mod dice;
mod edf;
mod hash;
mod maglev;
mod peak;
mod ring;
mod slow;
mod smooth;
mod table;
mod two;

pub use hash::{hash, mix};
pub use slow::SlowStart;

pub(super) use chooser::{Chooser, Field};
pub(super) use dice::Dice;
pub(super) use peak::Peak;
pub(super) use table::Table;

use std::time::Duration;

/// How endpoints are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// At random, by weight.
    Random,
    /// The one of two that has fewer exchanges in flight.
    LeastRequest,
    /// The one of two that is likely to answer sooner. The time is how fast a slow answer is forgotten.
    PeakEwma(Duration),
    /// By a key: the next point on a ring.
    RingHash,
    /// By a key: an entry of a table.
    Maglev,
}

impl Policy {
    /// Whether it needs to know what is in flight or how long exchanges take.
    #[must_use]
    pub const fn watches(self) -> bool {
        matches!(self, Self::LeastRequest | Self::PeakEwma(_))
    }

    /// Whether a key decides.
    #[must_use]
    pub const fn wants_key(self) -> bool {
        matches!(self, Self::RingHash | Self::Maglev)
    }
}

#[cfg(test)]
mod tests;
