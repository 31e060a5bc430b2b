//! Turns by weight without bursts: nginx's smooth weighted round robin (its commit 52327e0627f4). Each turn every endpoint
//! gains its weight, and the one with the most pays the sum. It refuses to know what the weights stand for.

/// What each endpoint has gained and not yet paid.
#[derive(Debug, Default)]
pub(super) struct Smooth {
    gained: Vec<i64>,
}

impl Smooth {
    /// The next of `weights.len()` endpoints, of those that `may` be chosen; none if there is none.
    pub(super) fn choose(&mut self, weights: &[u32], may: impl Fn(usize) -> bool) -> Option<usize> {
        self.gained.resize(weights.len(), 0);
        let mut sum = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, (gained, weight)) in self.gained.iter_mut().zip(weights).enumerate() {
            if !may(index) {
                continue;
            }
            let weight = i64::from(*weight);
            sum += weight;
            *gained += weight;
            if best.is_none_or(|(_, most)| *gained > most) {
                best = Some((index, *gained));
            }
        }
        let (index, _) = best?;
        if let Some(gained) = self.gained.get_mut(index) {
            *gained -= sum;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_the_heavy_are_spread() {
        let mut smooth = Smooth::default();
        let turns: Vec<_> = (0..7)
            .map(|_| smooth.choose(&[5, 1, 1], |_| true).unwrap())
            .collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn one_that_may_not_be_chosen_gains_nothing() {
        let mut smooth = Smooth::default();
        for _ in 0..100 {
            assert_eq!(smooth.choose(&[1, 1], |index| index == 0), Some(0));
        }
        let turns: Vec<_> = (0..4)
            .map(|_| smooth.choose(&[1, 1], |_| true).unwrap())
            .collect();
        assert_eq!(turns.iter().sum::<usize>(), 2);
        assert_eq!(smooth.choose(&[1, 1], |_| false), None);
        assert_eq!(smooth.choose(&[], |_| true), None);
    }
}
