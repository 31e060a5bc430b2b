//! One error in a body as a client is told it: where, which rule, and what the rule asks for; never the value that
//! broke it, which may be long or secret. Knows no HTTP.

use std::fmt::{self, Write};

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use portcullis::serde_json::{Value, json};

/// Bytes of a pointer and of a text as they stand in JSON: both may be made of names that the client chose. A hundred errors
/// stay below the 64 KiB that the gateway takes for the members of a problem document.
const MAX_BYTES: usize = 250;

/// One error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// JSON Pointer (RFC 6901) of the value; cut off with an ellipsis where it is very long.
    pub(crate) pointer: String,
    /// What is asked for.
    pub(crate) detail: String,
    /// Keyword of the schema that asks for it; "" = the schema as a whole.
    pub(crate) keyword: String,
}

impl Violation {
    /// What a validator found.
    pub(crate) fn of(error: &ValidationError<'_>) -> Self {
        let kind = error.kind();
        let detail = match kind {
            // Their texts have the value in them, masked or not.
            ValidationErrorKind::PropertyNames { .. } => "a name of a member is not allowed".to_owned(),
            ValidationErrorKind::FromUtf8 { .. } => "value is not UTF-8".to_owned(),
            ValidationErrorKind::FalseSchema => "nothing is allowed here".to_owned(),
            _ => short(&error.masked()),
        };
        let keyword = match kind {
            ValidationErrorKind::FalseSchema => String::new(),
            kind => short(&kind.keyword()),
        };
        Self {
            pointer: short(error.instance_path()),
            detail,
            keyword,
        }
    }

    /// An error of the body as a whole.
    pub(crate) fn of_whole(detail: &str) -> Self {
        Self {
            pointer: String::new(),
            detail: detail.to_owned(),
            keyword: String::new(),
        }
    }

    /// As it stands in the problem document.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "pointer": self.pointer, "detail": self.detail, "keyword": self.keyword })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.pointer, self.detail)
    }
}

/// At most [`MAX_BYTES`] of a text; what would be longer is not even written.
fn short(text: &dyn fmt::Display) -> String {
    let mut bounded = Bounded {
        text: String::new(),
        left: MAX_BYTES,
    };
    if write!(bounded, "{text}").is_err() {
        bounded.text.push('\u{2026}');
    }
    bounded.text
}

struct Bounded {
    text: String,
    left: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let cost = match character {
                '"' | '\\' => 2,
                _ if character.is_ascii_control() => 6,
                _ => character.len_utf8(),
            };
            self.left = self.left.checked_sub(cost).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first error of this value.
    fn violation(schema: &Value, value: &Value) -> Violation {
        let validator = jsonschema::options().build(schema).unwrap();
        let mut errors = validator.iter_errors(value);
        Violation::of(&errors.next().unwrap())
    }

    #[test]
    fn an_error_says_where_and_what_and_by_which_rule() {
        let schema = json!({ "properties": { "a/b": { "items": { "type": "integer" } } } });
        let found = violation(&schema, &json!({ "a/b": [1, "secret"] }));
        let expected = Violation {
            pointer: "/a~1b/1".to_owned(),
            detail: "value is not of type \"integer\"".to_owned(),
            keyword: "type".to_owned(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_value_is_never_shown() {
        let secret = json!("secret");
        for schema in [
            json!({ "type": "integer" }),
            json!({ "maxLength": 1 }),
            json!({ "minLength": 100 }),
            json!({ "pattern": "^x" }),
            json!({ "enum": ["a", 1] }),
            json!({ "const": "a" }),
            json!({ "not": { "type": "string" } }),
            json!({ "anyOf": [{ "type": "null" }, { "maxLength": 1 }] }),
            json!({ "oneOf": [{ "type": "null" }, { "maxLength": 1 }] }),
            json!({ "oneOf": [{}, { "type": "string" }] }),
            json!({ "allOf": [{ "type": "null" }] }),
            json!({ "if": {}, "then": { "type": "null" } }),
            json!(false),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "null" } } }),
        ] {
            let found = violation(&schema, &secret);
            assert!(!format!("{found:?}").contains("secret"), "{found:?} by {schema}");
            assert!(!found.detail.is_empty());
        }
        for schema in [
            json!({ "items": false }),
            json!({ "contains": { "type": "null" } }),
            json!({ "minItems": 9 }),
            json!({ "uniqueItems": true, "maxItems": 5 }),
            json!({ "unevaluatedItems": false, "prefixItems": [{}] }),
        ] {
            let found = violation(&schema, &json!([["secret"], ["secret"]]));
            assert!(!format!("{found:?}").contains("secret"), "{found:?} by {schema}");
        }
        let names = json!({ "propertyNames": { "maxLength": 1 } });
        let found = violation(&names, &json!({ "secret": 1 }));
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }

    #[test]
    fn what_a_client_can_make_long_is_cut_off() {
        let long = "n".repeat(10_000);
        let found = violation(
            &json!({ "additionalProperties": { "type": "null" } }),
            &json!({ long.as_str(): 1 }),
        );
        assert_eq!(found.pointer.chars().count(), MAX_BYTES + 1);
        assert!(found.pointer.ends_with('\u{2026}'));
        let found = violation(
            &json!({ "properties": { "a": {} }, "additionalProperties": false }),
            &json!({ long.as_str(): 1 }),
        );
        assert!(found.detail.len() <= MAX_BYTES + '\u{2026}'.len_utf8());
        assert!(found.detail.ends_with('\u{2026}'), "{found:?}");
    }
}
