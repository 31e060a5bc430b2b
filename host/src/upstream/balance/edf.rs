//! Least request for weights that differ: earliest deadline first, with weights that shrink as exchanges are in flight
//! (Envoy's documentation, "Weighted least request": weight / (active + 1) at an `active_request_bias` of 1). It refuses
//! to count what is in flight.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The endpoints by the time at which their turn comes, in a time that only turns move.
#[derive(Debug, Default)]
pub(super) struct Edf {
    queue: BinaryHeap<Turn>,
    now: f64,
    passed: Vec<Turn>,
}

/// A turn that is due at a time. Of two, the earlier is the greater, then the one with the lower index.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Turn {
    due: f64,
    index: usize,
}

impl Eq for Turn {}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        let due = other.due.total_cmp(&self.due);
        due.then_with(|| other.index.cmp(&self.index))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Edf {
    /// The next of `weights.len()` endpoints, of those that `may` be chosen; none if there is none. `load` is what is in
    /// flight with it.
    pub(super) fn choose(
        &mut self,
        weights: &[u32],
        may: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        let cost = |index: usize| {
            let weight = weights.get(index).copied().unwrap_or(1).max(1);
            (load(index) + 1.0) / f64::from(weight)
        };
        if self.queue.len() != weights.len() {
            self.now = 0.0;
            self.queue = (0..weights.len())
                .map(|index| Turn {
                    due: cost(index),
                    index,
                })
                .collect();
        }
        let mut found = None;
        while let Some(turn) = self.queue.pop() {
            if may(turn.index) {
                found = Some(turn);
                break;
            }
            self.passed.push(turn);
        }
        self.queue.extend(self.passed.drain(..));
        let turn = found?;
        self.now = self.now.max(turn.due);
        self.queue.push(Turn {
            due: self.now + cost(turn.index),
            index: turn.index,
        });
        Some(turn.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_endpoints_take_turns_by_weight() {
        let mut edf = Edf::default();
        let mut counts = [0; 3];
        for _ in 0..700 {
            counts[edf.choose(&[4, 2, 1], |_| true, |_| 0.0).unwrap()] += 1;
        }
        assert_eq!(counts.iter().sum::<i32>(), 700);
        assert!(
            (399..=401).contains(&counts[0]) && (199..=201).contains(&counts[1]),
            "{counts:?}"
        );
    }

    #[test]
    fn one_that_is_busy_has_its_turn_less_often() {
        let mut edf = Edf::default();
        let mut counts = [0; 2];
        for _ in 0..1000 {
            counts[edf
                .choose(&[3, 1], |_| true, |index| if index == 0 { 8.0 } else { 0.0 })
                .unwrap()] += 1;
        }
        // 3 / 9 against 1.
        assert!((245..=255).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn one_that_may_not_be_chosen_keeps_its_turn() {
        let mut edf = Edf::default();
        for _ in 0..10 {
            assert_eq!(edf.choose(&[1, 2], |index| index == 1, |_| 0.0), Some(1));
        }
        assert_eq!(edf.choose(&[1, 2], |_| true, |_| 0.0), Some(0));
        assert_eq!(edf.choose(&[1, 2], |_| false, |_| 0.0), None);
        assert_eq!(edf.choose(&[], |_| true, |_| 0.0), None);
    }
}
