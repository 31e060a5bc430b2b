//! The hash table under the shared map and the counters: keys in order of use, with deadlines.
//!
//! It has no lock, no clock and no bound of its own; its owner has. One operation costs one hash look-up, and a
//! slot that is found can then be read, moved and changed without another.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// A deadline that never comes.
pub(super) const NEVER: u64 = u64::MAX;

/// A link to no slot.
const NONE: u32 = u32::MAX;

/// A key with its hash, computed once per operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hashed<'k> {
    pub(super) key: &'k str,
    hash: u64,
}

impl<'k> Hashed<'k> {
    pub(super) fn new(hasher: &RandomState, key: &'k str) -> Self {
        Self {
            key,
            hash: hasher.hash_one(key),
        }
    }

    /// Which of `lanes` parts this key belongs to. Not the bits that the hash table itself starts from.
    pub(super) fn lane(&self, lanes: usize) -> usize {
        usize::try_from(self.hash >> 40).unwrap_or(0) % lanes.max(1)
    }
}

/// A slot that was found; good until the table is next changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotId(u32);

/// Values by key, linked from the longest unused to the latest used.
pub(super) struct Table<V> {
    index: HashTable<u32>,
    slots: Vec<Option<Slot<V>>>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    /// Deadline and slot. A deadline here may be earlier than the slot's own, never later: putting a deadline off
    /// leaves this set alone, and whoever looks for the expired moves the entry on.
    deadlines: BTreeSet<(u64, u32)>,
}

struct Slot<V> {
    key: Box<str>,
    hash: u64,
    value: V,
    used_ns: u64,
    expires_ns: u64,
    indexed_ns: u64,
    older: u32,
    newer: u32,
}

