//! The list in a configuration that is a plain string when it has one element. Knows no plugin.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// A string or a list of strings: `"a"` or `["a", "b"]`. Smaller in the component than an untagged enum, and its error
/// says what was expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings(pub Vec<String>);

impl Deref for Strings {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Strings;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a list of strings")
    }

    fn visit_str<E>(self, text: &str) -> Result<Strings, E> {
        Ok(Strings(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strings, A::Error> {
        let mut strings = Vec::new();
        while let Some(text) = list.next_element()? {
            strings.push(text);
        }
        Ok(Strings(strings))
    }
}

impl JsonSchema for Strings {
    fn schema_name() -> Cow<'static, str> {
        "Strings".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_string_or_a_list_is_accepted() {
        let read = |text: &str| serde_json::from_str::<Strings>(text).map(|strings| strings.0);
        assert_eq!(read("\"a\"").unwrap(), ["a"]);
        assert_eq!(read("[\"a\", \"b\"]").unwrap(), ["a", "b"]);
        assert!(read("[]").unwrap().is_empty());
        let error = read("1").unwrap_err().to_string();
        assert!(
            error.contains("expected a string or a list of strings"),
            "{error}"
        );
        assert!(read("[1]").is_err());
    }
}
