//! Interface `shared`: the entry's map of this process.

use bytes::Bytes;
use wasmtime::component::Resource;

use super::imports::shared::{Entry, Host};
use super::imports::types::Problem;
use super::{Blob, Fallible, HostState, Trap};
use crate::clock::monotonic_ns;
use crate::store::shared::SharedError;

/// Bytes of one value that fit through `get`; larger ones are blobs.
fn problem(error: &SharedError) -> Problem {
    match error {
        SharedError::KeyTooLong { .. } => Problem::Invalid(error.to_string()),
        _ => Problem::Limit(error.to_string()),
    }
}

impl Host for HostState {
    fn get(&mut self, key: String) -> Trap<Option<Entry>> {
        let found = self.entry.store.shared.get(monotonic_ns(), &key);
        Ok(found.map(|entry| Entry {
            value: entry.value.to_vec(),
            version: entry.version,
        }))
    }

    fn put(&mut self, key: String, value: Vec<u8>, ttl_ms: u64) -> Fallible<()> {
        let put = self.entry.store.shared.put(monotonic_ns(), &key, value, ttl_ms);
        Ok(put.map(|_| ()).map_err(|e| problem(&e)))
    }

    fn put_if(&mut self, key: String, value: Vec<u8>, ttl_ms: u64, expected: u64) -> Trap<Result<u64, u64>> {
        match self
            .entry
            .store
            .shared
            .put_if(monotonic_ns(), &key, value, ttl_ms, expected)
        {
            Ok(version) => Ok(Ok(version)),
            Err(SharedError::Conflict { found }) => Ok(Err(found)),
            // The contract gives no other error here: a value that can never fit is a bug of the plugin.
            Err(error) => Err(wasmtime::format_err!("shared.put-if: {error}")),
        }
    }

    fn get_blob(&mut self, key: String) -> Trap<Option<Resource<Blob>>> {
        let found = self.entry.store.shared.get(monotonic_ns(), &key);
        found.map(|entry| self.lend(entry.value)).transpose()
    }

    fn put_blob(&mut self, key: String, value: Resource<Blob>, ttl_ms: u64) -> Fallible<()> {
        let value: Bytes = self.take(value)?;
        // A slice of a larger buffer would keep all of it.
        let value = Bytes::copy_from_slice(&value);
        let put = self.entry.store.shared.put(monotonic_ns(), &key, value, ttl_ms);
        Ok(put.map(|_| ()).map_err(|e| problem(&e)))
    }

    fn put_absent(&mut self, key: String, value: Vec<u8>, ttl_ms: u64) -> Fallible<bool> {
        let put = self
            .entry
            .store
            .shared
            .put_absent(monotonic_ns(), &key, value, ttl_ms);
        Ok(put.map_err(|e| problem(&e)))
    }

    fn remove(&mut self, key: String) -> Trap<bool> {
        Ok(self.entry.store.shared.remove(monotonic_ns(), &key))
    }

    fn keys(&mut self, prefix: String, max: u32) -> Trap<Vec<String>> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Ok(self.entry.store.shared.keys(monotonic_ns(), &prefix, max))
    }
}
