//! The fake `shared`: a map with expiry and versions, without a memory limit unless a test sets one.

use std::collections::BTreeMap;

use super::{Blob, with_world};
use crate::{Problem, shared::Entry};

/// The stored values.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    entries: BTreeMap<String, Stored>,
    writes: u64,
    /// How many entries `put_absent` finds room for.
    pub(crate) room: Option<usize>,
}

#[derive(Debug)]
struct Stored {
    value: Vec<u8>,
    version: u64,
    expires_ms: Option<u64>,
}

impl Shared {
    pub(crate) fn get(&mut self, now_ms: u64, key: &str) -> Option<Entry> {
        self.entries
            .retain(|_, stored| stored.expires_ms.is_none_or(|at| at > now_ms));
        self.entries.get(key).map(|stored| Entry {
            value: stored.value.clone(),
            version: stored.version,
        })
    }

    fn put(&mut self, now_ms: u64, key: &str, value: &[u8], ttl_ms: u64) -> u64 {
        self.writes += 1;
        let expires_ms = (ttl_ms != 0).then(|| now_ms.saturating_add(ttl_ms));
        let stored = Stored {
            value: value.to_vec(),
            version: self.writes,
            expires_ms,
        };
        self.entries.insert(key.to_owned(), stored);
        self.writes
    }
}

pub(crate) fn get(key: &str) -> Option<Entry> {
    with_world(|world| world.shared.get(world.unix_ms(), key))
}

pub(crate) fn put(key: &str, value: &[u8], ttl_ms: u64) -> Result<(), Problem> {
    with_world(|world| world.shared.put(world.unix_ms(), key, value, ttl_ms));
    Ok(())
}

pub(crate) fn put_if(key: &str, value: &[u8], ttl_ms: u64, expected: u64) -> Result<u64, u64> {
    with_world(|world| {
        let now_ms = world.unix_ms();
        let found = world.shared.get(now_ms, key).map_or(0, |entry| entry.version);
        if found == expected {
            Ok(world.shared.put(now_ms, key, value, ttl_ms))
        } else {
            Err(found)
        }
    })
}

pub(crate) fn put_absent(key: &str, value: &[u8], ttl_ms: u64) -> Result<bool, Problem> {
    with_world(|world| {
        let now_ms = world.unix_ms();
        if world.shared.get(now_ms, key).is_some() {
            return Ok(false);
        }
        if world
            .shared
            .room
            .is_some_and(|room| world.shared.entries.len() >= room)
        {
            return Err(Problem::Limit("the map is full".to_owned()));
        }
        world.shared.put(now_ms, key, value, ttl_ms);
        Ok(true)
    })
}

pub(crate) fn get_blob(key: &str) -> Option<crate::Blob> {
    get(key).map(|entry| crate::Blob(Blob::from_bytes(&entry.value)))
}

pub(crate) fn put_blob(key: &str, value: crate::Blob, ttl_ms: u64) -> Result<(), Problem> {
    let crate::Blob(Blob(bytes)) = value;
    put(key, &bytes, ttl_ms)
}

pub(crate) fn remove(key: &str) -> bool {
    with_world(|world| {
        let found = world.shared.get(world.unix_ms(), key).is_some();
        world.shared.entries.remove(key);
        found
    })
}

pub(crate) fn keys(prefix: &str, max: u32) -> Vec<String> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    with_world(|world| {
        world
            .shared
            .entries
            .keys()
            .filter(|key| key.starts_with(prefix))
            .take(max)
            .cloned()
            .collect()
    })
}
