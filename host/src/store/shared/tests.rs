//! Behaviour of the shared map: against a naive model, at its budget, and under threads.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const MS: u64 = 1_000_000;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A budget for `n` entries with one-byte keys and values.
fn room_for(n: u64) -> SharedMap {
    SharedMap::new(n * (ENTRY_OVERHEAD + 2))
}

#[test]
fn a_value_is_there_until_its_ttl_is_over() {
    let map = room_for(4);
    map.put(0, "k", bytes("v"), 10).unwrap();
    assert_eq!(map.get(10 * MS - 1, "k").unwrap().value, "v");
    assert!(map.get(10 * MS, "k").is_none());
    assert_eq!(map.used(), 0, "the look took it out");
}

#[test]
fn a_new_write_sets_a_new_ttl() {
    let map = room_for(4);
    map.put(0, "k", bytes("v"), 10).unwrap();
    map.put(5 * MS, "k", bytes("w"), 0).unwrap();
    map.sweep(1_000 * MS);
    assert_eq!(map.get(1_000 * MS, "k").unwrap().value, "w");
}

#[test]
fn put_if_replaces_only_the_expected_version() {
    let map = room_for(4);
    let first = map.put_if(0, "k", bytes("a"), 0, 0).unwrap();
    assert_eq!(
        map.put_if(0, "k", bytes("b"), 0, 0),
        Err(SharedError::Conflict { found: first })
    );
    let second = map.put_if(0, "k", bytes("b"), 0, first).unwrap();
    assert!(second > first);
    assert_eq!(
        map.put_if(0, "k", bytes("c"), 0, first),
        Err(SharedError::Conflict { found: second })
    );
    assert_eq!(
        map.get(0, "k").unwrap(),
        SharedEntry {
            value: bytes("b"),
            version: second
        }
    );
}

#[test]
fn a_version_does_not_come_back_after_removal_or_clearing() {
    let map = room_for(4);
    let first = map.put(0, "k", bytes("a"), 0).unwrap();
    assert!(map.remove(0, "k"));
    assert!(!map.remove(0, "k"));
    let second = map.put(0, "k", bytes("a"), 0).unwrap();
    assert_ne!(first, second);
    map.clear();
    assert!(map.is_empty());
    assert_eq!(map.used(), 0);
    assert!(map.put(0, "k", bytes("a"), 0).unwrap() > second);
}

#[test]
fn the_least_recently_used_of_the_whole_map_goes_first() {
    let map = room_for(3);
    for (now, key) in [(1, "a"), (2, "b"), (3, "c")] {
        map.put(now, key, bytes("v"), 0).unwrap();
    }
    assert!(map.get(4, "a").is_some());
    map.put(5, "d", bytes("v"), 0).unwrap();
    assert_eq!(map.keys(6, "", 10), ["a", "c", "d"]);
}

#[test]
fn expired_entries_go_before_live_ones() {
    let map = room_for(3);
    map.put(0, "a", bytes("v"), 0).unwrap();
    map.put(1, "b", bytes("v"), 1).unwrap();
    map.put(2, "c", bytes("v"), 0).unwrap();
    map.put(9 * MS, "d", bytes("v"), 0).unwrap();
    assert_eq!(map.keys(9 * MS, "", 10), ["a", "c", "d"]);
}

#[test]
fn put_absent_refuses_rather_than_evicts() {
    let map = room_for(2);
    assert_eq!(map.put_absent(0, "a", bytes("v"), 10), Ok(true));
    assert_eq!(map.put_absent(0, "a", bytes("v"), 10), Ok(false));
    assert_eq!(map.put_absent(0, "b", bytes("v"), 20), Ok(true));
    assert_eq!(
        map.put_absent(9 * MS, "c", bytes("v"), 10),
        Err(SharedError::Full)
    );
    assert_eq!(
        map.put_absent(10 * MS, "c", bytes("v"), 10),
        Ok(true),
        "a has expired"
    );
    assert_eq!(map.keys(10 * MS, "", 10), ["b", "c"]);
}

