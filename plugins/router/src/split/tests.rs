//! Distribution and stability of the choices. By Bernstein's inequality a fair share of many choices is further off than
//! these tests allow at most once in 10^13.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const KEYS: u32 = 20_000;

fn split(weights: &[u32]) -> Split {
    let named = weights.iter().enumerate();
    Split::of(named.map(|(at, weight)| (format!("v{at}"), *weight)).collect()).unwrap()
}

/// A stream of numbers that is another for each seed.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |n| hash::join(seed, n))
}

fn counts<'a>(split: &'a Split, choices: impl Iterator<Item = &'a Target>) -> Vec<u32> {
    let mut counts = BTreeMap::new();
    for target in choices {
        *counts.entry(target.name.as_str()).or_insert(0) += 1;
    }
    let of = |target: &Target| counts.get(target.name.as_str()).copied().unwrap_or(0);
    split.targets.iter().map(of).collect()
}

/// Whether `counts` of `n` choices are what the weights promise.
fn is_fair(weights: &[u32], counts: &[u32], n: u32) -> bool {
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let odds = 2e13_f64.ln();
    weights.iter().zip(counts).all(|(weight, count)| {
        let share = f64::from(*weight) / total;
        let variance = f64::from(n) * share * (1.0 - share);
        let off = odds / 3.0 + (odds * odds / 9.0 + 2.0 * odds * variance).sqrt();
        // A target without weight gets nothing at all.
        let off = if *weight == 0 { 0.0 } else { off };
        (f64::from(*count) - f64::from(n) * share).abs() <= off
    })
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0_u32..=100, 1..6).prop_filter("something is open", |w| w.iter().any(|w| *w > 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn chance_follows_the_weights(weights in weights(), seed: u64) {
        let split = split(&weights);
        let mut random = numbers(seed);
        let choices = (0..KEYS).filter_map(|_| split.by_chance(|| random.next().unwrap()));
        let counts = counts(&split, choices);
        prop_assert!(is_fair(&weights, &counts, KEYS), "{:?} gave {:?}", weights, counts);
    }

    #[test]
    fn keys_follow_the_weights(weights in weights(), seed: u64) {
        let split = split(&weights);
        let keys = (0..KEYS).map(|n| hash::of(format!("client-{seed}-{n}").as_bytes()));
        let counts = counts(&split, keys.filter_map(|key| split.by_key(key)));
        prop_assert!(is_fair(&weights, &counts, KEYS), "{:?} gave {:?}", weights, counts);
    }

    #[test]
    fn a_changed_weight_moves_keys_only_from_or_to_its_target(
        weights in weights(),
        at in any::<prop::sample::Index>(),
        new in 0_u32..=100,
        seed: u64,
    ) {
        let at = at.index(weights.len());
        let mut changed = weights.clone();
        changed[at] = new;
        prop_assume!(changed.iter().any(|w| *w > 0));
        let (before, after) = (split(&weights), split(&changed));
        let name = format!("v{at}");
        for key in numbers(seed).take(500) {
            let (old, now) = (before.by_key(key).unwrap(), after.by_key(key).unwrap());
            if old.name != now.name {
                let moved = if new > weights[at] { &now.name } else { &old.name };
                prop_assert_eq!(moved, &name, "{:?} to {:?}", weights, changed);
            }
        }
    }

    #[test]
    fn the_order_of_targets_decides_nothing_for_keys_and_tokens(weights in weights(), key: u64, salt: u64) {
        let one = split(&weights);
        let mut named: Vec<_> = weights.iter().enumerate().map(|(at, w)| (format!("v{at}"), *w)).collect();
        named.reverse();
        let other = Split::of(named).unwrap();
        let chosen = one.by_key(key).unwrap();
        prop_assert_eq!(&chosen.name, &other.by_key(key).unwrap().name);
        let token = chosen.token(salt);
        prop_assert_eq!(&other.by_token(salt, token.as_bytes()).unwrap().name, &chosen.name);
    }

    #[test]
    fn any_text_can_be_a_token(token in prop::collection::vec(any::<u8>(), 0..40)) {
        // A hit would be a guess of one in 2^63.
        prop_assert!(split(&[1, 1]).by_token(7, &token).is_none());
    }
}

#[test]
fn a_target_without_weight_gets_nothing_not_even_by_its_token() {
    let (open, closed) = (split(&[1, 1]), split(&[0, 1]));
    let token = open.targets[0].token(7);
    assert_eq!(
        open.by_token(7, token.as_bytes()).map(|t| t.name.as_str()),
        Some("v0")
    );
    assert!(closed.by_token(7, token.as_bytes()).is_none());
    assert!(
        open.by_token(8, token.as_bytes()).is_none(),
        "a token is of one salt"
    );
    for key in numbers(1).take(1_000) {
        assert_eq!(closed.by_key(key).unwrap().name, "v1");
    }
}

#[test]
fn the_ends_of_chance_are_the_first_and_the_last_open_target() {
    let split = split(&[0, 3, 1, 0]);
    for (random, name) in [
        (0, "v1"),
        (u64::MAX, "v2"),
        (u64::MAX / 4 * 3 - 1, "v1"),
        (u64::MAX / 4 * 3 + 4, "v2"),
    ] {
        assert_eq!(split.by_chance(|| random).unwrap().name, name, "{random}");
    }
}

#[test]
fn where_there_is_no_choice_no_random_number_is_taken() {
    let one = split(&[0, 5]);
    assert_eq!(one.by_chance(|| panic!("taken")).unwrap().name, "v1");
}

#[test]
fn what_cannot_be_a_split_is_refused_with_its_reason() {
    let target = |upstream: &str, weight| Written {
        upstream: Some(upstream.to_owned()),
        route: None,
        weight,
    };
    let route = || Written {
        upstream: None,
        route: Some("r".to_owned()),
        weight: 1,
    };
    let both = Written {
        route: Some("r".to_owned()),
        ..target("u", 1)
    };
    for (to, reason) in [
        (To::Name(String::new()), "1 to 256 bytes"),
        (To::One(both), "either `upstream` or `route`"),
        (To::Split(vec![]), "no target with a weight above 0"),
        (To::Split(vec![target("a", 0)]), "no target with a weight above 0"),
        (To::Split(vec![target("a", 1), target("a", 2)]), "`a` twice"),
        (
            To::Split(vec![target("a", 1), route()]),
            "mixes upstreams and routes",
        ),
        (To::Split(vec![target("a", MAX_WEIGHT + 1)]), "more than 1000000"),
    ] {
        let error = Split::new(to).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
    assert_eq!(Split::new(To::One(route())).unwrap().0, Kind::Route);
    assert_eq!(Split::new(To::One(target("u", 1))).unwrap().0, Kind::Upstream);
    assert_eq!(Split::new(To::Name("n".to_owned())).unwrap().0, Kind::Either);
}
