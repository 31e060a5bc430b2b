//! Whether a unit may be called: a state machine over its faults. The first faults in a row restart it at
//! once; from then on each one closes it for 100 ms x 2^n, at most 30 s, with jitter, and one exchange is let
//! through as a trial. While closed, the entry's `on-fault` applies without a call. Whoever asks says what a
//! success is: an exchange without a fault, not a call, for a plugin may fail in one hook and work in the
//! others. It knows no HTTP and no WebAssembly.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Faults in a row that are answered by a restart alone.
const FREE: u32 = 8;
/// First back-off.
const FIRST: Duration = Duration::from_millis(100);
/// Longest back-off.
const LONGEST: Duration = Duration::from_secs(30);

/// Whether a call is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Call it.
    Call,
    /// Apply the policy without a call.
    Closed,
}

/// Health of one unit, shared by all workers. Only read as long as nothing fails.
#[derive(Debug, Default)]
pub struct Health {
    in_a_row: AtomicU32,
    total: AtomicU64,
    closed_until_ns: AtomicU64,
}

impl Health {
    /// Asks before the first call in an exchange. `now_ns` is monotonic.
    #[must_use]
    pub fn admit(&self, now_ns: impl FnOnce() -> u64) -> Admission {
        let until = self.closed_until_ns.load(Ordering::Relaxed);
        if until == 0 {
            return Admission::Call;
        }
        let now = now_ns();
        if now < until {
            return Admission::Closed;
        }
        // One trial: whoever moves the mark goes through, the others wait for its outcome.
        let next = now + nanos(FIRST);
        match self
            .closed_until_ns
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => Admission::Call,
            Err(_) => Admission::Closed,
        }
    }

    /// Notes an exchange that worked; true if it ends a time in which calls were held back.
    pub fn success(&self) -> bool {
        if self.in_a_row.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.in_a_row.store(0, Ordering::Relaxed);
        self.closed_until_ns.swap(0, Ordering::Relaxed) != 0
    }

    /// Notes a fault; gives the back-off that it caused. `random` is any number, for jitter.
    pub fn fault(&self, now_ns: u64, random: u64) -> Option<Duration> {
        self.total.fetch_add(1, Ordering::Relaxed);
        let row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let n = row.checked_sub(FREE + 1)?;
        let full = FIRST.saturating_mul(1_u32 << n.min(16)).min(LONGEST);
        // Between three quarters and all of it, so that workers and replicas do not retry together.
        let pause = full - (full / 4).mul_f64((random % 1_000) as f64 / 1_000.0);
        self.closed_until_ns
            .store(now_ns + nanos(pause), Ordering::Relaxed);
        Some(pause)
    }

    /// Faults since it was loaded.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// It is closed at this moment.
    #[must_use]
    pub fn is_closed(&self, now_ns: u64) -> bool {
        now_ns < self.closed_until_ns.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_faults_close_nothing_and_a_success_forgets_them() {
        let health = Health::default();
        for _ in 0..3 {
            for _ in 0..FREE {
                assert_eq!(health.fault(0, 0), None);
                assert_eq!(health.admit(|| 0), Admission::Call);
            }
            assert!(!health.success(), "it was never closed");
        }
        assert_eq!(health.faults(), 3 * u64::from(FREE));
    }

    #[test]
    fn repeated_faults_back_off_up_to_the_cap_and_one_trial_passes() {
        let health = Health::default();
        (0..FREE).for_each(|_| assert_eq!(health.fault(0, 0), None));
        assert_eq!(health.fault(0, 0), Some(FIRST));
        assert_eq!(health.admit(|| 99 * MS), Admission::Closed);
        assert_eq!(health.admit(|| 101 * MS), Admission::Call);
        assert_eq!(
            health.admit(|| 102 * MS),
            Admission::Closed,
            "the trial is still out"
        );
        assert_eq!(health.fault(103 * MS, 0), Some(FIRST * 2));
        let pauses: Vec<_> = (0..20).filter_map(|_| health.fault(0, 0)).collect();
        assert_eq!(pauses.last(), Some(&LONGEST));
        assert!(health.success());
        assert_eq!(health.admit(|| 0), Admission::Call);
    }

    #[test]
    fn a_trial_that_never_reports_back_does_not_close_it_for_ever() {
        let health = Health::default();
        for _ in 0..=FREE {
            health.fault(0, 0);
        }
        assert_eq!(health.admit(|| 200 * MS), Admission::Call);
        assert_eq!(health.admit(|| 250 * MS), Admission::Closed);
        assert_eq!(health.admit(|| 301 * MS), Admission::Call);
    }

    #[test]
    fn jitter_shortens_by_at_most_a_quarter() {
        for random in [0, 1, 499, 999, u64::MAX] {
            let health = Health::default();
            for _ in 0..FREE {
                health.fault(0, 0);
            }
            let pause = health.fault(0, random).unwrap();
            assert!(pause <= FIRST && pause >= FIRST * 3 / 4, "{pause:?}");
        }
    }
}
