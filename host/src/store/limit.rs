//! The arithmetic of rate limits: a quota, the state of one key, and the verdict on one request.
//!
//! It knows neither keys nor locks. Times are nanoseconds of one monotonic clock; all arithmetic is exact integer
//! arithmetic, so that no rounding lets one cell more or less pass.

use thiserror::Error;

use crate::clock::ms_to_ns;

/// Retry-after of a cost that no waiting makes fit: it is larger than the quota ever holds, or the limit is 0.
pub const NEVER_MS: u64 = u64::MAX;

/// Longest period: ten years. It keeps the arithmetic within 128 bits.
pub const MAX_PERIOD_MS: u64 = 3_652 * 86_400_000;

/// Why a quota cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuotaError {
    /// The option `algorithm` has a value that is none of the three.
    #[error("unknown algorithm `{0}` (known: gcra, sliding-window, fixed-window)")]
    UnknownAlgorithm(String),
    /// The period is 0 or longer than [`MAX_PERIOD_MS`].
    #[error("period of {0} ms is not between 1 and {MAX_PERIOD_MS}")]
    Period(u64),
}

/// How cells come back.
///
/// With `limit` L, `period` P and `burst` B (0 = L):
///
/// * **GCRA**: the generic cell rate algorithm of ITU-T I.371 (2004), annex A, in its continuous-state leaky bucket
///   form, which admits exactly what its virtual scheduling form does. A bucket drains by L cells in P, evenly; a
///   cost c fits if level + c <= B. So B cells fit at once, then one more every P/L.
/// * **Fixed window**: L cells from the first take of a key until P later; the next window begins with the next take
///   after that. B has no meaning. Up to 2 L can pass around a window's end.
/// * **Sliding window**: two such windows back to back, the one before weighted by the part of it that the last P
///   still covers: previous x (P - elapsed) / P + current + c <= L. An approximation: it takes the cells of the window
///   before as spread evenly. B has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// `gcra`
    #[default]
    Gcra,
    /// `fixed-window`
    FixedWindow,
    /// `sliding-window`
    SlidingWindow,
}

impl Algorithm {
    /// The algorithm that the option `algorithm` names; GCRA when the option is missing.
    ///
    /// # Errors
    /// `UnknownAlgorithm` for another name. Options with other keys are ignored.
    pub fn from_options(options: &[(String, String)]) -> Result<Self, QuotaError> {
        match options
            .iter()
            .find(|(key, _)| key == "algorithm")
            .map(|(_, value)| value.as_str())
        {
            None | Some("gcra") => Ok(Self::Gcra),
            Some("fixed-window") => Ok(Self::FixedWindow),
            Some("sliding-window") => Ok(Self::SlidingWindow),
            Some(other) => Err(QuotaError::UnknownAlgorithm(other.to_owned())),
        }
    }
}

/// How much of something is allowed in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    limit: u64,
    period_ns: u64,
    capacity: u64,
    algorithm: Algorithm,
}

impl Quota {
    /// `limit` cells per `period_ms`; for GCRA at most `burst` at once (0 = `limit`). A limit of 0 allows nothing.
    ///
    /// # Errors
    /// `Period` when the period is 0 or above [`MAX_PERIOD_MS`].
    pub fn new(limit: u64, period_ms: u64, burst: u64, algorithm: Algorithm) -> Result<Self, QuotaError> {
        if !(1..=MAX_PERIOD_MS).contains(&period_ms) {
            return Err(QuotaError::Period(period_ms));
        }
        let capacity = match algorithm {
            _ if limit == 0 => 0,
            Algorithm::Gcra if burst > 0 => burst,
            _ => limit,
        };
        Ok(Self {
            limit,
            period_ns: ms_to_ns(period_ms),
            capacity,
            algorithm,
        })
    }

    /// Cells that fit when nothing has been taken.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Cells per period.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// The period in microseconds.
    #[must_use]
    pub const fn period_us(&self) -> u64 {
        self.period_ns / 1_000
    }

    /// How cells come back.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn period(&self) -> u128 {
        u128::from(self.period_ns)
    }
}

/// The answer to one take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Whether the cells were given (for cost 0: whether one would be).
    pub allowed: bool,
    /// Whole cells that could be taken now, after this take.
    pub remaining: u64,
    /// 0 when allowed; else after so many milliseconds (rounded up) the same take succeeds if nobody else takes
    /// meanwhile; [`NEVER_MS`] if it never can.
    pub retry_after_ms: u64,
    /// After so many milliseconds (rounded up) the quota is whole again if nobody takes meanwhile.
    pub reset_after_ms: u64,
}

