//! The configuration of `subset`. Knows no request.

use std::collections::BTreeMap;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Where the value of each label that is asked for comes from: `header:NAME` or `attribute:KEY`.
    pub labels: BTreeMap<String, String>,
    /// The values of labels for requests that have none.
    #[serde(default)]
    pub default: BTreeMap<String, String>,
}
