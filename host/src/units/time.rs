//! Spans of time as text: one whole number and one unit, `250us`, `20ms`, `1s`, `5m`, `2h`.
//!
//! It refuses fractions, sums (`1h30m`), calendar units and the question what time it is.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{shorten, split_number};

/// A span of time that is written as a whole number and one of the units `ns`, `us`, `ms`, `s`, `m`, `h`.
///
/// `Display` gives the shortest exact form, and parsing it gives the same value again.
///
/// ```
/// use portcullis_host::units::TimeSpan;
/// let span: TimeSpan = "90s".parse()?;
/// assert_eq!(span.0.as_secs(), 90);
/// assert_eq!(TimeSpan(std::time::Duration::from_millis(120_000)).to_string(), "2m");
/// # Ok::<(), portcullis_host::units::TimeSpanError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeSpan(pub Duration);

/// Why a text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeSpanError {
    /// The text does not start with a digit.
    #[error("write a whole number and a unit, for example `20ms`")]
    NoNumber,
    /// The number has a fraction.
    #[error(
        "fractions are not understood: write a whole number of a smaller unit, for example `1500ms` for `1.5s`"
    )]
    Fraction,
    /// There is a number, but no unit.
    #[error("the unit is missing: write for example `{0}s` or `{0}ms`")]
    NoUnit(String),
    /// What follows the number is no unit.
    #[error("`{0}` is not a unit: use one of ns, us, ms, s, m, h")]
    UnknownUnit(String),
    /// More than about 584,000 million years.
    #[error("the number is too large")]
    TooLarge,
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Units with their length in nanoseconds, longest first.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl FromStr for TimeSpan {
    type Err = TimeSpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split_number(text);
        if number.is_empty() {
            return Err(TimeSpanError::NoNumber);
        }
        if unit.starts_with(['.', ',']) {
            return Err(TimeSpanError::Fraction);
        }
        if unit.is_empty() {
            return Err(TimeSpanError::NoUnit(shorten(number)));
        }
        let (_, length) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| TimeSpanError::UnknownUnit(shorten(unit)))?;
        let nanos = number
            .parse::<u128>()
            .ok()
            .and_then(|number| number.checked_mul(*length))
            .ok_or(TimeSpanError::TooLarge)?;
        from_nanos(nanos).map(Self).ok_or(TimeSpanError::TooLarge)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if nanos.is_multiple_of(length) {
                return write!(f, "{}{unit}", nanos / length);
            }
        }
        Ok(())
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<Duration> for TimeSpan {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Self {
        span.0
    }
}

fn from_nanos(nanos: u128) -> Option<Duration> {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    let rest = u32::try_from(nanos % NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn nanos(text: &str) -> u128 {
        text.parse::<TimeSpan>().unwrap().0.as_nanos()
    }

    #[test]
    fn every_unit_is_understood() {
        assert_eq!(nanos("7ns"), 7);
        assert_eq!(nanos("250us"), 250_000);
        assert_eq!(nanos("20ms"), 20_000_000);
        assert_eq!(nanos("1s"), 1_000_000_000);
        assert_eq!(nanos("5m"), 300_000_000_000);
        assert_eq!(nanos("2h"), 7_200_000_000_000);
        assert_eq!(nanos("0s"), 0);
    }

    #[test]
    fn display_takes_the_longest_unit_that_is_exact() {
        let display = |text: &str| text.parse::<TimeSpan>().unwrap().to_string();
        assert_eq!(display("120s"), "2m");
        assert_eq!(display("90s"), "90s");
        assert_eq!(display("3600000ms"), "1h");
        assert_eq!(display("0h"), "0s");
        assert_eq!(display("1001ns"), "1001ns");
    }

    #[test]
    fn refusals_say_what_to_write() {
        let error = |text: &str| text.parse::<TimeSpan>().unwrap_err().to_string();
        assert_eq!(
            error("1.5s"),
            "fractions are not understood: write a whole number of a smaller unit, for example `1500ms` for `1.5s`"
        );
        assert_eq!(
            error("10"),
            "the unit is missing: write for example `10s` or `10ms`"
        );
        assert_eq!(
            error("10 s"),
            "` s` is not a unit: use one of ns, us, ms, s, m, h"
        );
        assert_eq!(
            error("1h30m"),
            "`h30m` is not a unit: use one of ns, us, ms, s, m, h"
        );
        assert_eq!(error(""), "write a whole number and a unit, for example `20ms`");
        assert_eq!(
            error("-1s"),
            "write a whole number and a unit, for example `20ms`"
        );
        assert_eq!(error("99999999999999999999h"), "the number is too large");
        assert_eq!(error(&format!("{}h", "9".repeat(60))), "the number is too large");
    }

    #[test]
    fn serde_uses_the_text() {
        let span: TimeSpan = serde_json::from_str("\"20ms\"").unwrap();
        assert_eq!(serde_json::to_string(&span).unwrap(), "\"20ms\"");
        assert!(serde_json::from_str::<TimeSpan>("20").is_err());
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same(seconds: u64, nanos in 0u32..1_000_000_000) {
            let span = TimeSpan(Duration::new(seconds, nanos));
            prop_assert_eq!(span.to_string().parse::<TimeSpan>(), Ok(span));
        }

        #[test]
        fn no_text_panics(text: String) {
            drop(text.parse::<TimeSpan>());
        }

        #[test]
        fn no_number_panics(text in "[0-9]{1,45}(ns|us|ms|s|m|h|\\.|x)?") {
            drop(text.parse::<TimeSpan>());
        }
    }
}
