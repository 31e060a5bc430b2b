//! The configuration of `request-id` and what its schema cannot say. Knows no request.

use portcullis::headers;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Request header that carries the id to the upstream, and from the client where `accept` says so.
    #[serde(default = "default_header")]
    pub header: String,
    /// Response header that carries the id to the client; the name in `header` when left out, "" = none.
    #[serde(default)]
    pub response_header: Option<String>,
    /// Whether an id that the client sends is kept.
    #[serde(default)]
    pub accept: Accept,
    /// What an id looks like that is made here.
    #[serde(default)]
    pub format: Format,
}

/// What becomes of an id that the client sends.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// It is replaced.
    #[default]
    Never,
    /// It is kept when it is one field of 1 to 128 letters, digits and `-._~:+/=@`.
    Valid,
}

/// What an id looks like that is made here.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The gateway's own number of the exchange, 16 hexadecimal digits: what its error documents and its log say.
    #[default]
    Gateway,
    /// A random UUID (RFC 9562 section 5.4).
    UuidV4,
    /// A UUID that begins with the time, so that ids sort by it (RFC 9562 section 5.7).
    UuidV7,
}

impl Config {
    /// The names of the request header and of the response header.
    ///
    /// # Errors
    /// Which key holds no name of a header.
    pub(crate) fn names(&self) -> Result<(String, Option<String>), String> {
        let name = checked("header", &self.header)?;
        let response = match &self.response_header {
            None => Some(name.clone()),
            Some(none) if none.is_empty() => None,
            Some(own) => Some(checked("response-header", own)?),
        };
        Ok((name, response))
    }
}

fn checked(key: &str, name: &str) -> Result<String, String> {
    let lower = name.to_ascii_lowercase();
    if headers::is_name(&lower) {
        Ok(lower)
    } else {
        Err(format!("`{key}` is not the name of a header: {name:?}"))
    }
}

fn default_header() -> String {
    "x-request-id".to_owned()
}