impl<V> Table<V> {
    pub(super) const fn new() -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            deadlines: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, key: Hashed<'_>) -> Option<SlotId> {
        let same = |id: &u32| self.slot(*id).is_some_and(|slot| *slot.key == *key.key);
        self.index.find(key.hash, same).copied().map(SlotId)
    }

    pub(super) fn value(&self, at: SlotId) -> Option<&V> {
        self.slot(at.0).map(|slot| &slot.value)
    }

    pub(super) fn value_mut(&mut self, at: SlotId) -> Option<&mut V> {
        self.slot_mut(at.0).map(|slot| &mut slot.value)
    }

    /// Whether the deadline of the slot has come.
    pub(super) fn expired(&self, at: SlotId, now_ns: u64) -> bool {
        self.slot(at.0).is_some_and(|slot| slot.expires_ns <= now_ns)
    }

    /// Makes the slot the latest used.
    pub(super) fn touch(&mut self, at: SlotId, now_ns: u64) {
        if at.0 != self.newest {
            self.unlink(at.0);
            self.link_newest(at.0);
        }
        if let Some(slot) = self.slot_mut(at.0) {
            slot.used_ns = now_ns;
        }
    }

    pub(super) fn set_deadline(&mut self, at: SlotId, expires_ns: u64) {
        let Some(slot) = self.slots.get_mut(at.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        slot.expires_ns = expires_ns;
        if expires_ns < slot.indexed_ns {
            self.deadlines.remove(&(slot.indexed_ns, at.0));
            self.deadlines.insert((expires_ns, at.0));
            slot.indexed_ns = expires_ns;
        }
    }

    /// Adds a key that is not there yet, as the latest used. None when no further slot can be numbered.
    pub(super) fn insert(
        &mut self,
        key: Hashed<'_>,
        value: V,
        expires_ns: u64,
        now_ns: u64,
    ) -> Option<SlotId> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = u32::try_from(self.slots.len()).ok().filter(|id| *id != NONE)?;
                self.slots.push(None);
                id
            }
        };
        let slot = Slot {
            key: key.key.into(),
            hash: key.hash,
            value,
            used_ns: now_ns,
            expires_ns,
            indexed_ns: expires_ns,
            older: NONE,
            newer: NONE,
        };
        *self.slots.get_mut(id as usize)? = Some(slot);
        let slots = &self.slots;
        self.index.insert_unique(key.hash, id, |id| hash_of(slots, *id));
        if expires_ns != NEVER {
            self.deadlines.insert((expires_ns, id));
        }
        self.link_newest(id);
        Some(SlotId(id))
    }

    pub(super) fn remove(&mut self, at: SlotId) -> Option<(Box<str>, V)> {
        let hash = self.slot(at.0)?.hash;
        self.unlink(at.0);
        let slot = self.slots.get_mut(at.0 as usize)?.take()?;
        if slot.indexed_ns != NEVER {
            self.deadlines.remove(&(slot.indexed_ns, at.0));
        }
        if let Ok(found) = self.index.find_entry(hash, |id| *id == at.0) {
            found.remove();
        }
        self.free.push(at.0);
        Some((slot.key, slot.value))
    }

    /// When the longest unused slot was last used; [`NEVER`] for an empty table.
    pub(super) fn oldest_used_ns(&self) -> u64 {
        self.slot(self.oldest).map_or(NEVER, |slot| slot.used_ns)
    }

    /// A moment before which no slot expires.
    pub(super) fn next_deadline_ns(&self) -> u64 {
        self.deadlines.first().map_or(NEVER, |(at, _)| *at)
    }

    /// Takes out the longest unused slot, but not that of `spare`.
    pub(super) fn pop_oldest(&mut self, spare: Option<Hashed<'_>>) -> Option<(Box<str>, V)> {
        let spared = |slot: &Slot<V>| spare.is_some_and(|s| s.hash == slot.hash && *s.key == *slot.key);
        let mut id = self.oldest;
        if self.slot(id).is_some_and(spared) {
            id = self.slot(id)?.newer;
        }
        self.remove(SlotId(id))
    }

    /// Looks at the `steps` earliest deadlines and takes out one slot whose deadline has come.
    pub(super) fn pop_expired(&mut self, now_ns: u64, steps: usize) -> Option<(Box<str>, V)> {
        for _ in 0..steps {
            let (indexed_ns, id) = *self.deadlines.first()?;
            if indexed_ns > now_ns {
                return None;
            }
            let expires_ns = self.slot(id).map_or(0, |slot| slot.expires_ns);
            if expires_ns <= now_ns {
                return self.remove(SlotId(id));
            }
            self.deadlines.remove(&(indexed_ns, id));
            if expires_ns != NEVER {
                self.deadlines.insert((expires_ns, id));
            }
            if let Some(slot) = self.slot_mut(id) {
                slot.indexed_ns = expires_ns;
            }
        }
        None
    }

    /// The live keys among `count` slots from slot number `from` on; none when `from` is past the last slot.
    pub(super) fn live_keys(
        &self,
        from: usize,
        count: usize,
        now_ns: u64,
    ) -> Option<impl Iterator<Item = &str>> {
        let end = from.saturating_add(count).min(self.slots.len());
        let part = self.slots.get(from..end).filter(|part| !part.is_empty())?;
        let live = part.iter().flatten().filter(move |slot| slot.expires_ns > now_ns);
        Some(live.map(|slot| &*slot.key))
    }

    fn slot(&self, id: u32) -> Option<&Slot<V>> {
        self.slots.get(id as usize)?.as_ref()
    }

    fn slot_mut(&mut self, id: u32) -> Option<&mut Slot<V>> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    fn unlink(&mut self, id: u32) {
        let Some((older, newer)) = self.slot(id).map(|slot| (slot.older, slot.newer)) else {
            return;
        };
        match self.slot_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slot_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, id: u32) {
        let before = std::mem::replace(&mut self.newest, id);
        if let Some(slot) = self.slot_mut(id) {
            slot.older = before;
            slot.newer = NONE;
        }
        match self.slot_mut(before) {
            Some(slot) => slot.newer = id,
            None => self.oldest = id,
        }
    }
}

