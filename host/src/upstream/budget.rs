//! The retry budget of one upstream: further tries are allowed in proportion to the requests of the last ten seconds, so
//! that retries cannot multiply the load of an upstream that is down. It refuses to know why something is tried again.
//!
//! The rule is that of Finagle's `RetryBudget` and of Linkerd: a part of the requests, and a few a second for when there
//! are hardly any. All workers share one budget.

use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds that count.
const WINDOW: u64 = 10;

const SECOND_NS: u64 = 1_000_000_000;
const SLOTS: usize = 10;

// A slot holds the number of its second, its requests and its retries in one word, so that a slot that begins anew
// loses none of them to a race.
const RETRY_BITS: u32 = 20;
const REQUEST_BITS: u32 = 24;
const RETRIES: u64 = (1 << RETRY_BITS) - 1;
const REQUESTS: u64 = (1 << REQUEST_BITS) - 1;
const EPOCHS: u64 = (1 << (64 - RETRY_BITS - REQUEST_BITS)) - 1;

/// How many retries are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BudgetRule {
    /// Retries per hundred requests.
    pub percent: u32,
    /// Retries a second that are allowed on top.
    pub min_per_second: u32,
}

/// What was requested and retried in the last ten seconds.
#[derive(Debug, Default)]
pub struct Budget {
    slots: [AtomicU64; SLOTS],
}

impl Budget {
    /// A request is about to be sent for the first time. `now_ns` is the time on a monotonic clock.
    pub fn request(&self, now_ns: u64) {
        self.change(now_ns / SECOND_NS, |slot| {
            Some(Slot {
                requests: (slot.requests + 1).min(REQUESTS),
                ..slot
            })
        });
    }

    /// Whether a further try is allowed; then it counts. Workers that ask at the same time may all be refused the last
    /// one that is left, but are never given more than the rule allows.
    #[must_use]
    pub fn withdraw(&self, rule: BudgetRule, now_ns: u64) -> bool {
        let second = now_ns / SECOND_NS;
        let counted = self.change(second, |slot| {
            (slot.retries < RETRIES).then(|| Slot {
                retries: slot.retries + 1,
                ..slot
            })
        });
        if !counted {
            return false;
        }
        let (requests, retries) = self.sums(second);
        let allowed = requests * u64::from(rule.percent) + 100 * WINDOW * u64::from(rule.min_per_second);
        if retries * 100 <= allowed {
            return true;
        }
        self.change(second, |slot| {
            Some(Slot {
                retries: slot.retries.saturating_sub(1),
                ..slot
            })
        });
        false
    }

    /// Changes the slot of a second. False when `change` gives nothing.
    fn change(&self, second: u64, change: impl Fn(Slot) -> Option<Slot>) -> bool {
        let epoch = second & EPOCHS;
        let index = usize::try_from(second % WINDOW).ok();
        // There are as many slots as seconds in the window.
        let Some(slot) = index.and_then(|index| self.slots.get(index)) else {
            return false;
        };
        let update = |word| {
            let old = Slot::of(word);
            let current = if old.epoch == epoch {
                old
            } else {
                Slot::begin(epoch)
            };
            change(current).map(Slot::word)
        };
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
            .is_ok()
    }

    /// Requests and retries of the window that ends with this second.
    fn sums(&self, second: u64) -> (u64, u64) {
        let slots = self
            .slots
            .iter()
            .map(|slot| Slot::of(slot.load(Ordering::Relaxed)));
        let current = slots.filter(|slot| (second.wrapping_sub(slot.epoch) & EPOCHS) < WINDOW);
        current.fold((0, 0), |(requests, retries), slot| {
            (requests + slot.requests, retries + slot.retries)
        })
    }
}

/// One second, unpacked.
#[derive(Debug, Clone, Copy)]
struct Slot {
    epoch: u64,
    requests: u64,
    retries: u64,
}

