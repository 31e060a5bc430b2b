//! The limiters that the instances of one plugin entry share: the WIT interface `counters`.
//!
//! It knows keys, quotas and time; not who is limited, nor which answer a refusal becomes. Every operation is one
//! short critical section of the part of the table that the key belongs to, so a limit is exact under any number of
//! threads. The algorithms themselves are in `limit`.

use std::borrow::Cow;
use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use sha2::{Digest, Sha256};

use crate::clock::ms_to_ns;
use crate::store::limit::{Level, Quota, Verdict};
use crate::store::table::{Hashed, NEVER, SlotId, Table};

/// Longest key that is kept as it is; a longer one is kept as its SHA-256.
pub const MAX_KEY_BYTES: usize = 512;

/// Independent parts of the table, each behind its own lock.
const LANES: usize = 16;

/// Deadlines that an operation looks at when it adds a key, and when there is no room for it.
const RECLAIM: usize = 2;
const RECLAIM_WHEN_FULL: usize = 16;

/// Limiters, plain counters and concurrency places by key.
///
/// The three kinds have separate names: `take` and `add` of one key do not meet. Of limiters and of plain counters
/// at most `max_keys` each are kept. When one more is needed, keys that have expired (a limiter that is whole again,
/// a counter past its ttl) go first, then the least recently used of the same sixteenth of the key space: its limit
/// starts afresh, which [`evicted`](Self::evicted) counts. Places are never evicted: they are counted as long as they
/// are held, and a new key that finds no room is refused.
pub struct Counters {
    lanes: [Mutex<Lane>; LANES],
    hasher: RandomState,
    lane_keys: usize,
    evicted: AtomicU64,
}

struct Lane {
    limiters: Table<Level>,
    totals: Table<i64>,
    places: HashMap<Box<str>, u64>,
}

impl Counters {
    /// No keys yet, and at most `max_keys` of each kind (rounded up to a multiple of the number of locks).
    #[must_use]
    pub fn new(max_keys: usize) -> Self {
        Self {
            lanes: std::array::from_fn(|_| {
                Mutex::new(Lane {
                    limiters: Table::new(),
                    totals: Table::new(),
                    places: HashMap::new(),
                })
            }),
            hasher: RandomState::new(),
            lane_keys: max_keys.div_ceil(LANES).max(1),
            evicted: AtomicU64::new(0),
        }
    }

    /// Takes `cost` cells of the key's quota, or none. Cost 0 changes nothing and tells whether one cell would be
    /// given.
    ///
    /// One key has one state: with another quota than last time, what was taken stays taken as far as the new quota
    /// can say so (see `Level`). A plugin that wants two limits of one thing uses two keys.
    pub fn take(&self, now_ns: u64, key: &str, quota: &Quota, cost: u64) -> Verdict {
        self.with(key, |lane, key| {
            let at = lane.limiters.find(key);
            let mut level = at
                .and_then(|at| lane.limiters.value(at).copied())
                .unwrap_or_default();
            let verdict = level.take(now_ns, quota, cost);
            if cost > 0 && verdict.allowed {
                self.keep(
                    &mut lane.limiters,
                    at,
                    key,
                    level,
                    level.whole_at_ns(quota),
                    now_ns,
                );
            } else if let Some(at) = at {
                lane.limiters.touch(at, now_ns);
            }
            verdict
        })
    }

    /// Gives `cost` cells back, at most as many as are taken. Nothing happens to a key that is whole.
    pub fn give_back(&self, now_ns: u64, key: &str, quota: &Quota, cost: u64) {
        self.with(key, |lane, key| {
            let Some(at) = lane.limiters.find(key) else { return };
            let Some(level) = lane.limiters.value_mut(at) else {
                return;
            };
            level.give_back(now_ns, quota, cost);
            let whole_at_ns = level.whole_at_ns(quota);
            lane.limiters.set_deadline(at, whole_at_ns);
        });
    }

