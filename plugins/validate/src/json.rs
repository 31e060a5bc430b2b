//! Strict reading of JSON (RFC 8259): what two parsers could take for two different values is refused, and size,
//! depth and number of values are bounded. Knows no schema.

use std::cell::Cell;
use std::fmt;

use portcullis::serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use portcullis::serde_json::{self, Map, Number, Value};

use crate::config::DuplicateKeys;

/// How bodies are read and what is said of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Errors that are listed, at most.
    pub(crate) max_errors: usize,
    /// Arrays and objects in each other, at most; not above 126, for the parser itself stops at 128.
    pub(crate) max_depth: usize,
    /// Values, at most.
    pub(crate) max_values: usize,
    /// What becomes of an object with two members of one name.
    pub(crate) duplicate_keys: DuplicateKeys,
    /// Whether `format` is checked.
    pub(crate) check_formats: bool,
}

/// A value and how many it is with all those inside it.
#[derive(Debug)]
pub(crate) struct Document {
    /// The value.
    pub(crate) value: Value,
    /// How many values it is made of.
    pub(crate) values: usize,
}

/// Why bytes were not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They are no JSON text; what was expected, and where.
    Syntax(String),
    /// An object has two members of one name; the line and column behind it.
    Duplicate(usize, usize),
    /// Nested more deeply than this.
    Deep(usize),
    /// More values than this.
    Many(usize),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The parser's texts name what it expected, never what it found.
            Self::Syntax(text) => write!(formatter, "not JSON: {text}"),
            Self::Duplicate(line, column) => {
                write!(
                    formatter,
                    "an object has two members of one name at line {line} column {column}"
                )
            }
            Self::Deep(most) => write!(formatter, "nested more than {most} levels deep"),
            Self::Many(most) => write!(formatter, "made of more than {most} values"),
        }
    }
}

/// Reads one JSON text.
///
/// # Errors
/// When it is none, or is beyond what `reading` allows.
pub(crate) fn read(bytes: &[u8], reading: &Reading) -> Result<Document, Unreadable> {
    let walk = Walk {
        reading,
        values: Cell::new(0),
        stopped: Cell::new(None),
    };
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let node = Node {
        walk: &walk,
        depth: 0,
    };
    let read = node
        .deserialize(&mut parser)
        .and_then(|value| parser.end().map(|()| value));
    match (read, walk.stopped.get()) {
        (Ok(value), _) => Ok(Document {
            value,
            values: walk.values.get(),
        }),
        (Err(error), Some(Stop::Duplicate)) => Err(Unreadable::Duplicate(error.line(), error.column())),
        (Err(_), Some(Stop::Deep)) => Err(Unreadable::Deep(reading.max_depth)),
        (Err(_), Some(Stop::Many)) => Err(Unreadable::Many(reading.max_values)),
        (Err(error), None) => Err(Unreadable::Syntax(error.to_string())),
    }
}

/// One reading of a text.
struct Walk<'r> {
    reading: &'r Reading,
    values: Cell<usize>,
    stopped: Cell<Option<Stop>>,
}

/// Why it stopped although the text may be JSON.
#[derive(Clone, Copy)]
enum Stop {
    Duplicate,
    Deep,
    Many,
}

impl Walk<'_> {
    fn stop<E: de::Error>(&self, why: Stop) -> E {
        self.stopped.set(Some(why));
        E::custom("stopped")
    }
}

/// One value of the text.
#[derive(Clone, Copy)]
struct Node<'w> {
    walk: &'w Walk<'w>,
    depth: usize,
}

