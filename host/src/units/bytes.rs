//! Amounts of bytes as text: one whole number and one unit, `512B`, `10KiB`, `64MiB`, `1GiB`.
//!
//! Units are powers of 1024 (IEC 80000-13). It refuses decimal units (`MB`), since they are read in two ways.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{shorten, split_number};

/// An amount of bytes that is written as a whole number and one of the units `B`, `KiB`, `MiB`, `GiB`, `TiB`.
///
/// `Display` gives the shortest exact form, and parsing it gives the same value again.
///
/// ```
/// use portcullis_host::units::ByteSize;
/// let size: ByteSize = "10KiB".parse()?;
/// assert_eq!(size.0, 10_240);
/// assert_eq!(ByteSize(1 << 20).to_string(), "1MiB");
/// # Ok::<(), portcullis_host::units::ByteSizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// Why a text is not an amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// The text does not start with a digit.
    #[error("write a whole number and a unit, for example `64KiB`")]
    NoNumber,
    /// The number has a fraction.
    #[error(
        "fractions are not understood: write a whole number of a smaller unit, for example `1536KiB` for `1.5MiB`"
    )]
    Fraction,
    /// There is a number, but no unit.
    #[error("the unit is missing: write for example `{0}B` or `{0}KiB`")]
    NoUnit(String),
    /// A decimal unit, or one in the wrong case.
    #[error("`{found}` is not a unit: did you mean `{meant}`?")]
    NearUnit {
        /// What stands there.
        found: String,
        /// The unit that was probably meant.
        meant: &'static str,
    },
    /// What follows the number is no unit.
    #[error("`{0}` is not a unit: use one of B, KiB, MiB, GiB, TiB")]
    UnknownUnit(String),
    /// More than a u64 holds.
    #[error("the number is too large")]
    TooLarge,
}

/// Units with their size in bytes, largest first.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split_number(text);
        if number.is_empty() {
            return Err(ByteSizeError::NoNumber);
        }
        if unit.starts_with(['.', ',']) {
            return Err(ByteSizeError::Fraction);
        }
        if unit.is_empty() {
            return Err(ByteSizeError::NoUnit(shorten(number)));
        }
        let (_, size) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| no_unit(unit))?;
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*size))
            .map(Self)
            .ok_or(ByteSizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        for (unit, size) in UNITS {
            if self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        Ok(())
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The error for a unit that is none: `MB`, `mb`, `M`, `mib` are taken for `MiB`.
fn no_unit(unit: &str) -> ByteSizeError {
    let near = UNITS.iter().find(|(name, _)| {
        let letter = name.get(..1).unwrap_or_default();
        unit.eq_ignore_ascii_case(name)
            || unit.eq_ignore_ascii_case(letter)
            || unit.eq_ignore_ascii_case(&format!("{letter}B"))
    });
    match near {
        Some((meant, _)) => ByteSizeError::NearUnit {
            found: shorten(unit),
            meant,
        },
        None => ByteSizeError::UnknownUnit(shorten(unit)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn bytes(text: &str) -> u64 {
        text.parse::<ByteSize>().unwrap().0
    }

    #[test]
    fn every_unit_is_understood() {
        assert_eq!(bytes("512B"), 512);
        assert_eq!(bytes("10KiB"), 10_240);
        assert_eq!(bytes("64MiB"), 67_108_864);
        assert_eq!(bytes("1GiB"), 1_073_741_824);
        assert_eq!(bytes("2TiB"), 2_199_023_255_552);
        assert_eq!(bytes("0B"), 0);
    }

    #[test]
    fn display_takes_the_largest_unit_that_is_exact() {
        assert_eq!(ByteSize(1024).to_string(), "1KiB");
        assert_eq!(ByteSize(1025).to_string(), "1025B");
        assert_eq!(ByteSize(0).to_string(), "0B");
        assert_eq!(ByteSize(3 << 30).to_string(), "3GiB");
    }

    #[test]
    fn refusals_say_what_to_write() {
        let error = |text: &str| text.parse::<ByteSize>().unwrap_err().to_string();
        assert_eq!(error("64MB"), "`MB` is not a unit: did you mean `MiB`?");
        assert_eq!(error("64k"), "`k` is not a unit: did you mean `KiB`?");
        assert_eq!(error("64mib"), "`mib` is not a unit: did you mean `MiB`?");
        assert_eq!(
            error("64"),
            "the unit is missing: write for example `64B` or `64KiB`"
        );
        assert_eq!(
            error("1 MiB"),
            "` MiB` is not a unit: use one of B, KiB, MiB, GiB, TiB"
        );
        assert_eq!(
            error("1.5MiB"),
            "fractions are not understood: write a whole number of a smaller unit, for example `1536KiB` for `1.5MiB`"
        );
        assert_eq!(
            error("much"),
            "write a whole number and a unit, for example `64KiB`"
        );
        assert_eq!(error("99999999TiB"), "the number is too large");
    }

    #[test]
    fn serde_uses_the_text() {
        let size: ByteSize = serde_json::from_str("\"4MiB\"").unwrap();
        assert_eq!(serde_json::to_string(&size).unwrap(), "\"4MiB\"");
        assert!(serde_json::from_str::<ByteSize>("\"4MB\"").is_err());
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same(size: u64) {
            let size = ByteSize(size);
            prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        }

        #[test]
        fn no_text_panics(text: String, number in "[0-9]{1,30}(B|KiB|TiB|é)?") {
            drop(text.parse::<ByteSize>());
            drop(number.parse::<ByteSize>());
        }
    }
}
