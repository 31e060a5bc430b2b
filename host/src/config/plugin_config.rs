//! The opaque `config` table of a plugin entry: as JSON for the plugin, with the place of every value for messages.
//!
//! It refuses to know what is in it, and to show it: values may be secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Severity};
use super::origin::Origin;
use super::reference::Kind;
use super::scope::{Node, Scope};
use super::source::{Source, Span};

/// Deepest nesting of lists and tables in a `config`.
const MAX_DEPTH: usize = 64;

/// The `config` of a plugin entry, references replaced by their content. Cheap to clone; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PluginConfig(Arc<Inner>);

struct Inner {
    value: Value,
    json: String,
    hash: [u8; 32],
    /// Where each value stands, by its JSON pointer; what came out of a reference is where the reference is.
    places: BTreeMap<String, Span>,
    /// Where the whole table stands.
    at: Span,
    source: Arc<Source>,
}

impl PluginConfig {
    /// The text that `configure` is given: a JSON object, `{}` when the entry has no `config`.
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// The same as a value.
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    /// SHA-256 of [`PluginConfig::json`]; keys are in order, so that equal configurations have equal hashes.
    pub fn hash(&self) -> [u8; 32] {
        self.0.hash
    }

    /// Where the value that a JSON pointer (RFC 6901) names is written, or else the nearest table or list around it.
    pub fn locate(&self, pointer: &str) -> Origin {
        self.0.source.origin(self.place(pointer).start)
    }

    /// An error about the value that a JSON pointer (RFC 6901) names. The source line shows keys and no values;
    /// `message` must not quote the value either.
    pub fn problem(&self, pointer: &str, message: impl Into<String>) -> Diagnostic {
        self.0
            .source
            .diagnostic(Severity::Error, self.place(pointer), message.into())
    }

    fn place(&self, pointer: &str) -> &Span {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.0.places.get(pointer) {
                return place;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => return &self.0.at,
            }
        }
    }

    /// The `config` of an entry at `at` that has none.
    pub(super) fn empty(scope: &Scope<'_>, at: &Span) -> Self {
        Self::new(scope, at, Value::Object(Map::new()), BTreeMap::new())
    }

    /// The `config` that `node` is, `at` its key. The table itself is never a reference.
    pub(super) fn read(scope: &Scope<'_>, at: &Span, node: &Node<'_>) -> Self {
        let DeValue::Table(table) = node.get_ref() else {
            scope.wrong_type::<()>("`config`", "a table", node);
            return Self::empty(scope, at);
        };
        let mut conversion = Conversion {
            scope,
            places: BTreeMap::new(),
            pointer: String::new(),
            depth: 0,
        };
        let value = conversion.table(table);
        Self::new(scope, at, value, conversion.places)
    }

    /// The `config` that a whole file is.
    pub(super) fn whole(scope: &Scope<'_>, table: &DeTable<'_>) -> Self {
        let mut conversion = Conversion {
            scope,
            places: BTreeMap::new(),
            pointer: String::new(),
            depth: 0,
        };
        let value = conversion.table(table);
        Self::new(scope, &(0..0), value, conversion.places)
    }

    /// The `config` that a file of JSON is.
    pub(super) fn of_json(scope: &Scope<'_>, value: Map<String, Value>) -> Self {
        Self::new(scope, &(0..0), Value::Object(value), BTreeMap::new())
    }

    fn new(scope: &Scope<'_>, at: &Span, value: Value, places: BTreeMap<String, Span>) -> Self {
        let json = value.to_string();
        Self(Arc::new(Inner {
            hash: Sha256::digest(&json).into(),
            value,
            json,
            places,
            at: at.clone(),
            source: Arc::clone(scope.source()),
        }))
    }
}

impl fmt::Debug for PluginConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[config]")
    }
}

/// TOML to JSON, remembering places. What cannot be converted is reported and becomes null.
struct Conversion<'s> {
    scope: &'s Scope<'s>,
    places: BTreeMap<String, Span>,
    pointer: String,
    depth: usize,
}