impl<'w> Node<'w> {
    /// The values inside of this one.
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= self.walk.reading.max_depth {
            return Err(self.walk.stop(Stop::Deep));
        }
        Ok(Self {
            walk: self.walk,
            depth: self.depth.saturating_add(1),
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let values = self.walk.values.get().saturating_add(1);
        if values > self.walk.reading.max_values {
            return Err(self.walk.stop(Stop::Many));
        }
        self.walk.values.set(values);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let is_new = !members.contains_key(&name);
            if !is_new && self.walk.reading.duplicate_keys == DuplicateKeys::Refuse {
                return Err(self.walk.stop(Stop::Duplicate));
            }
            members.insert(name, access.next_value_seed(inside)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use portcullis::serde_json::json;
    use proptest::prelude::*;

    use super::*;

    const READING: Reading = Reading {
        max_errors: 20,
        max_depth: 4,
        max_values: 10,
        duplicate_keys: DuplicateKeys::Refuse,
        check_formats: false,
    };

    fn value(text: &str) -> Result<Value, Unreadable> {
        read(text.as_bytes(), &READING).map(|document| document.value)
    }

    #[test]
    fn json_is_read_as_it_stands() {
        let text = r#" {"a": [1, -1, 1.5, true, null], "b\u0063": "x\ud83d\ude00", "": {}} "#;
        let expected = json!({ "a": [1, -1, 1.5, true, null], "bc": "x😀", "": {} });
        assert_eq!(value(text), Ok(expected));
        assert_eq!(read(text.as_bytes(), &READING).unwrap().values, 9);
        assert_eq!(value("18446744073709551615"), Ok(json!(u64::MAX)));
    }

    #[test]
    fn what_is_no_json_is_refused_with_the_place_and_without_its_content() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "'a'",
            "01",
            "+1",
            ".5",
            "1.",
            "NaN",
            "1e999",
            "\"\u{1}\"",
            "\"\\ud800\"",
            "[1] [2]",
            "1 // secret",
            "/* secret */ 1",
            "\u{feff}1",
            "secret",
        ] {
            let Err(Unreadable::Syntax(reason)) = value(text) else {
                unreachable!("{text:?} is no JSON");
            };
            assert!(
                reason.contains(" at line ") && !reason.contains("secret"),
                "{text}: {reason}"
            );
        }
        assert!(matches!(read(b"\"\xff\"", &READING), Err(Unreadable::Syntax(_))));
        assert!(matches!(read(b"\"a\0\"", &READING), Err(Unreadable::Syntax(_))));
        let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(matches!(read(&utf16, &READING), Err(Unreadable::Syntax(_))));
    }

    #[test]
    fn two_members_of_one_name_are_refused_however_they_are_written() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "b": 2, "\u0061": 3}"#,
            r#"[{"x": {"a": null, "a": null}}]"#,
        ] {
            assert!(matches!(value(text), Err(Unreadable::Duplicate(1, _))), "{text}");
        }
        assert!(value(r#"{"a": {"a": 1}, "A": 1}"#).is_ok());
    }

    #[test]
    fn the_last_of_two_members_counts_where_that_is_said() {
        let reading = Reading {
            duplicate_keys: DuplicateKeys::Last,
            ..READING
        };
        let document = read(br#"{"a": 1, "a": 2}"#, &reading).unwrap();
        assert_eq!(document.value, json!({ "a": 2 }));
        let many = r#"{"a": 1, "a": 1, "a": 1, "a": 1, "a": 1, "a": 1, "a": 1, "a": 1, "a": 1, "a": 1}"#;
        assert_eq!(read(many.as_bytes(), &reading).unwrap_err(), Unreadable::Many(10));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(value("[[[[1]]]]").is_ok());
        assert_eq!(value("[[[[[]]]]]"), Err(Unreadable::Deep(4)));
        assert_eq!(value(r#"{"a":{"a":{"a":{"a":{}}}}}"#), Err(Unreadable::Deep(4)));
        assert_eq!(
            value(&"[".repeat(1_000_000)),
            Err(Unreadable::Deep(4)),
            "it stops where it knows"
        );
        let reading = Reading {
            max_depth: 126,
            max_values: 1000,
            ..READING
        };
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(deep(126).as_bytes(), &reading).is_ok());
        assert_eq!(
            read(deep(127).as_bytes(), &reading).unwrap_err(),
            Unreadable::Deep(126)
        );
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        assert!(value("[1,2,3,4,5,6,7,8,9]").is_ok());
        assert_eq!(value("[1,2,3,4,5,6,7,8,9,0]"), Err(Unreadable::Many(10)));
        assert_eq!(value(r#"{"a":[1,2,3,4,5,6,7,8,{}]}"#), Err(Unreadable::Many(10)));
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_serde_json_reads_where_no_name_is_twice(
            text in r#"[\[\]{}",:0-9a-ce.\\u \-]{0,24}"#,
        ) {
            let reading = Reading { max_values: 1000, max_depth: 127, ..READING };
            let expected: Option<Value> = serde_json::from_str(&text).ok();
            match read(text.as_bytes(), &reading) {
                Ok(document) => prop_assert_eq!(Some(document.value), expected),
                Err(Unreadable::Duplicate(..)) => {}
                Err(_) => prop_assert_eq!(None, expected),
            }
        }
    }
}
