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
    /// Whoever sends the exchange picks one ([`Picker`](super::Picker)), and is shown at most so many; in turn, by weight, where
    /// nobody does.
    Picked(usize),
}

/// How fast a slow answer is forgotten where the time is only shown.
const SHOWN_DECAY: Duration = Duration::from_secs(10);

impl Policy {
    /// Whether it needs to know what is in flight or how long exchanges take.
    #[must_use]
    pub const fn watches(self) -> bool {
        matches!(self, Self::LeastRequest | Self::PeakEwma(_) | Self::Picked(_))
    }

    /// How fast a slow answer is forgotten; none where nobody measures how long answers take.
    #[must_use]
    pub const fn decay(self) -> Option<Duration> {
        match self {
            Self::PeakEwma(decay) => Some(decay),
            Self::Picked(_) => Some(SHOWN_DECAY),
            _ => None,
        }
    }

    /// Whether a key decides.
    #[must_use]
    pub const fn wants_key(self) -> bool {
        matches!(self, Self::RingHash | Self::Maglev)
    }
}

#[cfg(test)]
mod tests;
