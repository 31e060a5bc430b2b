//! The parts of the shared map, each behind its own lock, and the byte budget that they share.
//!
//! It knows what an entry costs and which one goes when room is needed; not what a write means. No two locks are ever
//! held at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::store::shared::{ENTRY_OVERHEAD, SharedEntry};
use crate::store::table::{Hashed, NEVER, SlotId, Table};

/// Number of parts.
const LANES: usize = 16;

/// Expired entries that are taken out under one hold of a lock.
const RECLAIM_PER_HOLD: usize = 64;

/// All parts. `used` is the sum of what their entries cost, and at most `budget` but for the moment after the budget
/// was made smaller.
pub(super) struct Lanes {
    lanes: [Lane; LANES],
    used: AtomicU64,
    budget: AtomicU64,
}

pub(super) struct Lane {
    shard: Mutex<Shard>,
    /// What a thread that looks for room reads without the lock; may lag.
    oldest_used_ns: AtomicU64,
    next_deadline_ns: AtomicU64,
}

pub(super) struct Shard {
    pub(super) table: Table<SharedEntry>,
    pub(super) last_version: u64,
}

/// What a write does when the budget is used up.
#[derive(Clone, Copy)]
pub(super) enum WhenFull {
    Evict,
    Refuse,
}

impl Lanes {
    pub(super) fn new(budget: u64) -> Self {
        Self {
            lanes: std::array::from_fn(|_| Lane::new()),
            used: AtomicU64::new(0),
            budget: AtomicU64::new(budget),
        }
    }

    pub(super) fn of(&self, key: Hashed<'_>) -> Option<&Lane> {
        self.lanes.get(key.lane(LANES))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget.load(Ordering::Relaxed)
    }

    pub(super) fn set_budget(&self, budget: u64) {
        self.budget.store(budget, Ordering::Relaxed);
    }

    /// Finds the key in its part unless it has expired; then it is taken out.
    pub(super) fn find_live(&self, shard: &mut Shard, key: Hashed<'_>, now_ns: u64) -> Option<SlotId> {
        let at = shard.table.find(key)?;
        if !shard.table.expired(at, now_ns) {
            return Some(at);
        }
        self.release(shard.table.remove(at)?);
        None
    }

    /// Takes `bytes` of the budget, if there are so many.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        let budget = self.budget();
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= budget);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Gives back the bytes of an entry that was taken out.
    pub(super) fn release(&self, (key, entry): (Box<str>, SharedEntry)) {
        self.used.fetch_sub(cost(&key, &entry.value), Ordering::Relaxed);
    }

    /// Frees until `bytes` more would fit. Holds one lock at a time. False = there is not enough to free.
    pub(super) fn make_room(
        &self,
        now_ns: u64,
        bytes: u64,
        spare: Option<Hashed<'_>>,
        when_full: WhenFull,
    ) -> bool {
        while self.used().saturating_add(bytes) > self.budget() {
            let freed = self.reclaim(now_ns)
                || match when_full {
                    WhenFull::Evict => self.evict(spare),
                    WhenFull::Refuse => false,
                };
            if !freed {
                return false;
            }
        }
        true
    }

    /// Takes out some expired entries. False = there are none.
    pub(super) fn reclaim(&self, now_ns: u64) -> bool {
        let due = |lane: &&Lane| lane.next_deadline_ns.load(Ordering::Relaxed) <= now_ns;
        self.lanes.iter().filter(due).any(|lane| {
            lane.with(|shard| {
                let mut any = false;
                for _ in 0..RECLAIM_PER_HOLD {
                    let Some(entry) = shard.table.pop_expired(now_ns, RECLAIM_PER_HOLD) else {
                        break;
                    };
                    self.release(entry);
                    any = true;
                }
                // Deadlines that were only put off count as progress: the next look goes further.
                any || shard.table.next_deadline_ns() <= now_ns
            })
        })
    }

    /// Takes out the least recently used entry but `spare`. False = there is no other.
    fn evict(&self, spare: Option<Hashed<'_>>) -> bool {
        let mut lanes = self
            .lanes
            .each_ref()
            .map(|lane| (lane.oldest_used_ns.load(Ordering::Relaxed), lane));
        lanes.sort_unstable_by_key(|(used_ns, _)| *used_ns);
        lanes.iter().any(|(_, lane)| {
            let popped = lane.with(|shard| shard.table.pop_oldest(spare));
            popped.map(|entry| self.release(entry)).is_some()
        })
    }

    /// Gives back bytes that were reserved, or that an entry no longer needs.
    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Lane {
    const fn new() -> Self {
        Self {
            shard: Mutex::new(Shard {
                table: Table::new(),
                last_version: 0,
            }),
            oldest_used_ns: AtomicU64::new(NEVER),
            next_deadline_ns: AtomicU64::new(NEVER),
        }
    }

    /// Runs `work` under the lock and publishes what other threads look at without it.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Shard) -> R) -> R {
        let mut shard = self.shard.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut shard);
        self.oldest_used_ns
            .store(shard.table.oldest_used_ns(), Ordering::Relaxed);
        self.next_deadline_ns
            .store(shard.table.next_deadline_ns(), Ordering::Relaxed);
        result
    }
}

/// Bytes that an entry is charged.
pub(super) fn cost(key: &str, value: &Bytes) -> u64 {
    let bytes = key.len().saturating_add(value.len());
    u64::try_from(bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(ENTRY_OVERHEAD)
}