/// What has been taken of one key's quota.
///
/// It survives a change of the quota: GCRA keeps the cells in the bucket (at most the new capacity), windows keep
/// their beginning and their cells. A change of the algorithm begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// `filled` is in cells times `period_ns`, so that the drain per nanosecond is the whole number `limit`.
    Bucket {
        filled: u128,
        period_ns: u64,
        at_ns: u64,
    },
    Window {
        start_ns: u64,
        used: u64,
    },
    TwoWindows {
        start_ns: u64,
        previous: u64,
        current: u64,
    },
}

impl Default for Level {
    fn default() -> Self {
        Self::Bucket {
            filled: 0,
            period_ns: 1,
            at_ns: 0,
        }
    }
}

impl Level {
    /// Takes `cost` cells or none; cost 0 only brings the state up to `now_ns`.
    pub(super) fn take(&mut self, now_ns: u64, quota: &Quota, cost: u64) -> Verdict {
        *self = self.at(now_ns, quota);
        let asked = cost.max(1);
        let wait_ns = self.wait_ns(now_ns, quota, asked);
        let allowed = wait_ns == Some(0);
        if allowed && cost > 0 {
            self.fill(quota, cost);
        }
        Verdict {
            allowed,
            remaining: self.remaining(now_ns, quota),
            retry_after_ms: wait_ns.map_or(NEVER_MS, ms_rounded_up),
            reset_after_ms: ms_rounded_up(u128::from(self.whole_at_ns(quota).saturating_sub(now_ns))),
        }
    }

    /// Gives `cost` cells back, not below empty; of windows only what the current one holds.
    pub(super) fn give_back(&mut self, now_ns: u64, quota: &Quota, cost: u64) {
        *self = self.at(now_ns, quota);
        match self {
            Self::Bucket { filled, .. } => *filled = filled.saturating_sub(u128::from(cost) * quota.period()),
            Self::Window { used, .. } => *used = used.saturating_sub(cost),
            Self::TwoWindows { current, .. } => *current = current.saturating_sub(cost),
        }
    }

    /// When nothing is left of what was taken, so that the state may be forgotten.
    pub(super) fn whole_at_ns(&self, quota: &Quota) -> u64 {
        let (from_ns, after_ns) = match *self {
            Self::Bucket { filled: 0, at_ns, .. } => (at_ns, 0),
            Self::Bucket { filled, at_ns, .. } => (at_ns, filled.div_ceil(u128::from(quota.limit.max(1)))),
            Self::Window { start_ns, used } => (start_ns, if used > 0 { quota.period() } else { 0 }),
            Self::TwoWindows {
                start_ns,
                current: 1..,
                ..
            } => (start_ns, 2 * quota.period()),
            Self::TwoWindows {
                start_ns,
                previous: 1..,
                ..
            } => (start_ns, quota.period()),
            Self::TwoWindows { start_ns, .. } => (start_ns, 0),
        };
        from_ns.saturating_add(u64::try_from(after_ns).unwrap_or(u64::MAX))
    }

    /// The state as it is at `now_ns` under this quota. A time before the state's own counts as the state's own.
    fn at(self, now_ns: u64, quota: &Quota) -> Self {
        match (quota.algorithm, self) {
            (
                Algorithm::Gcra,
                Self::Bucket {
                    filled,
                    period_ns,
                    at_ns,
                },
            ) => {
                let most = u128::from(quota.capacity) * quota.period();
                let filled = rescale(filled, u128::from(period_ns.max(1)), quota.period()).min(most);
                let drained =
                    u128::from(now_ns.saturating_sub(at_ns)).saturating_mul(u128::from(quota.limit));
                Self::Bucket {
                    filled: filled.saturating_sub(drained),
                    period_ns: quota.period_ns,
                    at_ns: at_ns.max(now_ns),
                }
            }
            (Algorithm::FixedWindow, Self::Window { start_ns, used: 1.. })
                if now_ns.saturating_sub(start_ns) < quota.period_ns =>
            {
                self
            }
            (
                Algorithm::SlidingWindow,
                Self::TwoWindows {
                    start_ns,
                    previous,
                    current,
                },
            ) if previous > 0 || current > 0 => match now_ns.saturating_sub(start_ns) / quota.period_ns {
                0 => self,
                1 if current > 0 => Self::TwoWindows {
                    start_ns: start_ns.saturating_add(quota.period_ns),
                    previous: current,
                    current: 0,
                },
                _ => Self::TwoWindows {
                    start_ns: now_ns,
                    previous: 0,
                    current: 0,
                },
            },
            (Algorithm::Gcra, _) => Self::Bucket {
                filled: 0,
                period_ns: quota.period_ns,
                at_ns: now_ns,
            },
            (Algorithm::FixedWindow, _) => Self::Window {
                start_ns: now_ns,
                used: 0,
            },
            (Algorithm::SlidingWindow, _) => Self::TwoWindows {
                start_ns: now_ns,
                previous: 0,
                current: 0,
            },
        }
    }

