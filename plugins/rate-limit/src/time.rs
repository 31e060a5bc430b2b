//! Spans of time in the units of configurations (whole milliseconds) and of header fields (whole seconds). Knows no
//! clock.

use std::time::Duration;

/// Whether the time is a number of whole milliseconds above 0 and not more than `most`.
pub(crate) fn is_within(time: Duration, most: Duration) -> bool {
    !time.is_zero() && time <= most && time.subsec_nanos().is_multiple_of(1_000_000)
}

/// Whole milliseconds, rounded down.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// A time to wait in whole seconds (`delay-seconds` of RFC 9110 section 10.2.3), rounded up and not 0.
pub(crate) fn wait_seconds(wait: Duration) -> u64 {
    seconds(wait).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds_rounded_up() {
        for (ms, told) in [(0, 1), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            assert_eq!(wait_seconds(Duration::from_millis(ms)), told, "{ms} ms");
        }
    }

    #[test]
    fn only_whole_milliseconds_are_within() {
        let most = Duration::from_secs(2);
        for (us, within) in [
            (0, false),
            (1, false),
            (1_000, true),
            (1_001, false),
            (2_000_000, true),
            (2_001_000, false),
        ] {
            assert_eq!(is_within(Duration::from_micros(us), most), within, "{us} us");
        }
    }
}