impl Conversion<'_> {
    fn table(&mut self, table: &DeTable<'_>) -> Value {
        // In the order of the keys, whatever the order in the file and in the map.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.get_ref());
        let convert = |(key, node): (&toml::Spanned<_>, &Node<'_>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let token = name.replace('~', "~0").replace('/', "~1");
            (name.to_string(), self.below(&token, key.span(), node))
        };
        Value::Object(entries.into_iter().map(convert).collect())
    }

    /// The value under one more token of the pointer.
    fn below(&mut self, token: &str, at: Span, node: &Node<'_>) -> Value {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(token);
        self.depth += 1;
        self.places.insert(self.pointer.clone(), at);
        let value = self.value(node);
        self.depth -= 1;
        self.pointer.truncate(length);
        value
    }

    fn value(&mut self, node: &Node<'_>) -> Value {
        if self.depth > MAX_DEPTH {
            let message = format!("`config` is nested deeper than {MAX_DEPTH} levels");
            self.scope.error(&node.span(), message);
            return Value::Null;
        }
        match node.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => Value::Number(number.into()),
                Err(_) => self.refuse(node, "the integer does not fit into 64 bits"),
            },
            DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
                Some(number) => Value::Number(number),
                None => self.refuse(node, "the float is not finite, so JSON has no form of it"),
            },
            DeValue::Array(list) => {
                let elements = list.iter().enumerate();
                elements
                    .map(|(index, node)| self.below(&index.to_string(), node.span(), node))
                    .collect()
            }
            DeValue::Table(table) => match Kind::of(table) {
                None => self.table(table),
                Some(Kind::Files) => self.scope.files(node).map_or(Value::Null, Value::from),
                Some(Kind::Env | Kind::File) => {
                    let text = self.scope.text("the value", node);
                    text.map_or(Value::Null, |text| Value::from(text.as_str()))
                }
            },
        }
    }

    fn refuse(&self, node: &Node<'_>, message: &str) -> Value {
        self.scope.error(&node.span(), message);
        Value::Null
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::tests::parsed;

    const TEXT: &str = "[plugins.a]\nconfig = { z = 'hidden', limits = [1, { rate = 2.5 }], 'a/b' = true }\n\
                        [plugins.b.config]\nlimits = [1, { rate = 2.5 }]\nz = 'hidden'\n'a/b' = true\n[plugins.c]\n\
                        [plugins.d.config]\nsince = 2020-01-01T00:00:00Z\nhex = 0xff\nkey = { env = 'TOKEN' }\n";

    #[test]
    fn every_kind_of_value_becomes_json() {
        let config = parsed(TEXT);
        assert_eq!(
            config.plugins[3].config.value(),
            &json!({ "since": "2020-01-01T00:00:00Z", "hex": 255, "key": "hunter2" })
        );
        assert_eq!(config.plugins[2].config.json(), "{}");
    }

    #[test]
    fn the_order_of_keys_changes_neither_text_nor_hash() {
        let config = parsed(TEXT);
        let [a, b, c, _] = &config.plugins[..] else {
            panic!()
        };
        assert_eq!(a.config.json(), b.config.json());
        assert_eq!(a.config.hash(), b.config.hash());
        assert_ne!(a.config.hash(), c.config.hash());
    }

    #[test]
    fn a_pointer_is_located_or_its_nearest_parent() {
        let config = parsed(TEXT);
        let at = |plugin: usize, pointer: &str| {
            let origin = config.plugins[plugin].config.locate(pointer);
            (origin.line, origin.column)
        };
        assert_eq!(at(0, "/limits/1/rate"), (2, 41));
        assert_eq!(at(0, "/limits/1/missing"), at(0, "/limits/1"));
        assert_eq!(at(0, "/a~1b"), (2, 56));
        assert_eq!(at(0, "/nothing/of/it"), at(0, ""));
        assert_eq!(at(0, "no pointer"), (2, 1));
        assert_eq!(at(1, "/limits/0"), (4, 11));
        assert_eq!(at(2, "/x"), (7, 10));
    }

    #[test]
    fn a_problem_shows_keys_and_no_values() {
        let config = parsed(TEXT);
        let problem = config.plugins[0]
            .config
            .problem("/limits/1/rate", "the rate must be a whole number");
        insta::assert_snapshot!(problem, @"
        error: the rate must be a whole number
         --> conf/gateway.toml:2:41
          |
        2 | config = { z = …, limits = […, { rate = … }], 'a/b' = … }
          |                                  ^^^^
        ");
        let problem = config.plugins[1].config.problem("/z", "it is too short");
        insta::assert_snapshot!(problem, @"
        error: it is too short
         --> conf/gateway.toml:5:1
          |
        5 | z = …
          | ^
        ");
    }

    #[test]
    fn debug_shows_nothing() {
        let config = parsed(TEXT);
        assert_eq!(format!("{:?}", config.plugins[0].config), "[config]");
    }
}