    /// How long until `cost` fits; 0 = it fits now, none = never.
    fn wait_ns(&self, now_ns: u64, quota: &Quota, cost: u64) -> Option<u128> {
        if cost > quota.capacity {
            return None;
        }
        let period = quota.period();
        let cost = u128::from(cost);
        let limit = u128::from(quota.limit);
        match *self {
            Self::Bucket { filled, at_ns, .. } => {
                let most = u128::from(quota.capacity) * period;
                let excess = (filled + cost * period).saturating_sub(most);
                let drain_ns = excess.div_ceil(limit.max(1));
                // Time already gone back to before `at_ns` must pass again, but not for what fits.
                let behind = if drain_ns > 0 {
                    u128::from(at_ns.saturating_sub(now_ns))
                } else {
                    0
                };
                Some(drain_ns + behind)
            }
            Self::Window { used, .. } if u128::from(used) + cost <= limit => Some(0),
            Self::Window { start_ns, .. } => Some(u128::from(until(now_ns, start_ns, quota.period_ns))),
            Self::TwoWindows {
                start_ns,
                previous,
                current,
            } => {
                let (previous, current) = (u128::from(previous), u128::from(current));
                let elapsed = u128::from(now_ns.saturating_sub(start_ns));
                match limit.checked_sub(current + cost) {
                    Some(room) => Some(fits_at(previous, room, period).saturating_sub(elapsed)),
                    None => {
                        let rest = u128::from(until(now_ns, start_ns, quota.period_ns));
                        Some(rest + fits_at(current, limit - cost, period))
                    }
                }
            }
        }
    }

    /// Adds cells that were found to fit.
    fn fill(&mut self, quota: &Quota, cost: u64) {
        match self {
            Self::Bucket { filled, .. } => *filled += u128::from(cost) * quota.period(),
            Self::Window { used, .. } => *used = used.saturating_add(cost),
            Self::TwoWindows { current, .. } => *current = current.saturating_add(cost),
        }
    }

    fn remaining(&self, now_ns: u64, quota: &Quota) -> u64 {
        let period = quota.period();
        let most = u128::from(quota.capacity) * period;
        let taken = match *self {
            Self::Bucket { filled, .. } => filled,
            Self::Window { used, .. } => u128::from(used) * period,
            Self::TwoWindows {
                start_ns,
                previous,
                current,
            } => {
                let covered = period.saturating_sub(u128::from(now_ns.saturating_sub(start_ns)));
                u128::from(previous) * covered + u128::from(current) * period
            }
        };
        u64::try_from(most.saturating_sub(taken) / period).unwrap_or(u64::MAX)
    }
}

/// Elapsed part of a window from which on the weighted `previous` leaves `room`: the least e of 0..=period with
/// previous x (period - e) <= room x period.
fn fits_at(previous: u128, room: u128, period: u128) -> u128 {
    match (room * period).checked_div(previous) {
        Some(covered) => period.saturating_sub(covered),
        None => 0,
    }
}

/// Time until the window that began at `start_ns` is over.
fn until(now_ns: u64, start_ns: u64, period_ns: u64) -> u64 {
    start_ns.saturating_add(period_ns).saturating_sub(now_ns)
}

/// `filled` in units of another period, rounded down, without leaving 128 bits.
fn rescale(filled: u128, from: u128, to: u128) -> u128 {
    if from == to {
        return filled;
    }
    (filled / from)
        .saturating_mul(to)
        .saturating_add(filled % from * to / from)
}

fn ms_rounded_up(ns: u128) -> u64 {
    u64::try_from(ns.div_ceil(1_000_000)).unwrap_or(NEVER_MS)
}

#[cfg(test)]
mod tests;
