//! Cells that are taken before they are there: the request that takes them waits until they are. Knows no key and no
//! request.
//!
//! A cell is reserved by a take from a bucket that is larger than the burst by what drains from it in the longest
//! wait; the request waits until the bucket would hold no more than the burst. With L cells per period P, burst B and
//! the level F after the take, that is (F - B) x P / L. Requests go on in the order in which they took, each no
//! earlier than GCRA with burst B admits it at that moment: with the virtual scheduling of ITU-T I.371 (2004), annex A,
//! the wait ends at the theoretical arrival time less the tolerance, which is when the request conforms. So what goes on
//! in any time t is at most B + L x t / P, as without waiting, to the millisecond in which waits are counted.

use std::time::Duration;

use portcullis::Problem;
use portcullis::counters::{NEVER, Quota, Verdict};

use crate::rule::{Allowed, Finding, Left, Refused};
use crate::source::Purse;
use crate::time::{is_within, millis};

/// Longest wait that can be configured; the exchange's deadline is what holds in practice.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

/// A quota of GCRA from which cells can be taken ahead of their time.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// With a burst of `extra` cells more.
    quota: Quota,
    extra: u64,
    limit: u64,
    period_ms: u64,
    /// What a full burst takes to drain, rounded down.
    burst_ms: u64,
    max_ms: u64,
}

impl Ahead {
    /// `limit` cells per `period`, `burst` at once, and more for those who wait at most `max` for them.
    ///
    /// # Errors
    /// When `max` is no sensible wait.
    pub(crate) fn new(limit: u64, period: Duration, burst: u64, max: Duration) -> Result<Self, String> {
        if !is_within(max, MAX_WAIT) {
            return Err("`delay.max` is not a number of whole milliseconds between 1ms and 1h".to_owned());
        }
        let (period_ms, max_ms) = (millis(period), millis(max));
        let drained = (u128::from(max_ms) * u128::from(limit)).div_ceil(u128::from(period_ms.max(1)));
        let extra = u64::try_from(drained).unwrap_or(u64::MAX).min(u64::MAX - burst);
        let mut ahead = Self {
            quota: Quota::new(limit, period).burst(burst + extra),
            extra,
            limit,
            period_ms,
            burst_ms: 0,
            max_ms,
        };
        ahead.burst_ms = ahead.drain_ms(burst);
        Ok(ahead)
    }

    /// What to take from.
    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// What the verdict on `cost` cells means, some of which may be there only after a wait. Gives them back to `purse` when
    /// that is too long.
    pub(crate) fn judge(
        &self,
        verdict: Verdict,
        key: &str,
        cost: u64,
        purse: Purse,
    ) -> Result<Finding, Problem> {
        let remaining = verdict.remaining.saturating_sub(self.extra);
        let left = Left {
            remaining,
            reset: verdict.reset_after,
        };
        if !verdict.allowed {
            let later = Duration::from_millis(self.drain_ms(self.extra).saturating_add(1));
            let retry = Some(verdict.retry_after).filter(|retry| *retry != NEVER);
            return Ok(Finding::Refused(Refused {
                left: Some(left),
                retry: retry.map(|retry| retry.saturating_add(later)),
            }));
        }
        let wait_ms = if verdict.remaining >= self.extra {
            0
        } else {
            millis(verdict.reset_after).saturating_sub(self.burst_ms)
        };
        let wait = Duration::from_millis(wait_ms);
        if wait_ms <= self.max_ms {
            return Ok(Finding::Allowed(Allowed {
                left: Some(left),
                wait,
            }));
        }
        purse.give_back(key, &self.quota, cost)?;
        let before = Left {
            remaining: verdict.remaining.saturating_add(cost).saturating_sub(self.extra),
            reset: left
                .reset
                .saturating_sub(Duration::from_millis(self.drain_ms(cost))),
        };
        Ok(Finding::Refused(Refused {
            left: Some(before),
            retry: Some(wait),
        }))
    }

    /// How long `cells` take to drain, rounded down.
    fn drain_ms(&self, cells: u64) -> u64 {
        let ms = u128::from(cells) * u128::from(self.period_ms) / u128::from(self.limit.max(1));
        u64::try_from(ms).unwrap_or(u64::MAX)
    }
}
