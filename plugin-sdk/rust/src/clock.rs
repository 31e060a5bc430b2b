//! The gateway's clocks. Knows no calendar.

use std::time::Duration;

use crate::host::clock as host;

/// Milliseconds since 1970-01-01 UTC.
#[must_use]
pub fn unix_ms() -> u64 {
    host::unix_ms()
}

/// Time since some fixed moment; never goes back.
#[must_use]
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::monotonic_ns())
}
