//! An amount of bytes in the configuration, as text: `512B`, `1KiB`, `4MiB`. Knows no body.

use std::borrow::Cow;
use std::fmt;

use portcullis::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use portcullis::serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Units with their size in bytes (IEC 80000-13), those that others end with last.
const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// An amount of bytes: a whole number and one of the units `B`, `KiB`, `MiB`, `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

fn parse(text: &str) -> Option<u64> {
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Size;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number and a unit, for example \"1KiB\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        let size = parse(text).map(Size);
        size.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_a_unit() {
        for (text, size) in [
            ("0B", Some(0)),
            ("512B", Some(512)),
            ("1KiB", Some(1024)),
            ("3MiB", Some(3 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1024", None),
            ("1KB", None),
            ("1.5KiB", None),
            ("-1B", None),
            ("+1B", None),
            ("KiB", None),
            ("", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(parse(text), size, "{text}");
        }
    }
}
