//! Random numbers for choices that need no secrecy: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
//! Generators, OOPSLA 2014). It refuses to be used for anything that an attacker must not guess.

use std::hash::{BuildHasher, RandomState};

use super::hash::mix;

/// The step of the generator: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator.
#[derive(Debug, Clone)]
pub(in super::super) struct Dice(u64);

impl Dice {
    /// One that nobody else has.
    pub(in super::super) fn new() -> Self {
        Self::seeded(RandomState::new().hash_one(0))
    }

    /// One whose numbers are known.
    pub(in super::super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(in super::super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`, 0 for a bound of 0. Lemire's multiplication without rejection: for the bounds here, below
    /// 2^32, no number is preferred by more than one in 2^32.
    pub(in super::super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// An index below `count`.
    pub(in super::super) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_below_their_bound_and_even() {
        let mut dice = Dice::seeded(7);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[dice.index(10)] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_600..10_400).contains(count)),
            "{counts:?}"
        );
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.below(1), 0);
    }
}
