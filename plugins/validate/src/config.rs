//! The configuration of `validate`. Knows no request; schemas are compiled where the rules are made.

use std::collections::BTreeMap;

use portcullis::Strings;

use crate::json::Reading;
use crate::source::Source;

/// Nesting that the JSON parser can be asked for.
const MOST_DEPTH: u32 = 126;
/// Errors that one answer may list.
const MOST_ERRORS: u32 = 100;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// What request bodies have to be; absent = anything.
    pub request: Option<RequestConfig>,
    /// What response bodies have to be; absent = anything.
    pub response: Option<ResponseConfig>,
    /// `enforce`, or `report`: nothing is refused, only counted and noted.
    #[serde(default)]
    pub mode: Mode,
    /// Errors that one answer lists, 1 to 100.
    #[serde(default = "default_max_errors")]
    pub max_errors: u32,
    /// Whether a client is told what is wrong with a response.
    #[serde(default)]
    pub expose_errors: bool,
    /// `refuse`, or `last`: of members with one name the last counts, whatever the upstream makes of them.
    #[serde(default)]
    pub duplicate_keys: DuplicateKeys,
    /// How deep arrays and objects may be nested, 1 to 126.
    #[serde(default = "default_max_depth")]
    pub max_depth: u32,
    /// How many values (numbers, texts, arrays, objects ...) a body may have, all levels together.
    #[serde(default = "default_max_values")]
    pub max_values: u32,
    /// Whether `format` is checked; by the letter of JSON Schema it is a note.
    #[serde(default)]
    pub check_formats: bool,
}

/// What request bodies have to be.
#[portcullis::config]
#[derive(Debug)]
pub struct RequestConfig {
    /// JSON Schema as a table or as text: `{ file = "order.json" }`.
    pub schema: Source,
    /// Media types that are taken: `application/json`, with `*` for a part (`application/*`, `*/*`) or before a suffix
    /// (`application/*+json`).
    #[serde(default = "default_content_types")]
    pub content_types: Strings,
    /// Whether requests by POST, PUT and PATCH need a body; a body that is there is checked whatever the method.
    #[serde(default = "default_required")]
    pub required: bool,
}

/// What response bodies have to be.
#[portcullis::config]
#[derive(Debug)]
pub struct ResponseConfig {
    /// JSON Schema of answers with a status 2xx, as a table or as text.
    pub schema: Option<Source>,
    /// JSON Schemas by status: `"200"`, a class such as `"4xx"`, or `"default"` for all that no other key fits.
    #[serde(default)]
    pub by_status: BTreeMap<String, Source>,
    /// Media types that are taken, as for requests.
    #[serde(default = "default_content_types")]
    pub content_types: Strings,
    /// Whether an answer that has a schema needs a body.
    #[serde(default = "default_required")]
    pub required: bool,
}

/// Whether anything is refused.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What does not fit is refused.
    #[default]
    Enforce,
    /// It is only counted and noted.
    Report,
}

/// What happens to objects with two members of one name (RFC 8259 section 4 leaves it open).
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DuplicateKeys {
    /// The body is refused: an upstream that takes the first one would act on what nobody validated.
    #[default]
    Refuse,
    /// The last one counts.
    Last,
}

impl Config {
    /// How bodies are read.
    pub(crate) fn reading(&self) -> Result<Reading, String> {
        let bounded = |key: &str, value: u32, most: u32| {
            let fits = Some(value).filter(|value| (1..=most).contains(value));
            fits.and_then(|value| usize::try_from(value).ok())
                .ok_or_else(|| format!("`{key}` is {value}; expected 1 to {most}"))
        };
        Ok(Reading {
            max_errors: bounded("max-errors", self.max_errors, MOST_ERRORS)?,
            max_depth: bounded("max-depth", self.max_depth, MOST_DEPTH)?,
            max_values: bounded("max-values", self.max_values, u32::MAX)?,
            duplicate_keys: self.duplicate_keys,
            check_formats: self.check_formats,
        })
    }
}

fn default_max_errors() -> u32 {
    20
}

fn default_max_depth() -> u32 {
    64
}

fn default_max_values() -> u32 {
    10_000
}

fn default_content_types() -> Strings {
    Strings(vec![
        "application/json".to_owned(),
        "application/*+json".to_owned(),
    ])
}

fn default_required() -> bool {
    true
}
