//! Interface `clock`.

use super::imports::clock::Host;
use super::{HostState, Trap};

impl Host for HostState {
    fn unix_ms(&mut self) -> Trap<u64> {
        Ok(crate::clock::unix_ms())
    }

    fn monotonic_ns(&mut self) -> Trap<u64> {
        Ok(crate::clock::monotonic_ns())
    }
}
