//! The arithmetic of the fake limiters: the gateway's three algorithms, exact to the nanosecond. Knows no key.
//!
//! The rules are those of the gateway's own limiters, except that a key whose quota changes begins anew.

use std::time::Duration;

use super::Quota;
use crate::counters::{NEVER, Verdict};

/// The algorithms that [`super::take`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Gcra,
    FixedWindow,
    SlidingWindow,
}

/// A quota that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    algorithm: Algorithm,
    limit: u128,
    period_ns: u128,
    capacity: u64,
}

impl Checked {
    /// The quota, or what is wrong with it.
    pub(super) fn of(quota: &Quota) -> Result<Self, String> {
        let name = quota.options.iter().find(|(key, _)| key == "algorithm");
        let algorithm = match name.map(|(_, name)| name.as_str()) {
            None | Some("gcra") => Algorithm::Gcra,
            Some("fixed-window") => Algorithm::FixedWindow,
            Some("sliding-window") => Algorithm::SlidingWindow,
            Some(other) => return Err(format!("no algorithm is called `{other}`")),
        };
        if quota.period_ms == 0 {
            return Err("a quota has a period above zero".to_owned());
        }
        let capacity = match algorithm {
            _ if quota.limit == 0 => 0,
            Algorithm::Gcra if quota.burst > 0 => quota.burst,
            _ => quota.limit,
        };
        Ok(Self {
            algorithm,
            limit: u128::from(quota.limit),
            period_ns: u128::from(quota.period_ms) * 1_000_000,
            capacity,
        })
    }

    /// The whole quota, in cells times the period.
    fn most(&self) -> u128 {
        u128::from(self.capacity) * self.period_ns
    }
}

/// What was taken of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    quota: Checked,
    /// When `current` was true (GCRA), or when the window began.
    from_ns: u128,
    /// GCRA: what is in the bucket, in cells times the period. Windows: the cells of this one.
    current: u128,
    /// Sliding window: the cells of the window before.
    previous: u128,
}

impl Level {
    /// Nothing was taken.
    pub(super) fn new(quota: Checked, now_ns: u128) -> Self {
        Self {
            quota,
            from_ns: now_ns,
            current: 0,
            previous: 0,
        }
    }

    /// Takes `cost` cells or none; 0 only looks.
    pub(super) fn take(&mut self, now_ns: u128, quota: Checked, cost: u64) -> Verdict {
        self.bring_to(now_ns, quota);
        let wait_ns = self.wait_ns(now_ns, u128::from(cost.max(1)));
        let allowed = wait_ns == Some(0);
        if allowed {
            self.current += self.unit() * u128::from(cost);
        }
        let left = quota.most().saturating_sub(self.taken(now_ns)) / quota.period_ns;
        Verdict {
            allowed,
            remaining: u64::try_from(left).unwrap_or(u64::MAX),
            retry_after: wait_ns.map_or(NEVER, millis_up),
            reset_after: millis_up(self.whole_in_ns(now_ns)),
        }
    }

    /// Gives cells back, not below empty.
    pub(super) fn give_back(&mut self, now_ns: u128, quota: Checked, cost: u64) {
        self.bring_to(now_ns, quota);
        self.current = self.current.saturating_sub(self.unit() * u128::from(cost));
    }

    /// What one cell is in `current`.
    fn unit(&self) -> u128 {
        match self.quota.algorithm {
            Algorithm::Gcra => self.quota.period_ns,
            Algorithm::FixedWindow | Algorithm::SlidingWindow => 1,
        }
    }

    fn bring_to(&mut self, now_ns: u128, quota: Checked) {
        if self.quota != quota {
            *self = Self::new(quota, now_ns);
        }
        let elapsed = now_ns.saturating_sub(self.from_ns);
        match quota.algorithm {
            Algorithm::Gcra => {
                self.current = self.current.saturating_sub(elapsed * quota.limit);
                self.from_ns = now_ns;
            }
            Algorithm::FixedWindow if elapsed < quota.period_ns && self.current > 0 => {}
            Algorithm::SlidingWindow if self.current + self.previous > 0 => match elapsed / quota.period_ns {
                0 => {}
                1 if self.current > 0 => {
                    self.from_ns += quota.period_ns;
                    self.previous = self.current;
                    self.current = 0;
                }
                _ => *self = Self::new(quota, now_ns),
            },
            _ => *self = Self::new(quota, now_ns),
        }
    }

    /// How long until `cost` fits; none = never.
    fn wait_ns(&self, now_ns: u128, cost: u128) -> Option<u128> {
        let quota = &self.quota;
        if cost > u128::from(quota.capacity) {
            return None;
        }
        let elapsed = now_ns - self.from_ns;
        let over = quota.period_ns.saturating_sub(elapsed);
        Some(match quota.algorithm {
            Algorithm::Gcra => (self.current + cost * quota.period_ns)
                .saturating_sub(quota.most())
                .div_ceil(quota.limit),
            Algorithm::FixedWindow if self.current + cost <= quota.limit => 0,
            Algorithm::FixedWindow => over,
            Algorithm::SlidingWindow => match quota.limit.checked_sub(self.current + cost) {
                Some(room) => self.fits_at(self.previous, room).saturating_sub(elapsed),
                None => over + self.fits_at(self.current, quota.limit - cost),
            },
        })
    }

    /// The part of a window after which the `before` of the one before leaves `room`.
    fn fits_at(&self, before: u128, room: u128) -> u128 {
        let period = self.quota.period_ns;
        (room * period)
            .checked_div(before)
            .map_or(0, |covered| period.saturating_sub(covered))
    }

    /// What counts as taken, in cells times the period.
    fn taken(&self, now_ns: u128) -> u128 {
        let period = self.quota.period_ns;
        match self.quota.algorithm {
            Algorithm::Gcra => self.current,
            Algorithm::FixedWindow => self.current * period,
            Algorithm::SlidingWindow => {
                self.previous * period.saturating_sub(now_ns - self.from_ns) + self.current * period
            }
        }
    }

    /// How long until nothing counts as taken.
    fn whole_in_ns(&self, now_ns: u128) -> u128 {
        let quota = &self.quota;
        let after = match quota.algorithm {
            Algorithm::Gcra => self.current.div_ceil(quota.limit.max(1)),
            _ if self.current + self.previous == 0 => 0,
            Algorithm::SlidingWindow if self.current > 0 => 2 * quota.period_ns,
            Algorithm::FixedWindow | Algorithm::SlidingWindow => quota.period_ns,
        };
        (self.from_ns + after).saturating_sub(now_ns)
    }
}

fn millis_up(ns: u128) -> Duration {
    Duration::from_millis(u64::try_from(ns.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}
