//! The JSON Schema (draft 2020-12) of a configuration file, for editors.
//!
//! It refuses to check what only the gateway can: names that refer to each other, ranges of times and sizes, files.

use serde_json::{Map, Value, json};

use super::tables::TABLES;
use super::{Default, Key, Kind, Table};

/// The schema.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    definitions.insert("reference".to_owned(), reference());
    definitions.insert("text".to_owned(), or_reference(&json!({ "type": "string" })));
    definitions.insert("time".to_owned(), pattern("^[0-9]+(ns|us|ms|s|m|h)$"));
    definitions.insert("size".to_owned(), pattern("^[0-9]+([KMGT]i)?B$"));
    definitions.insert("name".to_owned(), name());
    let member = any_of(&["text", "overrides"]);
    definitions.insert("member".to_owned(), member);
    definitions.insert("element".to_owned(), any_of(&["text", "overrides", "any"]));
    let mut tables = TABLES.iter();
    let file = tables.next().map(table).unwrap_or_default();
    for other in tables {
        definitions.insert(other.name.to_owned(), table(other));
    }
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Portcullis configuration",
    });
    if let (Value::Object(schema), Value::Object(file)) = (&mut schema, file) {
        schema.extend(file);
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

fn table(table: &Table) -> Value {
    let properties: Map<String, Value> = table
        .keys()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<&str> = table
        .keys()
        .filter(|key| matches!(key.default, Default::Required))
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "description": table.text,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    let description = match key.default {
        Default::Words(words) => format!("{} Default: {words}.", key.text),
        Default::Value(value) => format!("{} Default: `{value}`.", key.text),
        Default::Required => key.text.to_owned(),
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), Value::String(description));
        let example = match key.kind {
            Kind::Text(example) | Kind::OneOrMore(example) => Some(json!([example])),
            Kind::Pem(file) => Some(json!([{ "file": file }])),
            Kind::Texts(example) | Kind::TextsOr(example, _) => Some(json!([[example]])),
            _ => None,
        };
        schema.extend(example.map(|example| ("examples".to_owned(), example)));
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text(_) | Kind::Pem(_) => definition("text"),
        Kind::Choice(words) => or_reference(&json!({ "enum": words })),
        Kind::Time(..) => definition("time"),
        Kind::Size(..) => definition("size"),
        Kind::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Texts(_) => list("text"),
        Kind::TextsOr(_, table) => json!({ "type": "array", "items": any_of(&["text", table]) }),
        Kind::ChoiceOr(words, tables) => {
            let words = or_reference(&json!({ "enum": words }));
            let tables = tables.iter().map(|table| definition(table));
            json!({ "anyOf": std::iter::once(words).chain(tables).collect::<Vec<_>>() })
        }
        Kind::OneOrMore(_) => json!({ "anyOf": [definition("text"), list("text")] }),
        Kind::Table(name) => definition(name),
        Kind::Named(name) => by_name(&definition(name)),
        Kind::Many(name) => list(name),
        Kind::Pipeline => list("element"),
        Kind::Pipelines => by_name(&list("element")),
        Kind::Fields => json!({
            "type": "object",
            "additionalProperties": any_of(&["text", "field"]),
        }),
        Kind::Members => json!({
            "type": "array",
            "items": definition("member"),
            "minItems": 2,
            "maxItems": 8,
        }),
        Kind::Target => any_of(&["text", "overrides"]),
        Kind::UpstreamOr(table) => any_of(&["text", table]),
        Kind::ValuesByName => json!({ "type": "object", "additionalProperties": definition("text") }),
        Kind::Free => json!({ "type": "object" }),
    }
}

fn definition(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn list(of: &str) -> Value {
    json!({ "type": "array", "items": definition(of) })
}

fn any_of(names: &[&str]) -> Value {
    let options: Vec<Value> = names.iter().map(|name| definition(name)).collect();
    json!({ "anyOf": options })
}

fn by_name(values: &Value) -> Value {
    json!({
        "type": "object",
        "propertyNames": definition("name"),
        "additionalProperties": values,
    })
}

fn pattern(pattern: &str) -> Value {
    or_reference(&json!({ "type": "string", "pattern": pattern }))
}

/// What stands in the file, or comes from outside it.
fn or_reference(literal: &Value) -> Value {
    json!({ "anyOf": [literal, definition("reference")] })
}

fn reference() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "Text that comes from outside the file and is never shown.",
        "properties": {
            "env": text("The value of this environment variable."),
            "file": text("The content of this file, relative to the folder of the configuration file."),
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
    })
}

fn name() -> Value {
    json!({
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$",
    })
}
