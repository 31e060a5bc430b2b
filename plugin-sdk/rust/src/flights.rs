//! Single flight: of those exchanges that need the same thing done, one does it and the others wait for it. Needs the grant
//! `allow.flights`. Knows nothing of what is done.

use std::time::Duration;

use crate::{Problem, host::flights as host};

/// What an exchange is in a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does the work. The others wait until it [`leave`]s, its exchange ends or its plugin faults.
    Leader,
    /// Somebody has done the work: its result should be there.
    AfterLeader,
    /// Somebody does the work, and is not done yet.
    TimedOut,
}

/// Enters the flight of `key`, waiting for its leader if there is one. Keys are the entry's own.
///
/// # Errors
/// [`Problem::Denied`] without the grant, [`Problem::Limit`] when the key is too long or there are too many flights.
pub fn enter(key: &str, patience: Duration) -> Result<Role, Problem> {
    host::enter(key, u32::try_from(patience.as_millis()).unwrap_or(u32::MAX))
}

/// Ends the flight that this exchange leads: those who wait go on.
///
/// # Errors
/// [`Problem::Denied`] without the grant.
pub fn leave(key: &str) -> Result<(), Problem> {
    host::leave(key)
}