    /// Adds `delta` to a plain counter and gives its new value, which stays within `i64`. The counter is gone
    /// `ttl_ms` after the write that made it (0 = never); delta 0 only looks.
    pub fn add(&self, now_ns: u64, key: &str, delta: i64, ttl_ms: u64) -> i64 {
        self.with(key, |lane, key| {
            let mut at = lane.totals.find(key);
            if let Some(gone) = at.filter(|at| lane.totals.expired(*at, now_ns)) {
                lane.totals.remove(gone);
                at = None;
            }
            match at {
                Some(at) => {
                    lane.totals.touch(at, now_ns);
                    let Some(total) = lane.totals.value_mut(at) else {
                        return delta;
                    };
                    *total = total.saturating_add(delta);
                    *total
                }
                None if delta == 0 => 0,
                None => {
                    let expires_ns = if ttl_ms == 0 {
                        NEVER
                    } else {
                        now_ns.saturating_add(ms_to_ns(ttl_ms))
                    };
                    self.keep(&mut lane.totals, None, key, delta, expires_ns, now_ns);
                    delta
                }
            }
        })
    }

    /// Takes one of `limit` places, until [`release`](Self::release). False = all are held, or the key is new and
    /// there is no room for it.
    #[must_use = "a place that was taken must be released"]
    pub fn acquire(&self, key: &str, limit: u64) -> bool {
        self.with(key, |lane, key| {
            if let Some(held) = lane.places.get_mut(key.key) {
                let free = *held < limit;
                *held += u64::from(free);
                return free;
            }
            let room = limit > 0 && lane.places.len() < self.lane_keys;
            if room {
                lane.places.insert(key.key.into(), 1);
            }
            room
        })
    }

    /// Gives one place back. Nothing happens if none is held.
    pub fn release(&self, key: &str) {
        self.with(key, |lane, key| {
            if let Some(held) = lane.places.get_mut(key.key) {
                *held -= 1;
                if *held == 0 {
                    lane.places.remove(key.key);
                }
            }
        });
    }

    /// Places of the key that are held.
    #[must_use]
    pub fn held(&self, key: &str) -> u64 {
        self.with(key, |lane, key| lane.places.get(key.key).copied().unwrap_or(0))
    }

    /// Number of limiters and plain counters, the expired that nobody looked at included.
    #[must_use]
    pub fn len(&self) -> usize {
        let each = self
            .lanes
            .iter()
            .map(|lane| lane.lock().unwrap_or_else(PoisonError::into_inner));
        each.map(|lane| lane.limiters.len() + lane.totals.len()).sum()
    }

