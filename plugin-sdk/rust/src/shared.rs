//! The map of this plugin's entry in this process: all instances see it, and it survives a reload. The least
//! recently used goes first when the entry's memory grant is full. Knows nothing of what the bytes mean.

use std::time::Duration;

use crate::{Blob, Problem, host::shared as host};

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes.
    pub value: Vec<u8>,
    /// Changes with every write; for [`put_if`].
    pub version: u64,
}

/// The value under a key.
#[must_use]
pub fn get(key: &str) -> Option<Entry> {
    host::get(key)
}

/// Writes a value; a `ttl` of zero means no expiry.
///
/// # Errors
/// [`Problem::Limit`] when the value alone is over the entry's grant.
pub fn put(key: &str, value: &[u8], ttl: Duration) -> Result<(), Problem> {
    host::put(key, value, millis(ttl))
}

/// Writes a value only if the stored version is still `expected`, 0 meaning absent; gives the new version.
///
/// # Errors
/// The version that was found.
pub fn put_if(key: &str, value: &[u8], ttl: Duration, expected: u64) -> Result<u64, u64> {
    host::put_if(key, value, millis(ttl), expected)
}

/// Writes a value only if there is none and refuses when full rather than evict: for replay windows. False = there
/// was one.
///
/// # Errors
/// [`Problem::Limit`] when the map is full.
pub fn put_absent(key: &str, value: &[u8], ttl: Duration) -> Result<bool, Problem> {
    host::put_absent(key, value, millis(ttl))
}

/// The value under a key as a blob, without copying it into the plugin.
#[must_use]
pub fn get_blob(key: &str) -> Option<Blob> {
    host::get_blob(key)
}

/// Stores a blob without copying it through the plugin.
///
/// # Errors
/// As for [`put`].
pub fn put_blob(key: &str, value: Blob, ttl: Duration) -> Result<(), Problem> {
    host::put_blob(key, value, millis(ttl))
}

/// Removes a value; whether there was one.
pub fn remove(key: &str) -> bool {
    host::remove(key)
}

/// At most `max` keys that start with `prefix`, in no order that can be relied on.
#[must_use]
pub fn keys(prefix: &str, max: u32) -> Vec<String> {
    host::keys(prefix, max)
}

/// Whole milliseconds, rounded up so that a short time to live does not become "for ever".
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
