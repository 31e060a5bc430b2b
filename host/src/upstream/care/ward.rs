//! What the judges know of one endpoint. It refuses to know what follows from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::breaker::{Breaker, BreakerState};
use super::super::health::{Change, Checked, Standing, Thresholds};
use super::super::outlier::Record;
use super::{CareRules, look};

/// One endpoint as its judges see it. It lives as long as the endpoint is listed, reloads included.
#[derive(Debug, Default)]
pub struct Ward {
    pub(super) record: Record,
    pub(super) breaker: Breaker,
    standing: Mutex<Standing>,
    passed: AtomicU64,
    failed: AtomicU64,
}

impl Ward {
    /// How often it was ejected.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.record.ejections()
    }

    /// Health checks that ended this way.
    #[must_use]
    pub fn checks(&self, checked: Checked) -> u64 {
        self.count(checked).load(Ordering::Relaxed)
    }

    /// What health checks make of it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its breaker does, where it has one, and how often it went to each of [`BreakerState::ALL`].
    #[must_use]
    pub fn breaker(&self, rules: &CareRules) -> Option<(BreakerState, [u64; 3])> {
        rules.endpoint_breaker()?;
        Some(look(&self.breaker))
    }

    /// A check has ended. Whether it counts as something else now, and whether that was known before.
    pub(super) fn checked(&self, checked: Checked, thresholds: &Thresholds) -> (Standing, Option<Change>) {
        self.count(checked).fetch_add(1, Ordering::Relaxed);
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let (after, change) = standing.after(checked, thresholds);
        (std::mem::replace(&mut *standing, after), change)
    }

    /// Nobody checks it any more.
    pub(super) fn forget_checks(&self) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = Standing::Unknown;
    }

    fn count(&self, checked: Checked) -> &AtomicU64 {
        match checked {
            Checked::Passed => &self.passed,
            Checked::Failed => &self.failed,
        }
    }
}
