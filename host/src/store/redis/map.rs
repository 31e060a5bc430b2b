//! Bytes that gateways share: the WIT interface `cluster-map`.
//!
//! It knows keys, sizes and times to live; not what the bytes mean.

use std::time::Duration;

use bytes::Bytes;
use redis::Value;

use super::counters::strange;
use super::{EntryRemote, RemoteError};
use crate::store::shared::MAX_KEY_BYTES;

/// Most keys of one call.
pub const MAX_KEYS: usize = 1_024;

/// Longest value that is read or written as a list of bytes; longer ones are blobs.
pub const MAX_LISTED_VALUE: usize = 64 << 10;

/// Longest time to live that is told to the store, in milliseconds: 31,000 years.
const MAX_TTL_MS: u64 = 1_000_000_000_000_000;

impl EntryRemote {
    /// The values of these keys, in their order, each at most `most` bytes long.
    ///
    /// # Errors
    /// When the store does not do it; `Limit` when a key or a value is too long, or there are too many.
    pub async fn get(
        &self,
        keys: &[String],
        most: usize,
        left: Duration,
    ) -> Result<Vec<Option<Bytes>>, RemoteError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("MGET");
        command.arg(self.value_keys(keys)?);
        let Value::Array(values) = self.call(command, self.until(left)).await? else {
            return Err(strange());
        };
        if values.len() != keys.len() {
            return Err(strange());
        }
        let value = |value| match value {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) if bytes.len() <= most => Ok(Some(Bytes::from(bytes))),
            Value::BulkString(bytes) => Err(too_long(bytes.len(), most)),
            _ => Err(strange()),
        };
        values.into_iter().map(value).collect()
    }

    /// Stores a value of at most `most` bytes for `ttl_ms` milliseconds (0 = until it is removed).
    ///
    /// # Errors
    /// When the store does not do it; `Limit` when the key or the value is too long.
    pub async fn put(
        &self,
        key: &str,
        value: &[u8],
        ttl_ms: u64,
        most: usize,
        left: Duration,
    ) -> Result<(), RemoteError> {
        let command = self.set(key, value, ttl_ms, most)?;
        self.call(command, self.until(left)).await.map(drop)
    }

    /// The same only if the key is absent. False = it was there.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn put_absent(
        &self,
        key: &str,
        value: &[u8],
        ttl_ms: u64,
        most: usize,
        left: Duration,
    ) -> Result<bool, RemoteError> {
        let mut command = self.set(key, value, ttl_ms, most)?;
        command.arg("NX");
        match self.call(command, self.until(left)).await? {
            Value::Okay => Ok(true),
            Value::Nil => Ok(false),
            _ => Err(strange()),
        }
    }

    /// Removes these keys, and gives the number of those that were there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn remove(&self, keys: &[String], left: Duration) -> Result<u64, RemoteError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let mut command = redis::cmd("UNLINK");
        command.arg(self.value_keys(keys)?);
        match self.call(command, self.until(left)).await? {
            Value::Int(removed) => Ok(u64::try_from(removed).unwrap_or(0)),
            _ => Err(strange()),
        }
    }

    fn set(&self, key: &str, value: &[u8], ttl_ms: u64, most: usize) -> Result<redis::Cmd, RemoteError> {
        if value.len() > most {
            return Err(too_long(value.len(), most));
        }
        let mut command = redis::cmd("SET");
        command.arg(self.value_key(key)?).arg(value);
        if ttl_ms > 0 {
            command.arg("PX").arg(ttl_ms.min(MAX_TTL_MS));
        }
        Ok(command)
    }

    fn value_keys(&self, keys: &[String]) -> Result<Vec<String>, RemoteError> {
        if keys.len() > MAX_KEYS {
            return Err(RemoteError::Limit(format!("a call has at most {MAX_KEYS} keys")));
        }
        keys.iter().map(|key| self.value_key(key)).collect()
    }

    fn value_key(&self, key: &str) -> Result<String, RemoteError> {
        if key.len() > MAX_KEY_BYTES {
            let text = format!("key of {} bytes is longer than {MAX_KEY_BYTES}", key.len());
            return Err(RemoteError::Invalid(text));
        }
        Ok(format!("{}{key}", self.values))
    }
}

fn too_long(len: usize, most: usize) -> RemoteError {
    RemoteError::Limit(format!("value of {len} bytes is longer than {most}"))
}

#[cfg(test)]
mod tests;
