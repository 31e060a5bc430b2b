//! What a request that passes leaves of its quotas. Knows no request and no field.

use crate::rule::Left;
use crate::time::seconds;

/// What is left of one quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Place of the limit.
    pub(crate) limit: u8,
    /// Whole cells.
    pub(crate) remaining: u64,
    /// Seconds until the quota is whole again, rounded up.
    pub(crate) reset: u64,
}

impl Kept {
    /// Of the limit at this place.
    pub(crate) fn of(place: usize, left: Left) -> Self {
        Self {
            limit: u8::try_from(place).unwrap_or(u8::MAX),
            remaining: left.remaining,
            reset: seconds(left.reset),
        }
    }
}
