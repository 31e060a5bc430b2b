//! Maglev hashing (Eisenbud et al.: Maglev: A Fast and Reliable Software Network Load Balancer, NSDI 2016, section 3.4): a
//! table that endpoints fill in turn, each by its own permutation. With weights, one that weighs half as much has every
//! other turn, as in Envoy. It refuses to know which endpoints may be chosen.

use super::hash::{hash, mix};

/// Entries of the table: a prime, the smaller of the paper's two. More than 100 for each of 655 endpoints, so that their
/// shares differ by at most 1 %.
const SIZE: usize = 65_537;
/// What is added to a name's hash for the second one.
const SECOND: u64 = 0x5bd1_e995;

/// The index of an endpoint for every entry; empty for no endpoints.
#[derive(Debug)]
pub(super) struct Maglev(Box<[u32]>);

struct Walk {
    at: usize,
    step: usize,
    weight: f64,
    /// Turns that it should have had.
    due: f64,
}

impl Maglev {
    /// The table of endpoints with these names and weights.
    pub(super) fn new(endpoints: &[(&str, u32)]) -> Self {
        let Some(heaviest) = endpoints.iter().map(|(_, weight)| *weight).max() else {
            return Self(Box::default());
        };
        let below = |number: u64, bound: usize| usize::try_from(number % bound as u64).unwrap_or(0);
        let walk = |(name, weight): &(&str, u32)| {
            let name = hash(name.as_bytes());
            Walk {
                at: below(name, SIZE),
                step: below(mix(name ^ SECOND), SIZE - 1) + 1,
                weight: f64::from(*weight) / f64::from(heaviest.max(1)),
                due: 0.0,
            }
        };
        let mut walks: Vec<_> = endpoints.iter().map(walk).collect();
        let mut table = vec![u32::MAX; SIZE].into_boxed_slice();
        let mut left = SIZE;
        while left > 0 {
            for (walk, index) in walks.iter_mut().zip(0..) {
                walk.due += walk.weight;
                if walk.due < 1.0 {
                    continue;
                }
                walk.due -= 1.0;
                // The step is prime to the size: every entry is met before one is met twice.
                while let Some(entry) = table.get_mut(walk.at) {
                    walk.at = (walk.at + walk.step) % SIZE;
                    if *entry == u32::MAX {
                        *entry = index;
                        left -= 1;
                        break;
                    }
                }
                if left == 0 {
                    break;
                }
            }
        }
        Self(table)
    }

    /// The endpoints from the one of `key` onwards, with repetitions, once through the table.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let start = usize::try_from(key % SIZE as u64).unwrap_or(0);
        let (before, after) = self.0.split_at_checked(start).unwrap_or((&[], &self.0));
        let around = after.iter().chain(before);
        around.filter_map(|index| usize::try_from(*index).ok())
    }
}
