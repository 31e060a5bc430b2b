//! Spans of time in a configuration, as the gateway's own: `"20ms"`. Knows no clock.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Units and their length in nanoseconds.
const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A span of time that is written as a whole number and one of the units `ns`, `us`, `ms`, `s`, `m`, `h`. At most
/// 2^64 - 1 nanoseconds, some 584 years.
///
/// ```
/// # use portcullis::TimeSpan;
/// let span: TimeSpan = "90s".parse()?;
/// assert_eq!(span.0.as_secs(), 90);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(pub Duration);

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
        let length = UNITS.iter().find(|(name, _)| *name == unit);
        let nanos = length.and_then(|(_, length)| number.parse::<u64>().ok()?.checked_mul(*length));
        nanos
            .map(|nanos| Self(Duration::from_nanos(nanos)))
            .ok_or_else(|| {
                format!(
                    "`{}` is no span of time: write a whole number and one of ns, us, ms, s, m, h, such as `20ms`",
                    text.chars().take(20).collect::<String>()
                )
            })
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = TimeSpan;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a span of time, such as \"20ms\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TimeSpan, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ns|us|ms|s|m|h)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_and_a_unit_are_read() {
        for (text, nanos) in [
            ("0s", 0),
            ("250us", 250_000),
            ("20ms", 20_000_000),
            ("1s", 1_000_000_000),
            ("5m", 300_000_000_000),
            ("2h", 7_200_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(TimeSpan(Duration::from_nanos(nanos))), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_expected() {
        for text in [
            "",
            "20",
            "ms",
            "1.5s",
            "-1s",
            "1 s",
            "1d",
            "1h30m",
            "99999999999999999999s",
            "18446744074s",
        ] {
            let error = serde_json::from_value::<TimeSpan>(text.into())
                .unwrap_err()
                .to_string();
            assert!(error.contains("such as `20ms`"), "{text}: {error}");
        }
        let error = serde_json::from_str::<TimeSpan>("20").unwrap_err().to_string();
        assert!(error.contains("a span of time"), "{error}");
    }
}
