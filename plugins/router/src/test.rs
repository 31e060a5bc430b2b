//! Tests of a value that may occur any number of times: what `header`, `cookie` and `query` ask for. Knows no request.

use portcullis::Strings;
use regex_lite::{Regex, RegexBuilder};

use crate::config::{OtherTest, Test as Written};
use crate::pairs::text;

/// Bytes of a compiled pattern.
const MAX_PATTERN: usize = 256 << 10;

/// A test, ready to be asked.
#[derive(Debug)]
pub(crate) enum Test {
    Present,
    Absent,
    OneOf(Vec<String>),
    Prefix(String),
    Regex(Regex),
}

impl Test {
    /// The test as it is written.
    ///
    /// # Errors
    /// What cannot be.
    pub(crate) fn new(written: Written) -> Result<Self, String> {
        let OtherTest {
            equals,
            prefix,
            regex,
            present,
        } = match written {
            Written::Equals(text) => return Ok(Self::OneOf(vec![text])),
            Written::Other(other) => other,
        };
        match (equals, prefix, regex, present) {
            (Some(Strings(texts)), None, None, None) if !texts.is_empty() => Ok(Self::OneOf(texts)),
            (None, Some(text), None, None) => Ok(Self::Prefix(text)),
            (None, None, Some(text), None) => pattern(&text).map(Self::Regex),
            (None, None, None, Some(true)) => Ok(Self::Present),
            (None, None, None, Some(false)) => Ok(Self::Absent),
            _ => Err("write a text, or one of `equals`, `prefix`, `regex` and `present`".to_owned()),
        }
    }

    /// Whether one of the values passes; for [`Test::Absent`], whether there is none. Bytes are compared.
    pub(crate) fn passes<V: AsRef<[u8]>>(&self, values: impl IntoIterator<Item = V>) -> bool {
        let mut values = values.into_iter();
        match self {
            Self::Present => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::OneOf(texts) => {
                values.any(|value| texts.iter().any(|text| text.as_bytes() == value.as_ref()))
            }
            Self::Prefix(text) => values.any(|value| value.as_ref().starts_with(text.as_bytes())),
            Self::Regex(pattern) => values.any(|value| pattern.is_match(&text(value.as_ref()))),
        }
    }
}

/// A pattern; classes such as `\w` and `(?i)` are those of ASCII. Matching takes time linear in the value.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(MAX_PATTERN);
    builder
        .build()
        .map_err(|error| format!("the regular expression {text:?} is refused: {error}"))
}

#[cfg(test)]
mod tests {
    use portcullis::serde_json::{Value, from_value, json};

    use super::*;

    fn test(written: Value) -> Result<Test, String> {
        Test::new(from_value(written).unwrap())
    }

    #[test]
    fn one_value_that_passes_is_enough() {
        for (written, values, passes) in [
            (json!("a"), &["b", "a"][..], true),
            (json!("a"), &["A", "aa"], false),
            (json!("a"), &[], false),
            (json!(""), &[""], true),
            (json!({ "equals": ["a", "b"] }), &["b"], true),
            (json!({ "equals": ["a", "b"] }), &["c"], false),
            (json!({ "prefix": "ab" }), &["x", "abc"], true),
            (json!({ "prefix": "ab" }), &["a", "cab"], false),
            (json!({ "regex": "^v[12]$" }), &["v3", "v2"], true),
            (json!({ "regex": "^v[12]$" }), &["v22"], false),
            (json!({ "regex": "(?i)beta" }), &["x-BETA-y"], true),
            (json!({ "present": true }), &["anything"], true),
            (json!({ "present": true }), &[], false),
            (json!({ "present": false }), &[], true),
            (json!({ "present": false }), &[""], false),
        ] {
            assert_eq!(
                test(written.clone()).unwrap().passes(values),
                passes,
                "{written} {values:?}"
            );
        }
    }

    #[test]
    fn values_are_bytes() {
        let coffee = test(json!("caf\u{e9}")).unwrap();
        assert!(coffee.passes(["caf\u{e9}".as_bytes()]), "UTF-8");
        assert!(!coffee.passes([b"caf\xe9"]));
        assert!(test(json!({ "regex": "^caf.$" })).unwrap().passes([b"caf\xe9"]));
    }

    #[test]
    fn a_test_that_is_none_or_two_is_refused() {
        for written in [
            json!({}),
            json!({ "equals": [] }),
            json!({ "prefix": "a", "regex": "a" }),
            json!({ "equals": "a", "present": true }),
        ] {
            let error = test(written).unwrap_err();
            assert!(
                error.contains("`equals`, `prefix`, `regex` and `present`"),
                "{error}"
            );
        }
        for regex in ["(", "a{1000}{1000}", "(?=a)"] {
            let error = test(json!({ "regex": regex })).unwrap_err();
            assert!(error.contains("is refused"), "{error}");
        }
    }
}