impl Slot {
    fn begin(epoch: u64) -> Self {
        Self {
            epoch,
            requests: 0,
            retries: 0,
        }
    }

    fn of(word: u64) -> Self {
        Self {
            epoch: word >> (REQUEST_BITS + RETRY_BITS),
            requests: (word >> RETRY_BITS) & REQUESTS,
            retries: word & RETRIES,
        }
    }

    fn word(self) -> u64 {
        (self.epoch << (REQUEST_BITS + RETRY_BITS)) | (self.requests << RETRY_BITS) | self.retries
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const RULE: BudgetRule = BudgetRule {
        percent: 20,
        min_per_second: 0,
    };

    fn granted(budget: &Budget, rule: BudgetRule, asked: usize, now_ns: u64) -> usize {
        (0..asked).filter(|_| budget.withdraw(rule, now_ns)).count()
    }

    #[test]
    fn retries_are_a_part_of_the_requests() {
        let budget = Budget::default();
        assert_eq!(granted(&budget, RULE, 5, 0), 0);
        for _ in 0..100 {
            budget.request(0);
        }
        assert_eq!(granted(&budget, RULE, 100, 0), 20);
    }

    #[test]
    fn a_few_a_second_are_allowed_without_requests() {
        let budget = Budget::default();
        let rule = BudgetRule {
            min_per_second: 3,
            ..RULE
        };
        assert_eq!(granted(&budget, rule, 100, 0), 30);
        assert_eq!(granted(&budget, rule, 100, 9 * SECOND_NS), 0);
        assert_eq!(granted(&budget, rule, 100, 10 * SECOND_NS), 30);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let budget = Budget::default();
        for _ in 0..50 {
            budget.request(SECOND_NS);
        }
        assert_eq!(granted(&budget, RULE, 4, 10 * SECOND_NS), 4);
        assert_eq!(granted(&budget, RULE, 4, 11 * SECOND_NS), 0);
    }

    #[test]
    fn threads_together_never_get_more_than_the_rule_allows() {
        let budget = Arc::new(Budget::default());
        for _ in 0..1_000 {
            budget.request(0);
        }
        let asking = || {
            let budget = Arc::clone(&budget);
            std::thread::spawn(move || granted(&budget, RULE, 1_000, 0))
        };
        let threads: Vec<_> = (0..4).map(|_| asking()).collect();
        let total: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        // At the end at most as many are refused too much as ask at the same time.
        assert!((197..=200).contains(&total), "{total}");
    }

    proptest! {
        /// Against a list of everything that happened.
        #[test]
        fn it_grants_as_a_plain_list_would(
            steps in prop::collection::vec((0_u64..4_000, 0_u8..3), 1..400),
            percent in 0_u32..150,
            min_per_second in 0_u32..3,
            start in prop_oneof![Just(0_u64), Just(EPOCHS - 5), 0_u64..10_000_000],
        ) {
            let rule = BudgetRule { percent, min_per_second };
            let budget = Budget::default();
            let (mut requests, mut retries) = (Vec::new(), Vec::new());
            // A window's length after the clock's zero, where an empty slot cannot be taken for one of this epoch.
            let mut now_ms = (start + WINDOW) * 1_000;
            for (pause, step) in steps {
                now_ms += if step == 0 { pause } else { pause / 100 };
                let (now_ns, second) = (now_ms * 1_000_000, now_ms / 1_000);
                let inside = |at: &&u64| second - **at < WINDOW;
                if step < 2 {
                    budget.request(now_ns);
                    requests.push(second);
                    continue;
                }
                let (asked, used) = (
                    requests.iter().filter(inside).count() as u64,
                    retries.iter().filter(inside).count() as u64,
                );
                let allowed = (used + 1) * 100
                    <= asked * u64::from(percent) + 100 * WINDOW * u64::from(min_per_second);
                prop_assert_eq!(budget.withdraw(rule, now_ns), allowed);
                if allowed {
                    retries.push(second);
                }
            }
        }
    }
}
