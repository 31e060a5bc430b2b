//! The map that the instances of one plugin entry share: the WIT interface `shared`.
//!
//! It knows bytes, versions, deadlines and one byte budget; not who asks, nor what the bytes mean. A deadline is
//! compared with the time that the caller passes in, nanoseconds of `clock::monotonic_ns`.

mod lanes;

use std::fmt;
use std::hash::RandomState;

use bytes::Bytes;
use thiserror::Error;

use crate::clock::ms_to_ns;
use crate::store::shared::lanes::{Lanes, Shard, WhenFull, cost};
use crate::store::table::{Hashed, NEVER, Table};

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 4_096;

/// Most keys that [`SharedMap::keys`] gives at once.
pub const MAX_KEYS_LISTED: usize = 10_000;

/// What an entry is charged besides its key and its value: slot, index, deadline and allocator overhead, rounded up.
pub const ENTRY_OVERHEAD: u64 = 192;

/// Expired entries that a write takes out in passing.
const RECLAIM_PER_WRITE: usize = 2;

/// Slots that `keys` looks at under one hold of a lock.
const SLOTS_PER_HOLD: usize = 1_024;

/// How often a write that found no room tries again while others take what it freed.
const TRIES: usize = 64;

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SharedError {
    /// The key is longer than [`MAX_KEY_BYTES`].
    #[error("key of {len} bytes is longer than {MAX_KEY_BYTES}")]
    KeyTooLong {
        /// Bytes of the key.
        len: usize,
    },
    /// The entry alone would be larger than the whole budget.
    #[error("entry of {needed} bytes is larger than the budget of {budget}")]
    TooLarge {
        /// Bytes charged for the entry.
        needed: u64,
        /// Bytes of the whole map.
        budget: u64,
    },
    /// The budget is used up, and this write must not evict (or others took the room it made).
    #[error("the map is full")]
    Full,
    /// The key has another version than expected, or is there and should not be.
    #[error("the key has version {found}")]
    Conflict {
        /// The version found; 0 = absent.
        found: u64,
    },
}

/// A value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedEntry {
    /// The bytes; cloning them copies nothing.
    pub value: Bytes,
    /// Never 0, and never given twice to one key while the map lives.
    pub version: u64,
}

/// Bytes by key within a byte budget, for all worker threads at once.
///
/// An entry costs its key, its value and [`ENTRY_OVERHEAD`]. When a write finds no room, expired entries go first,
/// then the least recently used of the whole map. A value is charged by its length: a `Bytes` that is a slice of
/// something larger keeps the larger thing alive, so callers pass buffers of the value's own size.
pub struct SharedMap {
    lanes: Lanes,
    hasher: RandomState,
}

/// When a write applies.
#[derive(Clone, Copy)]
enum Expected {
    Anything,
    Absent,
    Version(u64),
}

enum Attempt {
    Done(u64),
    NeedsRoom(u64),
}