    /// Whether there is no limiter and no plain counter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that were dropped for want of room before they expired.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn with<R: Default>(&self, key: &str, work: impl FnOnce(&mut Lane, Hashed<'_>) -> R) -> R {
        let key = short(key);
        let key = Hashed::new(&self.hasher, &key);
        // The lane number is always in range: the default is unreachable.
        let Some(lane) = self.lanes.get(key.lane(LANES)) else {
            return R::default();
        };
        work(&mut lane.lock().unwrap_or_else(PoisonError::into_inner), key)
    }

    /// Writes a state to its slot, or to a new one for which room is made.
    fn keep<V>(
        &self,
        table: &mut Table<V>,
        at: Option<SlotId>,
        key: Hashed<'_>,
        value: V,
        expires_ns: u64,
        now_ns: u64,
    ) {
        if let Some(at) = at {
            table.touch(at, now_ns);
            table.set_deadline(at, expires_ns);
            if let Some(kept) = table.value_mut(at) {
                *kept = value;
            }
            return;
        }
        let full = table.len() >= self.lane_keys;
        for _ in 0..RECLAIM {
            if table
                .pop_expired(now_ns, if full { RECLAIM_WHEN_FULL } else { 1 })
                .is_none()
            {
                break;
            }
        }
        if table.len() >= self.lane_keys && table.pop_oldest(None).is_some() {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        table.insert(key, value, expires_ns, now_ns);
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}

/// The key as it is kept.
pub(super) fn short(key: &str) -> Cow<'_, str> {
    if key.len() <= MAX_KEY_BYTES {
        return Cow::Borrowed(key);
    }
    let digest = Sha256::digest(key.as_bytes());
    Cow::Owned(digest.iter().fold(String::from("\0sha256:"), |text, byte| {
        text + &format!("{byte:02x}")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::limit::Algorithm;
    use std::sync::atomic::AtomicU64;

    const MS: u64 = 1_000_000;

    fn quota(limit: u64, period_ms: u64) -> Quota {
        Quota::new(limit, period_ms, 0, Algorithm::Gcra).unwrap()
    }

    #[test]
    fn eight_threads_get_exactly_the_limit() {
        for algorithm in [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow] {
            let counters = Counters::new(100);
            let quota = Quota::new(1_000, 60_000, 0, algorithm).unwrap();
            let allowed = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..500 {
                            if counters.take(7, "k", &quota, 1).allowed {
                                allowed.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(allowed.into_inner(), 1_000, "{algorithm:?}");
        }
    }

    #[test]
    fn eight_threads_hold_at_most_the_limit_of_places() {
        let counters = Counters::new(100);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if counters.acquire("k", 3) {
                            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            now.fetch_sub(1, Ordering::SeqCst);
                            counters.release("k");
                        }
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(counters.held("k"), 0);
    }

    #[test]
    fn places_are_given_back_one_by_one() {
        let counters = Counters::new(100);
        assert!(!counters.acquire("k", 0));
        assert!(counters.acquire("k", 2));
        assert!(counters.acquire("k", 2));
        assert!(!counters.acquire("k", 2));
        counters.release("k");
        assert!(counters.acquire("k", 2));
        counters.release("never held");
        assert_eq!(counters.held("k"), 2);
    }

    #[test]
    fn held_places_are_not_evicted() {
        let counters = Counters::new(16);
        let held = (0..1_000).filter(|n| counters.acquire(&n.to_string(), 1)).count();
        assert!(held <= 16);
        let again = (0..1_000).filter(|n| counters.held(&n.to_string()) == 1).count();
        assert_eq!(held, again);
    }

    #[test]
    fn a_plain_counter_expires_after_its_first_write() {
        let counters = Counters::new(100);
        assert_eq!(counters.add(0, "k", 2, 10), 2);
        assert_eq!(counters.add(9 * MS, "k", 3, 10), 5);
        assert_eq!(counters.add(10 * MS, "k", 0, 10), 0);
        assert_eq!(counters.add(10 * MS, "k", -4, 0), -4);
        assert_eq!(counters.add(u64::MAX - 1, "k", i64::MIN, 0), i64::MIN);
    }

    #[test]
    fn the_kinds_do_not_meet() {
        let counters = Counters::new(100);
        assert!(counters.take(0, "k", &quota(1, 1_000), 1).allowed);
        assert_eq!(counters.add(0, "k", 1, 0), 1);
        assert!(counters.acquire("k", 1));
    }

    #[test]
    fn a_look_makes_no_key() {
        let counters = Counters::new(100);
        assert!(counters.take(0, "k", &quota(1, 1_000), 0).allowed);
        assert!(!counters.take(0, "k", &quota(1, 1_000), 2).allowed);
        counters.give_back(0, "k", &quota(1, 1_000), 1);
        assert!(counters.is_empty());
    }

    #[test]
    fn keys_are_bounded_and_the_whole_ones_go_first() {
        let counters = Counters::new(160);
        let quota = quota(1, 1_000);
        for n in 0..5_000 {
            counters.take(0, &n.to_string(), &quota, 1);
        }
        assert!(counters.len() <= 160);
        let evicted = counters.evicted();
        assert!(evicted >= 5_000 - 160);
        for n in 5_000..5_160 {
            counters.take(1_000 * MS, &n.to_string(), &quota, 1);
        }
        assert!(
            counters.evicted() - evicted < 60,
            "most of the room came from expired keys"
        );
    }

    #[test]
    fn the_least_recently_used_key_is_the_one_forgotten() {
        let counters = Counters::new(1);
        let quota = quota(1, 60_000);
        let lane = |key: &str| Hashed::new(&counters.hasher, key).lane(LANES);
        let mates: Vec<String> = (0..)
            .map(|n: u32| n.to_string())
            .filter(|k| lane(k) == lane("0"))
            .take(2)
            .collect();
        assert!(counters.take(0, &mates[0], &quota, 1).allowed);
        assert!(!counters.take(1, &mates[0], &quota, 1).allowed);
        assert!(counters.take(2, &mates[1], &quota, 1).allowed);
        assert!(counters.take(3, &mates[0], &quota, 1).allowed, "it was forgotten");
    }

    #[test]
    fn long_keys_are_told_apart() {
        let counters = Counters::new(100);
        let (a, b) = ("x".repeat(10_000) + "a", "x".repeat(10_000) + "b");
        assert_eq!(counters.add(0, &a, 1, 0), 1);
        assert_eq!(counters.add(0, &b, 1, 0), 1);
        assert_eq!(counters.add(0, &a, 1, 0), 2);
    }
}
