//! The configuration of `error-pages`. Knows no request.

use std::collections::BTreeMap;

use portcullis::{Strings, headers};

use crate::status::Statuses;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// What a client gets that prefers nothing: no `Accept`, `*/*`, or only what there is not.
    #[serde(default)]
    pub default: Form,
    /// Template of HTML pages; the built-in page when left out.
    #[serde(default)]
    pub html: Option<String>,
    /// Template of plain text; the built-in text when left out.
    #[serde(default)]
    pub text: Option<String>,
    /// Fields of every HTML page and text.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Pages for some errors; the most specific that fits goes first.
    #[serde(default)]
    pub pages: Vec<Page>,
}

/// The form of an answer.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The gateway's own problem document (RFC 9457).
    #[default]
    Problem,
    /// An HTML page.
    Html,
    /// Plain text.
    Text,
}

/// A page for some errors.
#[portcullis::config]
#[derive(Debug)]
pub struct Page {
    /// Statuses that it is for: `404`, `"5xx"`, or a list of such; all when left out.
    #[serde(default)]
    pub status: Statuses,
    /// Codes that it is for: `"no-route"` or a list; all when left out.
    #[serde(default)]
    pub code: Strings,
    /// Template of the HTML page.
    #[serde(default)]
    pub html: Option<String>,
    /// Template of the plain text.
    #[serde(default)]
    pub text: Option<String>,
    /// Further fields; they go before those of the same name for all pages.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// Fields that are not the operator's to set: what they say is known only when the answer is made.
const OWN: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "trailer",
    "transfer-encoding",
    "vary",
];

/// Header fields as they are sent: names in lower case, checked.
pub(crate) fn fields(table: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, String> {
    table.iter().map(field).collect()
}

fn field((name, value): (&String, &String)) -> Result<(String, String), String> {
    let name = name.to_ascii_lowercase();
    if OWN.contains(&name.as_str()) {
        return Err(format!("`headers` cannot set `{name}`"));
    }
    if !headers::is_name(&name) || !headers::is_value(value) {
        return Err(format!(
            "`headers`: {name:?} with the value {value:?} cannot be sent"
        ));
    }
    Ok((name, value.clone()))
}