impl SharedMap {
    /// An empty map that holds at most `budget` bytes.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        Self {
            lanes: Lanes::new(budget),
            hasher: RandomState::new(),
        }
    }

    /// The value of `key`, which becomes the latest used.
    #[must_use]
    pub fn get(&self, now_ns: u64, key: &str) -> Option<SharedEntry> {
        let key = Hashed::new(&self.hasher, key);
        self.lanes.of(key)?.with(|shard| {
            let at = self.lanes.find_live(shard, key, now_ns)?;
            shard.table.touch(at, now_ns);
            shard.table.value(at).cloned()
        })
    }

    /// Stores a value for `ttl_ms` milliseconds (0 = until evicted) and gives its version.
    ///
    /// # Errors
    /// When the key or the entry is too large; `Full` only if other threads take all the room that this call makes.
    pub fn put(
        &self,
        now_ns: u64,
        key: &str,
        value: impl Into<Bytes>,
        ttl_ms: u64,
    ) -> Result<u64, SharedError> {
        self.write(
            now_ns,
            key,
            &value.into(),
            ttl_ms,
            Expected::Anything,
            WhenFull::Evict,
        )
    }

    /// Stores a value only if the key's version is `expected` (0 = absent), and gives the new version.
    ///
    /// # Errors
    /// `Conflict` with the version found; otherwise as [`put`](Self::put).
    pub fn put_if(
        &self,
        now_ns: u64,
        key: &str,
        value: impl Into<Bytes>,
        ttl_ms: u64,
        expected: u64,
    ) -> Result<u64, SharedError> {
        let expected = if expected == 0 {
            Expected::Absent
        } else {
            Expected::Version(expected)
        };
        self.write(now_ns, key, &value.into(), ttl_ms, expected, WhenFull::Evict)
    }

    /// Stores a value if the key is absent, without evicting anything that has not expired: what a replay window
    /// holds cannot be pushed out of it this way. False = the key was there.
    ///
    /// # Errors
    /// `Full` when nothing has expired and the budget is used up; otherwise as [`put`](Self::put).
    pub fn put_absent(
        &self,
        now_ns: u64,
        key: &str,
        value: impl Into<Bytes>,
        ttl_ms: u64,
    ) -> Result<bool, SharedError> {
        match self.write(
            now_ns,
            key,
            &value.into(),
            ttl_ms,
            Expected::Absent,
            WhenFull::Refuse,
        ) {
            Ok(_) => Ok(true),
            Err(SharedError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the key out. False = it was not there.
    pub fn remove(&self, now_ns: u64, key: &str) -> bool {
        let key = Hashed::new(&self.hasher, key);
        let removed = self.lanes.of(key).and_then(|lane| {
            lane.with(|shard| {
                let at = self.lanes.find_live(shard, key, now_ns)?;
                self.lanes.release(shard.table.remove(at)?);
                Some(())
            })
        });
        removed.is_some()
    }

    /// At most `max` (and [`MAX_KEYS_LISTED`]) keys that start with `prefix`, sorted. Looks at every key, in steps
    /// that let other threads in between: a key that comes or goes meanwhile may or may not be among them.
    #[must_use]
    pub fn keys(&self, now_ns: u64, prefix: &str, max: usize) -> Vec<String> {
        let max = max.min(MAX_KEYS_LISTED);
        let mut found: Vec<String> = Vec::new();
        for lane in self.lanes.iter() {
            for from in (0..).step_by(SLOTS_PER_HOLD) {
                let room = max.saturating_sub(found.len());
                let more = room > 0
                    && lane.with(|shard| {
                        let keys = shard.table.live_keys(from, SLOTS_PER_HOLD, now_ns);
                        let more = keys.is_some();
                        let matching = keys.into_iter().flatten().filter(|key| key.starts_with(prefix));
                        found.extend(matching.take(room).map(String::from));
                        more
                    });
                if !more {
                    break;
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Takes everything out.
    pub fn clear(&self) {
        for lane in self.lanes.iter() {
            // Versions go on from where they are: a key that comes back must not meet an old one.
            let mut table = lane.with(|shard| std::mem::replace(&mut shard.table, Table::new()));
            while let Some(entry) = table.pop_oldest(None) {
                self.lanes.release(entry);
            }
        }
    }

    /// Changes the budget. What fits stays; beyond it the least recently used go.
    pub fn set_budget(&self, now_ns: u64, budget: u64) {
        self.lanes.set_budget(budget);
        self.lanes.make_room(now_ns, 0, None, WhenFull::Evict);
    }

    /// Takes out all that has expired. Reads and writes do so in passing; a caller with time to spare gives memory
    /// back earlier.
    pub fn sweep(&self, now_ns: u64) {
        while self.lanes.reclaim(now_ns) {}
    }

    /// Bytes that may be used.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.lanes.budget()
    }

    /// Bytes used, the expired that nobody looked at included.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lanes.used()
    }

    /// Number of entries, the expired that nobody looked at included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes
            .iter()
            .map(|lane| lane.with(|shard| shard.table.len()))
            .sum()
    }

    /// Whether there is no entry at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn write(
        &self,
        now_ns: u64,
        key: &str,
        value: &Bytes,
        ttl_ms: u64,
        expected: Expected,
        when_full: WhenFull,
    ) -> Result<u64, SharedError> {
        if key.len() > MAX_KEY_BYTES {
            return Err(SharedError::KeyTooLong { len: key.len() });
        }
        let key = Hashed::new(&self.hasher, key);
        let lane = self.lanes.of(key).ok_or(SharedError::Full)?;
        let expires_ns = if ttl_ms == 0 {
            NEVER
        } else {
            now_ns.saturating_add(ms_to_ns(ttl_ms))
        };
        for _ in 0..TRIES {
            match lane.with(|shard| self.try_write(shard, now_ns, key, value, expires_ns, expected))? {
                Attempt::Done(version) => return Ok(version),
                Attempt::NeedsRoom(bytes) => {
                    if !self.lanes.make_room(now_ns, bytes, Some(key), when_full) {
                        return Err(SharedError::Full);
                    }
                }
            }
        }
        Err(SharedError::Full)
    }

    fn try_write(
        &self,
        shard: &mut Shard,
        now_ns: u64,
        key: Hashed<'_>,
        value: &Bytes,
        expires_ns: u64,
        expected: Expected,
    ) -> Result<Attempt, SharedError> {
        for _ in 0..RECLAIM_PER_WRITE {
            let Some(entry) = shard.table.pop_expired(now_ns, 1) else {
                break;
            };
            self.lanes.release(entry);
        }
        let at = self.lanes.find_live(shard, key, now_ns);
        let old = at.and_then(|at| shard.table.value(at));
        let (found, old_cost) = old.map_or((0, 0), |entry| (entry.version, cost(key.key, &entry.value)));
        match expected {
            Expected::Absent if found != 0 => return Err(SharedError::Conflict { found }),
            Expected::Version(version) if version != found => return Err(SharedError::Conflict { found }),
            _ => {}
        }
        let needed = cost(key.key, value);
        let budget = self.budget();
        if needed > budget {
            return Err(SharedError::TooLarge { needed, budget });
        }
        let more = needed.saturating_sub(old_cost);
        if more > 0 && !self.lanes.reserve(more) {
            return Ok(Attempt::NeedsRoom(more));
        }
        shard.last_version += 1;
        let entry = SharedEntry {
            value: value.clone(),
            version: shard.last_version,
        };
        match at {
            Some(at) => {
                shard.table.touch(at, now_ns);
                shard.table.set_deadline(at, expires_ns);
                if let Some(kept) = shard.table.value_mut(at) {
                    *kept = entry;
                }
            }
            None => {
                if shard.table.insert(key, entry, expires_ns, now_ns).is_none() {
                    self.lanes.give_back(more);
                    return Err(SharedError::Full);
                }
            }
        }
        self.lanes.give_back(old_cost.saturating_sub(needed));
        Ok(Attempt::Done(shard.last_version))
    }
}

impl fmt::Debug for SharedMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("SharedMap");
        f.field("used", &self.used())
            .field("budget", &self.budget())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
