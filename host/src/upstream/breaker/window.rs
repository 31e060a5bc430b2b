//! Counts of the last seconds, in ten steps, written by many threads without a lock. It refuses to know what the
//! counts decide.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steps of a window: what is older than the window is forgotten a tenth at a time.
const STEPS: usize = 10;
/// Bits of each of the three counts of a step.
const BITS: u32 = 15;
/// Most outcomes that a step counts; what its share of failures is shows in the first ones.
const MOST: u64 = (1 << BITS) - 1;
/// Steps are numbered modulo this.
const STAMPS: u64 = 1 << (64 - 3 * BITS);

/// The outcomes of a time that moves along. Each step is one word: its number, all outcomes, failed ones, slow ones.
#[derive(Debug, Default)]
pub(super) struct Window {
    steps: [AtomicU64; STEPS],
}

/// The length of a step of a window of this length, in milliseconds.
pub(super) fn step(window: Duration) -> u64 {
    let ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    (ms / STEPS as u64).max(1)
}

/// What a window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
}

impl Counts {
    fn unpack(word: u64) -> Self {
        Self {
            all: word >> (2 * BITS) & MOST,
            failed: word >> BITS & MOST,
            slow: word & MOST,
        }
    }

    fn pack(self, stamp: u64) -> u64 {
        stamp << (3 * BITS) | self.all << (2 * BITS) | self.failed << BITS | self.slow
    }

    fn add(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            failed: self.failed + other.failed,
            slow: self.slow + other.slow,
        }
    }
}

impl Window {
    /// Counts outcomes that ended at `now_ms`. Steps of another length than before are another time: at most what was
    /// counted so far is lost, or kept for one window longer.
    pub(super) fn add(&self, outcome: Counts, step_ms: u64, now_ms: u64) {
        let (number, stamp) = number(step_ms, now_ms);
        let Some(step) = usize::try_from(number % STEPS as u64)
            .ok()
            .and_then(|at| self.steps.get(at))
        else {
            return;
        };
        let counted = |word: u64| {
            let old = if word >> (3 * BITS) == stamp {
                Counts::unpack(word)
            } else {
                Counts::default()
            };
            let new = old.add(outcome);
            (new.all <= MOST).then(|| new.pack(stamp))
        };
        // None: the step is full.
        let _full = step.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// What ended within the window before `now_ms`.
    pub(super) fn sum(&self, step_ms: u64, now_ms: u64) -> Counts {
        let (number, _) = number(step_ms, now_ms);
        let words = self.steps.iter().zip(0..).filter_map(|(step, at)| {
            let word = step.load(Ordering::Relaxed);
            // How long ago the step of this place was, in steps.
            let ago = (number % STEPS as u64 + STEPS as u64 - at) % STEPS as u64;
            let stamp = number.checked_sub(ago)? % STAMPS;
            (word >> (3 * BITS) == stamp).then_some(word)
        });
        words.map(Counts::unpack).fold(Counts::default(), Counts::add)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.steps
            .iter()
            .for_each(|step| step.store(0, Ordering::Relaxed));
    }
}

/// The step of a moment, from 1, and its stamp. Stamps repeat after half a million steps, 14 hours of a window of one
/// second: a step that was idle for exactly that long would be counted again, once.
fn number(step_ms: u64, now_ms: u64) -> (u64, u64) {
    let number = now_ms / step_ms.max(1) + 1;
    (number, number % STAMPS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Counts = Counts {
        all: 1,
        failed: 1,
        slow: 0,
    };

    #[test]
    fn what_is_older_than_the_window_is_forgotten_by_tenths() {
        let (window, step) = (Window::default(), step(Duration::from_secs(10)));
        for second in 0..10 {
            window.add(ONE, step, second * 1_000);
        }
        #[rustfmt::skip]
        let table = [(9_000, 10), (9_999, 10), (10_000, 9), (14_500, 5), (18_999, 1), (19_000, 0), (99_000, 0)];
        for (now, left) in table {
            assert_eq!(window.sum(step, now).all, left, "at {now} ms");
        }
        window.add(ONE, step, 99_000);
        assert_eq!(window.sum(step, 99_000), ONE);
        window.clear();
        assert_eq!(window.sum(step, 99_000), Counts::default());
    }

    #[test]
    fn a_full_step_keeps_its_counts() {
        let (window, step) = (Window::default(), step(Duration::from_secs(1)));
        for _ in 0..MOST + 10 {
            window.add(ONE, step, 5);
        }
        assert_eq!(window.sum(step, 5).all, MOST);
        assert_eq!(window.sum(step, 5).failed, MOST);
    }

    #[test]
    fn threads_lose_no_count() {
        let (window, step) = (Window::default(), step(Duration::from_secs(10)));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1_000).for_each(|n| window.add(ONE, step, n)));
            }
        });
        assert_eq!(window.sum(step, 1_000).all, 8_000);
    }

    proptest! {
        /// Against a list of all outcomes.
        #[test]
        fn it_counts_what_a_list_would(gaps in prop::collection::vec((0..700_u64, 0..3_u8), 1..200)) {
            let (window, step) = (Window::default(), step(Duration::from_secs(1)));
            let (mut now, mut list) = (0, Vec::new());
            for (gap, kind) in gaps {
                now += gap;
                let outcome = Counts { all: 1, failed: u64::from(kind == 1), slow: u64::from(kind == 2) };
                window.add(outcome, step, now);
                list.push((now / 100, outcome));
                let recent = list.iter().filter(|(step, _)| step + 10 > now / 100);
                let want = recent.fold(Counts::default(), |sum, (_, outcome)| sum.add(*outcome));
                prop_assert_eq!(window.sum(step, now), want);
            }
        }
    }
}
