//! A compiled JSON Schema. Knows values; where they come from and what becomes of errors is not its business.
//!
//! Everything that a body's author could make costly is bounded: patterns run in linear time, and errors are listed only
//! where there cannot be many, for the validator collects all before it gives the first.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Retrieve, Uri, Validator};
use portcullis::serde_json::Value;

use crate::json::{Document, Reading};
use crate::source::Source;
use crate::violation::Violation;

/// Values up to which all errors of a body are looked for.
const MAX_SURVEYED: usize = 1000;
/// Characters of what is wrong with a schema.
const MAX_REASON: usize = 500;

/// A schema, ready to be held against values.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    /// It has alternatives, whose errors are collected even where only the first is asked for.
    has_alternatives: bool,
}

impl Schema {
    /// Compiles a schema. It is 2020-12 unless its `$schema` says otherwise.
    ///
    /// # Errors
    /// When it is no schema, refers to something outside of itself, or has a pattern that takes more than linear time.
    pub(crate) fn new(source: &Source, reading: &Reading) -> Result<Self, String> {
        let value = source.value()?;
        let validator = jsonschema::options()
            .with_draft(draft(&value)?)
            .with_retriever(Nowhere)
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(reading.check_formats)
            .build(&value)
            .map_err(|error| {
                let reason = match error.kind() {
                    ValidationErrorKind::Referencing(error) => {
                        format!("refers to what it does not have: {error}; schemas are never fetched, put them into `$defs`")
                    }
                    ValidationErrorKind::Format { format } if format == "regex" => format!(
                        "has a pattern that cannot be used: {error} that runs in linear time and bounded memory; look-around and back-references do not"
                    ),
                    _ => format!("is no JSON Schema: at `{}`, {error}", error.instance_path()),
                };
                reason.chars().take(MAX_REASON).collect::<String>()
            })?;
        Ok(Self {
            validator,
            has_alternatives: has_alternatives(&value),
        })
    }

    /// What is wrong with a value: nothing, or some of its errors, at most as many as `reading` says.
    pub(crate) fn check(&self, document: &Document, reading: &Reading) -> Vec<Violation> {
        if document.values > MAX_SURVEYED && !self.has_alternatives {
            let first = self.validator.validate(&document.value).err();
            return first.iter().map(Violation::of).collect();
        }
        if self.validator.is_valid(&document.value) {
            return Vec::new();
        }
        let mut found: Vec<Violation> = Vec::new();
        if document.values <= MAX_SURVEYED {
            let errors = self.validator.iter_errors(&document.value);
            found.extend(errors.take(reading.max_errors).map(|error| Violation::of(&error)));
        }
        if found.is_empty() {
            found.push(Violation::of_whole(
                "does not fit the schema; it is too large for details",
            ));
        }
        found
    }
}

/// The draft that a schema names. A name that is not known is refused: its rules would not be.
fn draft(schema: &Value) -> Result<Draft, String> {
    let Some(name) = schema.get("$schema").and_then(Value::as_str) else {
        return Ok(Draft::Draft202012);
    };
    match Draft::default().detect(schema) {
        Draft::Unknown => Err(format!(
            "has the `$schema` `{}`, which is not known; expected `https://json-schema.org/draft/2020-12/schema` or an older draft",
            name.chars().take(100).collect::<String>()
        )),
        draft => Ok(draft),
    }
}

/// Whether one of these keywords is anywhere in the schema.
fn has_alternatives(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| matches!(name.as_str(), "anyOf" | "oneOf") || has_alternatives(value)),
        Value::Array(values) => values.iter().any(has_alternatives),
        _ => false,
    }
}

/// Where schemas are fetched from.
#[derive(Debug)]
struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("it is not in the schema".into())
    }
}

#[cfg(test)]
mod tests {
    use portcullis::serde_json::{self, json};

    use super::*;
    use crate::config::DuplicateKeys;
    use crate::json;

    const READING: Reading = Reading {
        max_errors: 3,
        max_depth: 126,
        max_values: 1_000_000,
        duplicate_keys: DuplicateKeys::Refuse,
        check_formats: false,
    };

    fn compile(value: Value) -> Result<Schema, String> {
        Schema::new(&serde_json::from_value(value).unwrap(), &READING)
    }

    fn check(schema: Value, text: &str) -> Vec<Violation> {
        let document = json::read(text.as_bytes(), &READING).unwrap();
        compile(schema).unwrap().check(&document, &READING)
    }

    fn refused(schema: Value) -> String {
        compile(schema).unwrap_err()
    }

