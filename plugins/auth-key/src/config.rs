//! The configuration of `auth-key` and what its schema cannot say. Knows no request.

use std::collections::BTreeMap;

use portcullis::{Strings, headers};

/// Configuration of the plugin.
#[portcullis::config]
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct Config {
    /// The keys of each consumer. Write secrets as `{ env = ".." }` or `{ file = ".." }`; white space at the ends of a
    /// key does not count.
    pub keys: BTreeMap<String, Strings>,
    /// Header that carries the key; "" = none.
    #[serde(default = "default_header")]
    pub header: String,
    /// Query parameter that carries the key; "" = none.
    #[serde(default)]
    pub query: String,
    /// Whether header and query parameter are removed before the upstream.
    #[serde(default = "default_hide")]
    pub hide: bool,
    /// Request header that tells the upstream the consumer's name; "" = none.
    #[serde(default = "default_upstream_header")]
    pub upstream_header: String,
    /// Name of what is protected, for `WWW-Authenticate`.
    #[serde(default = "default_realm")]
    pub realm: String,
}

impl Config {
    /// What is wrong, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.header.is_empty() && self.query.is_empty() {
            return Err("`header` and `query` are both empty: there is no place for a key".to_owned());
        }
        for (field, name) in [
            ("header", &self.header),
            ("upstream-header", &self.upstream_header),
        ] {
            if !name.is_empty() && !headers::is_name(&name.to_ascii_lowercase()) {
                return Err(format!("`{field}` is not the name of a header: {name:?}"));
            }
        }
        if self.header.eq_ignore_ascii_case(&self.upstream_header) && self.hide {
            return Err("`header` and `upstream-header` are the same".to_owned());
        }
        if !self.realm.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return Err("`realm` has characters beyond printable ASCII".to_owned());
        }
        match self
            .keys
            .keys()
            .find(|consumer| consumer.is_empty() || !headers::is_value(consumer))
        {
            Some(consumer) => Err(format!("a consumer's name must fit into a header: {consumer:?}")),
            None => Ok(()),
        }
    }

    /// The challenge of `WWW-Authenticate`. `ApiKey` is no registered scheme; there is none for API keys.
    pub(crate) fn challenge(&self) -> String {
        let mut challenge = "ApiKey realm=\"".to_owned();
        for c in self.realm.chars() {
            if matches!(c, '"' | '\\') {
                challenge.push('\\');
            }
            challenge.push(c);
        }
        challenge.push('"');
        challenge
    }
}

fn default_header() -> String {
    "x-api-key".to_owned()
}

fn default_hide() -> bool {
    true
}

fn default_upstream_header() -> String {
    "x-consumer".to_owned()
}

fn default_realm() -> String {
    "api".to_owned()
}