#[test]
fn a_growing_entry_does_not_evict_itself() {
    let map = room_for(2);
    let version = map.put(0, "a", bytes("v"), 0).unwrap();
    map.put(0, "b", bytes("v"), 0).unwrap();
    let grown = Bytes::from(vec![b'x'; 100]);
    map.put_if(0, "a", grown.clone(), 0, version).unwrap();
    assert_eq!(map.get(0, "a").unwrap().value, grown);
    assert!(map.get(0, "b").is_none());
}

#[test]
fn what_can_never_fit_is_refused_and_changes_nothing() {
    let map = room_for(2);
    map.put(0, "a", bytes("v"), 0).unwrap();
    let large = Bytes::from(vec![0; 1_000]);
    assert!(matches!(
        map.put(0, "a", large, 0),
        Err(SharedError::TooLarge { .. })
    ));
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    assert!(matches!(
        map.put(0, &long, bytes("v"), 0),
        Err(SharedError::KeyTooLong { .. })
    ));
    assert_eq!(map.get(0, "a").unwrap().value, "v");
}

#[test]
fn a_smaller_budget_keeps_the_latest_used() {
    let map = room_for(4);
    for (now, key) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        map.put(now, key, bytes("v"), 0).unwrap();
    }
    map.set_budget(5, 2 * (ENTRY_OVERHEAD + 2));
    assert_eq!(map.keys(5, "", 10), ["c", "d"]);
    map.set_budget(5, 4 * (ENTRY_OVERHEAD + 2));
    assert_eq!(map.keys(5, "", 10), ["c", "d"]);
}

#[test]
fn keys_are_bounded_and_match_the_prefix() {
    let map = SharedMap::new(u64::MAX);
    for n in 0..3_000 {
        map.put(0, &format!("even-{n}"), bytes(""), 0).unwrap();
        map.put(0, &format!("odd-{n}"), bytes(""), 0).unwrap();
    }
    assert_eq!(map.keys(0, "odd-", 5_000).len(), 3_000);
    assert_eq!(map.keys(0, "odd-", 7).len(), 7);
    assert_eq!(map.keys(0, "none", 7), Vec::<String>::new());
    assert_eq!(map.keys(0, "", 0), Vec::<String>::new());
}

#[test]
fn one_thread_of_eight_wins_an_absent_key_and_the_budget_holds() {
    let map = room_for(64);
    let wins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (map, wins) = (&map, &wins);
            scope.spawn(move || {
                for n in 0..32 {
                    if map.put_absent(0, &char::from(b'0' + n).to_string(), bytes("v"), 0) == Ok(true) {
                        wins.fetch_add(1, Ordering::Relaxed);
                    }
                }
                for n in 0..2_000_u32 {
                    map.put(0, &format!("{thread}-{n}"), bytes("value"), 0).unwrap();
                    assert!(map.used() <= map.budget());
                }
            });
        }
    });
    assert!(wins.into_inner() >= 32);
    let charged: u64 = map
        .keys(0, "", usize::MAX)
        .iter()
        .map(|k| cost(k, &map.get(0, k).unwrap().value))
        .sum();
    assert_eq!(map.used(), charged);
}