    #[test]
    fn a_value_fits_or_its_errors_are_listed_in_order() {
        let schema = json!({ "type": "array", "items": { "type": "integer" } });
        assert_eq!(check(schema.clone(), "[1, 2.0]"), []);
        let pointers: Vec<String> = check(schema, r#"[null, 1, "", [], 0.5]"#)
            .into_iter()
            .map(|violation| violation.pointer)
            .collect();
        assert_eq!(pointers, ["/0", "/2", "/3"], "no more than asked for");
    }

    #[test]
    fn a_schema_is_a_table_or_a_text() {
        assert_eq!(check(json!("{\"type\": \"null\"}"), "null"), []);
        assert_eq!(check(json!(true), "1"), []);
        assert_eq!(check(json!(false), "1").len(), 1);
        assert_eq!(
            refused(json!("{ nope")),
            "is no JSON Schema: not JSON: key must be a string at line 1 column 3"
        );
        let twice = refused(json!(r#"{"type": "null", "type": "object"}"#));
        assert!(twice.contains("two members of one name"), "{twice}");
        let kind = refused(json!({ "type": "strin" }));
        assert!(
            kind.starts_with("is no JSON Schema: at `/type`, \"strin\""),
            "{kind}"
        );
    }

    #[test]
    fn a_schema_is_2020_12_unless_it_says_otherwise() {
        let draft_7 =
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "items": [{ "type": "null" }] });
        assert_eq!(check(draft_7, "[1]").len(), 1);
        let tuple = json!({ "prefixItems": [{ "type": "null" }] });
        assert_eq!(check(tuple, "[1]").len(), 1);
        let own = refused(json!({ "$schema": "https://example.com/meta" }));
        assert!(
            own.contains("`https://example.com/meta`, which is not known"),
            "{own}"
        );
    }

    #[test]
    fn nothing_is_ever_fetched() {
        for reference in [
            "https://example.com/a.json",
            "other.json",
            "file:///etc/passwd",
            "#/$defs/missing",
            "#missing",
        ] {
            let error = refused(json!({ "properties": { "a": { "$ref": reference } } }));
            assert!(
                error.contains("schemas are never fetched"),
                "{reference}: {error}"
            );
        }
        let inside = json!({
            "$id": "https://example.com/order", "$ref": "item",
            "$defs": { "item": { "$id": "item", "type": "null" } },
        });
        assert_eq!(check(inside, "1").len(), 1);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends_with_the_value() {
        let schema = json!({ "type": "object", "properties": { "next": { "$ref": "#" } } });
        let deep = |inner: &str| format!("{}{inner}{}", "{\"next\":".repeat(100), "}".repeat(100));
        assert_eq!(check(schema.clone(), &deep("{}")), []);
        assert_eq!(check(schema, &deep("1")).len(), 1);
        assert_eq!(check(json!({ "$ref": "#" }), "1"), []);
    }

    #[test]
    fn patterns_take_linear_time_or_are_refused() {
        let schema = json!({ "pattern": "^(a+)+$" });
        assert_eq!(check(schema, &format!("\"{}b\"", "a".repeat(100_000))).len(), 1);
        for pattern in ["(?=a)b", "(?!a)b", "(a)\\1", "(", "\\d{1000}{1000}{1000}"] {
            let error = refused(json!({ "pattern": pattern }));
            assert!(error.contains("has a pattern that cannot be used"), "{error}");
            let error = refused(json!({ "patternProperties": { pattern: {} } }));
            assert!(error.contains("has a pattern that cannot be used"), "{error}");
        }
    }

    #[test]
    fn formats_are_checked_where_that_is_said() {
        let schema: Source = serde_json::from_value(json!({ "format": "date" })).unwrap();
        let document = json::read(b"\"tomorrow\"", &READING).unwrap();
        for (check_formats, errors) in [(false, 0), (true, 1)] {
            let reading = Reading {
                check_formats,
                ..READING
            };
            let schema = Schema::new(&schema, &reading).unwrap();
            assert_eq!(schema.check(&document, &reading).len(), errors);
        }
    }

    #[test]
    fn of_a_large_value_one_error_is_told() {
        let text = format!("[{}1]", "null,".repeat(MAX_SURVEYED));
        let found = check(json!({ "items": { "type": "integer" } }), &text);
        assert_eq!((found.len(), found[0].pointer.as_str()), (1, "/0"));
        let found = check(json!({ "anyOf": [{ "items": { "type": "integer" } }] }), &text);
        assert_eq!((found.len(), found[0].pointer.as_str()), (1, ""));
        assert!(found[0].detail.contains("too large"), "{found:?}");
    }

    #[test]
    fn what_is_said_of_a_schema_is_bounded() {
        let error = refused(json!({ "type": "x".repeat(100_000) }));
        assert!(error.chars().count() <= MAX_REASON);
    }
}
