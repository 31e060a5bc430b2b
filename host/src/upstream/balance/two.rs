//! The power of two choices (Mitzenmacher, IEEE TPDS 12(10), 2001): of two endpoints at random, the one with less load.
//! It refuses to know what load is.

use super::dice::Dice;

/// How often another pair is drawn before all are looked at.
const DRAWS: u32 = 4;

/// One of `count` endpoints, of those that `may` be chosen; none if there is none.
pub(super) fn choose(
    dice: &mut Dice,
    count: usize,
    may: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> f64,
) -> Option<usize> {
    for _ in 0..DRAWS {
        let (one, other) = pair(dice, count)?;
        match (may(one), may(other)) {
            (true, true) if load(other) < load(one) => return Some(other),
            (true, _) => return Some(one),
            (false, true) => return Some(other),
            (false, false) => {}
        }
    }
    let start = dice.index(count);
    let around = (start..count).chain(0..start);
    around
        .filter(|index| may(*index))
        .min_by(|a, b| load(*a).total_cmp(&load(*b)))
}

/// Two endpoints that differ, if there are two.
fn pair(dice: &mut Dice, count: usize) -> Option<(usize, usize)> {
    match count {
        0 => None,
        1 => Some((0, 0)),
        _ => {
            let one = dice.index(count);
            let other = dice.index(count - 1);
            Some((one, if other < one { other } else { other + 1 }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_differ_are_compared_and_each_is_drawn_as_often() {
        let mut dice = Dice::seeded(1);
        let mut counts = [0; 5];
        for _ in 0..10_000 {
            let (one, other) = pair(&mut dice, 5).unwrap();
            assert_ne!(one, other);
            counts[one] += 1;
            counts[other] += 1;
        }
        assert!(
            counts.iter().all(|count| (3_800..4_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_busiest_is_never_chosen_and_the_only_one_always() {
        let mut dice = Dice::seeded(2);
        for _ in 0..1000 {
            let load = |index: usize| if index == 3 { 9.0 } else { 1.0 };
            assert_ne!(choose(&mut dice, 4, |_| true, load), Some(3));
            assert_eq!(choose(&mut dice, 40, |index| index == 7, load), Some(7));
        }
        assert_eq!(choose(&mut dice, 3, |_| false, |_| 0.0), None);
        assert_eq!(choose(&mut dice, 0, |_| true, |_| 0.0), None);
    }
}
