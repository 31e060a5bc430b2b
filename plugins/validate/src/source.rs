//! A JSON Schema as it stands in the configuration: a table, or the text of a file. Knows no keyword of it.

use std::borrow::Cow;

use portcullis::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use portcullis::serde::de::{Deserialize, Deserializer};
use portcullis::serde_json::Value;

use crate::config::DuplicateKeys;
use crate::json::{self, Reading};

/// A schema as it is written.
#[derive(Debug)]
pub struct Source(Value);

impl Source {
    /// The schema as a JSON value.
    ///
    /// # Errors
    /// When it is written as text that is no JSON, or has two members of one name.
    pub(crate) fn value(&self) -> Result<Cow<'_, Value>, String> {
        let Value::String(text) = &self.0 else {
            return Ok(Cow::Borrowed(&self.0));
        };
        let reading = Reading {
            max_errors: 1,
            max_depth: 126,
            max_values: usize::MAX,
            duplicate_keys: DuplicateKeys::Refuse,
            check_formats: false,
        };
        match json::read(text.as_bytes(), &reading) {
            Ok(document) => Ok(Cow::Owned(document.value)),
            Err(unreadable) => Err(format!("is no JSON Schema: {unreadable}")),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "string", "boolean"] })
    }
}