impl<V> fmt::Debug for Table<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn hash_of<V>(slots: &[Option<Slot<V>>], id: u32) -> u64 {
    slots
        .get(id as usize)
        .and_then(Option::as_ref)
        .map_or(0, |slot| slot.hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Debug, Clone)]
    enum Op {
        Put(u8, u64),
        Touch(u8),
        PutOff(u8, u64),
        Remove(u8),
        PopOldest,
        PopExpired(u64),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            (0..12_u8, 0..100_u64).prop_map(|(k, at)| Op::Put(k, at)),
            (0..12_u8).prop_map(Op::Touch),
            (0..12_u8, 0..100_u64).prop_map(|(k, at)| Op::PutOff(k, at)),
            (0..12_u8).prop_map(Op::Remove),
            Just(Op::PopOldest),
            (0..100_u64).prop_map(Op::PopExpired),
        ];
        proptest::collection::vec(op, 0..120)
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_in_order_of_use(ops in ops()) {
            let hasher = RandomState::new();
            let mut table = Table::new();
            let mut order: Vec<String> = Vec::new();
            let mut deadlines: HashMap<String, u64> = HashMap::new();
            for op in ops {
                match op {
                    Op::Put(k, at) => {
                        let key = k.to_string();
                        if table.find(Hashed::new(&hasher, &key)).is_none() {
                            table.insert(Hashed::new(&hasher, &key), k, at, 0).unwrap();
                            order.push(key.clone());
                            deadlines.insert(key, at);
                        }
                    }
                    Op::Touch(k) => {
                        let key = k.to_string();
                        if let Some(at) = table.find(Hashed::new(&hasher, &key)) {
                            table.touch(at, 0);
                            order.retain(|o| *o != key);
                            order.push(key);
                        }
                    }
                    Op::PutOff(k, to) => {
                        let key = k.to_string();
                        if let Some(at) = table.find(Hashed::new(&hasher, &key)) {
                            table.set_deadline(at, to);
                            deadlines.insert(key, to);
                        }
                    }
                    Op::Remove(k) => {
                        let key = k.to_string();
                        let at = table.find(Hashed::new(&hasher, &key));
                        prop_assert_eq!(at.is_some(), order.contains(&key));
                        if let Some(at) = at {
                            prop_assert_eq!(table.remove(at), Some((key.clone().into(), k)));
                            order.retain(|o| *o != key);
                            deadlines.remove(&key);
                        }
                    }
                    Op::PopOldest => {
                        let popped = table.pop_oldest(None).map(|(key, _)| String::from(key));
                        let oldest = if order.is_empty() { None } else { Some(order.remove(0)) };
                        if let Some(key) = &oldest {
                            deadlines.remove(key);
                        }
                        prop_assert_eq!(popped, oldest);
                    }
                    Op::PopExpired(now) => {
                        let popped = table.pop_expired(now, usize::MAX).map(|(key, _)| String::from(key));
                        match popped {
                            Some(key) => {
                                prop_assert!(deadlines.remove(&key).unwrap() <= now);
                                order.retain(|o| *o != key);
                            }
                            None => prop_assert!(deadlines.values().all(|at| *at > now)),
                        }
                    }
                }
                prop_assert_eq!(table.len(), order.len());
            }
            let left: Vec<String> =
                std::iter::from_fn(|| table.pop_oldest(None)).map(|(key, _)| key.into()).collect();
            prop_assert_eq!(left, order);
            prop_assert!(table.deadlines.is_empty());
        }
    }

    #[test]
    fn the_spared_key_is_passed_over() {
        let hasher = RandomState::new();
        let mut table = Table::new();
        for key in ["a", "b"] {
            table.insert(Hashed::new(&hasher, key), (), NEVER, 0).unwrap();
        }
        let spare = Hashed::new(&hasher, "a");
        assert_eq!(table.pop_oldest(Some(spare)).unwrap().0, Box::from("b"));
        assert!(table.pop_oldest(Some(spare)).is_none());
    }

    #[test]
    fn an_expired_key_is_not_listed() {
        let hasher = RandomState::new();
        let mut table = Table::new();
        table.insert(Hashed::new(&hasher, "old"), (), 5, 0).unwrap();
        table.insert(Hashed::new(&hasher, "new"), (), 6, 0).unwrap();
        assert_eq!(table.live_keys(0, 10, 5).unwrap().collect::<Vec<_>>(), ["new"]);
        assert!(table.live_keys(2, 10, 5).is_none());
    }
}
