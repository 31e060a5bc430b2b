//! The configuration of `mock`. Knows no request.

use std::collections::BTreeMap;

use portcullis::Strings;
use portcullis::serde_json::Value;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// The answers; the first that fits the request is given.
    #[serde(default)]
    pub responses: Vec<Response>,
}

/// One answer.
#[portcullis::config]
#[derive(Debug)]
pub struct Response {
    /// The requests that it fits; all when left out.
    #[serde(default)]
    pub when: When,
    /// Status code.
    #[serde(default = "default_status")]
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// Header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, Strings>,
    /// Text to send, `text/plain` unless the headers say otherwise.
    #[serde(default)]
    pub body: Option<String>,
    /// Value to send as `application/json`.
    #[serde(default)]
    pub json: Option<Value>,
    /// Whether to send what arrived, as JSON.
    #[serde(default)]
    pub echo: bool,
}

/// Conditions on the request; all that are given must hold.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct When {
    /// The method, in upper case.
    #[serde(default)]
    pub method: Option<String>,
    /// The path; with `*` at its end, what it begins with.
    #[serde(default)]
    pub path: Option<String>,
    /// Values that headers must have.
    #[serde(default)]
    pub header: BTreeMap<String, String>,
}

fn default_status() -> u16 {
    200
}
