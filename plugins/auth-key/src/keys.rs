//! Which key is whose. Knows digests only: the keys themselves are not kept.
//!
//! The table is searched by the SHA-256 of what was presented. How long the search takes may tell how many leading
//! bytes two digests share, but nobody can choose a key whose digest shares more with a secret one's without a preimage
//! attack, so the time tells nothing about a key. Hashing takes a time that depends on the presented length alone.

use std::collections::BTreeMap;

use portcullis::Strings;
use sha2::{Digest, Sha256};

/// Keys of one configuration, at most.
const MAX_KEYS: usize = 100_000;

/// The digests of all keys with the place of the consumer.
pub(crate) struct Keys {
    consumer_by_digest: BTreeMap<[u8; 32], usize>,
    consumers: Vec<String>,
}

impl Keys {
    /// The table of these keys.
    pub(crate) fn new(keys: &BTreeMap<String, Strings>) -> Result<Self, String> {
        let mut table = Self {
            consumer_by_digest: BTreeMap::new(),
            consumers: Vec::new(),
        };
        for (consumer, list) in keys {
            let place = table.consumers.len();
            let before = table.consumer_by_digest.len();
            table.consumers.push(consumer.clone());
            for key in list
                .iter()
                .map(|key| key.trim_matches(|c: char| c.is_ascii_whitespace()))
            {
                if key.is_empty() {
                    return Err(format!("consumer `{consumer}` has an empty key"));
                }
                let Some(other) = table.consumer_by_digest.insert(digest(key.as_bytes()), place) else {
                    continue;
                };
                return Err(match table.consumers.get(other) {
                    Some(other) if other != consumer => {
                        format!("consumers `{other}` and `{consumer}` share a key")
                    }
                    _ => format!("consumer `{consumer}` has the same key twice"),
                });
            }
            if table.consumer_by_digest.len() == before {
                return Err(format!("consumer `{consumer}` has no key"));
            }
        }
        if table.consumer_by_digest.len() > MAX_KEYS {
            return Err(format!("more than {MAX_KEYS} keys"));
        }
        Ok(table)
    }

    /// Whose key this is.
    pub(crate) fn consumer_of(&self, key: &[u8]) -> Option<&str> {
        let place = self.consumer_by_digest.get(&digest(key))?;
        self.consumers.get(*place).map(String::as_str)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} keys of {} consumers",
            self.consumer_by_digest.len(),
            self.consumers.len()
        )
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}
