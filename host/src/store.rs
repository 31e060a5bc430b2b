//! State that plugins share: on this node, one set of stores per plugin entry of the configuration; and between gateways
//! (`redis`).
//!
//! It knows entries by name only: no plugins, no grants, no generation. The stores belong to the name, so they outlive
//! every reload that keeps the entry.

pub mod counters;
pub mod flights;
pub mod limit;
pub mod redis;
pub mod shared;
mod table;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;
use crate::store::counters::Counters;
use crate::store::flights::Flights;
use crate::store::redis::Remotes;
use crate::store::shared::SharedMap;

/// Most limiters, and most plain counters, that one entry keeps.
pub const MAX_COUNTER_KEYS: usize = 262_144;

/// What one plugin entry keeps on this node.
#[derive(Debug)]
pub struct EntryStore {
    /// The WIT interface `shared`.
    pub shared: SharedMap,
    /// The WIT interface `counters`.
    pub counters: Counters,
    /// The WIT interface `flights`.
    pub flights: Flights,
}

impl EntryStore {
    /// Empty stores, with `shared_bytes` for the map.
    #[must_use]
    pub fn new(shared_bytes: u64) -> Self {
        Self {
            shared: SharedMap::new(shared_bytes),
            counters: Counters::new(MAX_COUNTER_KEYS),
            flights: Flights::default(),
        }
    }
}

/// The stores of all entries. Asked when a configuration is loaded, never per request: a pipeline keeps the `Arc`.
#[derive(Debug, Default)]
pub struct Stores {
    entries: Mutex<HashMap<String, Arc<EntryStore>>>,
    /// Those that gateways share.
    pub remotes: Remotes,
}

impl Stores {
    /// No stores yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The stores of the entry `name`, made when it has none yet. One that has them keeps their content; its map is
    /// given the budget `shared_bytes`, and when that is less than it holds, the least recently used values go.
    #[must_use]
    pub fn get_or_create(&self, name: &str, shared_bytes: u64) -> Arc<EntryStore> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, old) = match entries.get(name) {
            Some(store) => (Arc::clone(store), true),
            None => {
                let store = Arc::new(EntryStore::new(shared_bytes));
                entries.insert(name.to_owned(), Arc::clone(&store));
                (store, false)
            }
        };
        drop(entries);
        if old && store.shared.budget() != shared_bytes {
            store.shared.set_budget(clock::monotonic_ns(), shared_bytes);
        }
        store
    }

    /// Forgets the stores of entries that `keep` refuses, after a reload that removed them. Exchanges that still run
    /// with an old pipeline keep theirs to their end.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| keep(name));
    }

    /// Names and stores, sorted by name.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Arc<EntryStore>)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = entries
            .iter()
            .map(|(name, store)| (name.clone(), Arc::clone(store)))
            .collect();
        drop(entries);
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
        list
    }

    /// Gives the memory of expired values back; for a caller with time to spare, every few seconds.
    pub fn sweep(&self) {
        let now_ns = clock::monotonic_ns();
        for (_, store) in self.entries() {
            store.shared.sweep(now_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn content_belongs_to_the_name() {
        let stores = Stores::new();
        stores.get_or_create("limit", 1_000).counters.add(0, "k", 7, 0);
        assert_eq!(stores.get_or_create("limit", 1_000).counters.add(0, "k", 0, 0), 7);
        assert_eq!(stores.get_or_create("other", 1_000).counters.add(0, "k", 0, 0), 0);
    }

    #[test]
    fn a_new_budget_keeps_the_content() {
        let stores = Stores::new();
        stores
            .get_or_create("cache", 1_000)
            .shared
            .put(0, "k", Bytes::from_static(b"v"), 0)
            .unwrap();
        let store = stores.get_or_create("cache", 2_000);
        assert_eq!(store.shared.budget(), 2_000);
        assert!(store.shared.get(0, "k").is_some());
    }

    #[test]
    fn retain_forgets_the_entries_that_are_gone() {
        let stores = Stores::new();
        for name in ["a", "b", "c"] {
            let _created = stores.get_or_create(name, 1_000);
        }
        stores.retain(|name| name != "b");
        let names: Vec<String> = stores.entries().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "c"]);
    }
}
