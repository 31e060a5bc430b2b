//! Interface `cluster-map`: bytes in the store that the entry is granted.

use bytes::Bytes;
use wasmtime::component::Resource;

use super::imports::cluster_map::Host;
use super::imports::types::Problem;
use super::{Blob, Fallible, HostState};
use crate::store::redis::MAX_LISTED_VALUE;

impl HostState {
    /// Bytes of a blob in the store: those that the entry may have of a body.
    fn longest_blob(&self) -> usize {
        usize::try_from(self.entry.max_body).unwrap_or(usize::MAX)
    }

    async fn put_bytes(
        &mut self,
        key: String,
        value: Bytes,
        ttl_ms: u64,
        most: usize,
    ) -> Result<(), Problem> {
        let store = self.granted_store();
        let put = async { store.remote()?.put(&key, &value, ttl_ms, most, store.left).await };
        Ok(self.wait(put).await??)
    }

    async fn get_bytes(&mut self, keys: Vec<String>, most: usize) -> Result<Vec<Option<Bytes>>, Problem> {
        let store = self.granted_store();
        let get = async { store.remote()?.get(&keys, most, store.left).await };
        Ok(self.wait(get).await??)
    }
}

impl Host for HostState {
    async fn get(&mut self, keys: Vec<String>) -> Fallible<Vec<Option<Vec<u8>>>> {
        let values = self.get_bytes(keys, MAX_LISTED_VALUE).await;
        Ok(values.map(|values| values.into_iter().map(|value| value.map(Vec::from)).collect()))
    }

    async fn put(&mut self, key: String, value: Vec<u8>, ttl_ms: u64) -> Fallible<()> {
        Ok(self.put_bytes(key, value.into(), ttl_ms, MAX_LISTED_VALUE).await)
    }

    async fn put_absent(&mut self, key: String, value: Vec<u8>, ttl_ms: u64) -> Fallible<bool> {
        let store = self.granted_store();
        let put = async {
            let remote = store.remote()?;
            remote
                .put_absent(&key, &value, ttl_ms, MAX_LISTED_VALUE, store.left)
                .await
        };
        Ok(self.wait(put).await.and_then(|done| Ok(done?)))
    }

    async fn get_blob(&mut self, key: String) -> Fallible<Option<Resource<Blob>>> {
        let most = self.longest_blob();
        match self.get_bytes(vec![key], most).await {
            Ok(values) => {
                let value = values.into_iter().next().flatten();
                Ok(Ok(value.map(|value| self.lend(value)).transpose()?))
            }
            Err(problem) => Ok(Err(problem)),
        }
    }

    async fn put_blob(&mut self, key: String, value: Resource<Blob>, ttl_ms: u64) -> Fallible<()> {
        let (value, most) = (self.take(value)?, self.longest_blob());
        Ok(self.put_bytes(key, value, ttl_ms, most).await)
    }

    async fn remove(&mut self, keys: Vec<String>) -> Fallible<u64> {
        let store = self.granted_store();
        let remove = async { store.remote()?.remove(&keys, store.left).await };
        Ok(self.wait(remove).await.and_then(|done| Ok(done?)))
    }
}
