//! Random numbers from the host's generator, asked at every call: instances may be copies of one another, and a
//! generator inside of them would repeat. Knows no distribution but the even one.

use crate::host::random as host;

/// `length` random bytes.
#[must_use]
pub fn bytes(length: u32) -> Vec<u8> {
    host::bytes(length)
}

/// A random number.
#[must_use]
pub fn unsigned() -> u64 {
    host::unsigned()
}