#[test]
fn compare_and_swap_loses_no_increment() {
    let map = room_for(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    loop {
                        let (value, version) = map.get(0, "n").map_or((0, 0), |entry| {
                            (
                                str::from_utf8(&entry.value).unwrap().parse::<u32>().unwrap(),
                                entry.version,
                            )
                        });
                        let next = Bytes::from((value + 1).to_string());
                        if map.put_if(0, "n", next, 0, version).is_ok() {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(map.get(0, "n").unwrap().value, "4000");
}

#[derive(Debug, Clone)]
enum Op {
    Get(u8),
    Put(u8, u8, u64),
    PutIf(u8, u8, u64, bool),
    PutAbsent(u8, u8, u64),
    Remove(u8),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..10_u8).prop_map(Op::Get),
        (0..10_u8, any::<u8>(), 0..30_u64).prop_map(|(k, v, t)| Op::Put(k, v, t)),
        (0..10_u8, any::<u8>(), 0..30_u64, any::<bool>()).prop_map(|(k, v, t, c)| Op::PutIf(k, v, t, c)),
        (0..10_u8, any::<u8>(), 0..30_u64).prop_map(|(k, v, t)| Op::PutAbsent(k, v, t)),
        (0..10_u8).prop_map(Op::Remove),
        (0..20_u64).prop_map(Op::Pass),
    ]
}

/// Value, version and deadline by key, nothing clever.
type Model = HashMap<String, (u8, u64, u64)>;

fn model_put(model: &mut Model, now: u64, key: &str, value: u8, ttl_ms: u64, version: u64) {
    let deadline = if ttl_ms == 0 { u64::MAX } else { now + ttl_ms * MS };
    model.insert(key.to_owned(), (value, version, deadline));
}

proptest! {
    #[test]
    fn agrees_with_a_naive_map(ops in proptest::collection::vec(op(), 0..200)) {
        let map = SharedMap::new(1 << 20);
        let mut model = Model::new();
        let mut now = 0;
        for op in ops {
            model.retain(|_, (_, _, deadline)| *deadline > now);
            match op {
                Op::Pass(ms) => now += ms * MS,
                Op::Get(k) => {
                    let got = map.get(now, &k.to_string()).map(|e| (e.value[0], e.version));
                    prop_assert_eq!(got, model.get(&k.to_string()).map(|(v, n, _)| (*v, *n)));
                }
                Op::Put(k, v, ttl) => {
                    let version = map.put(now, &k.to_string(), Bytes::from(vec![v]), ttl).unwrap();
                    model_put(&mut model, now, &k.to_string(), v, ttl, version);
                }
                Op::PutIf(k, v, ttl, right) => {
                    let found = model.get(&k.to_string()).map_or(0, |(_, version, _)| *version);
                    let expected = if right { found } else { found + 1 };
                    match map.put_if(now, &k.to_string(), Bytes::from(vec![v]), ttl, expected) {
                        Ok(version) => {
                            prop_assert!(right && version > found);
                            model_put(&mut model, now, &k.to_string(), v, ttl, version);
                        }
                        Err(error) => {
                            prop_assert!(!right);
                            prop_assert_eq!(error, SharedError::Conflict { found });
                        }
                    }
                }
                Op::PutAbsent(k, v, ttl) => {
                    let put = map.put_absent(now, &k.to_string(), Bytes::from(vec![v]), ttl).unwrap();
                    prop_assert_eq!(put, !model.contains_key(&k.to_string()));
                    if put {
                        let version = map.get(now, &k.to_string()).unwrap().version;
                        model_put(&mut model, now, &k.to_string(), v, ttl, version);
                    }
                }
                Op::Remove(k) => {
                    prop_assert_eq!(map.remove(now, &k.to_string()), model.remove(&k.to_string()).is_some());
                }
            }
        }
        model.retain(|_, (_, _, deadline)| *deadline > now);
        map.sweep(now);
        let mut left: Vec<String> = model.into_keys().collect();
        left.sort();
        prop_assert_eq!(map.len(), left.len());
        prop_assert_eq!(map.keys(now, "", 100), left);
    }

    #[test]
    fn never_exceeds_its_budget(sizes in proptest::collection::vec((0..40_u8, 0..600_usize, 0..3_u64), 0..200)) {
        let map = SharedMap::new(4 * 1_024);
        for (now, (key, size, ttl)) in sizes.into_iter().enumerate() {
            let now = now as u64 * MS;
            map.put(now, &key.to_string(), Bytes::from(vec![0; size]), ttl).unwrap();
            prop_assert!(map.used() <= map.budget());
            prop_assert_eq!(map.get(now, &key.to_string()).unwrap().value.len(), size);
        }
        map.clear();
        prop_assert_eq!(map.used(), 0);
    }
}
