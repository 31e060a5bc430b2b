//! A plugin's own value, kept in the host from hook to hook of one exchange, because the next hook may run in another
//! instance. Knows no hook.
//!
//! The bytes are postcard, which is compact and does not describe itself: types that need to look ahead (`untagged`,
//! `flatten`, `skip_serializing_if`, `serde_json::Value`) cannot be a state. The test host checks each state.

use std::fmt;
use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Problem, host};

/// The state that an earlier hook of this plugin kept for this exchange, fetched only when asked for. The attribute
/// macro turns a last parameter `state: Option<State>` into a call of [`Kept::get`].
pub struct Kept<S> {
    state: PhantomData<fn() -> S>,
}

impl<S: DeserializeOwned> Kept<S> {
    pub(crate) const fn new() -> Self {
        Self { state: PhantomData }
    }

    /// The state; none when no hook of this exchange kept one.
    #[must_use]
    pub fn get(&self) -> Option<S> {
        host::exchange::state().and_then(|bytes| decode(&bytes))
    }
}

impl<S> fmt::Debug for Kept<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Kept")
    }
}

/// Keeps a state for the later hooks of this exchange.
pub(crate) fn keep<S: Serialize>(state: &S) -> Result<(), Problem> {
    let bytes = encode(state)?;
    host::exchange::set_state(Some(&bytes))
}

/// The bytes of a state.
pub(crate) fn encode<S: Serialize>(state: &S) -> Result<Vec<u8>, Problem> {
    postcard::to_allocvec(state).map_err(|error| Problem::Invalid(format!("state: {error}")))
}

/// The state of these bytes, which this plugin wrote.
pub(crate) fn decode<S: DeserializeOwned>(bytes: &[u8]) -> Option<S> {
    postcard::from_bytes(bytes).ok()
}
