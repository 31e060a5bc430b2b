//! The configuration of `transform` as it is written. Knows no request; what a schema cannot say is checked where each
//! part is compiled.

use std::collections::BTreeMap;

use portcullis::Strings;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Redirects; the first whose `when` holds is sent, and nothing else is done.
    #[serde(default)]
    pub redirect: Vec<Redirect>,
    /// Edits of the request.
    #[serde(default)]
    pub request: RequestEdits,
    /// Edits of the response.
    #[serde(default)]
    pub response: ResponseEdits,
}

/// A redirect.
#[portcullis::config]
#[derive(Debug)]
pub struct Redirect {
    /// The requests that it is for; all when left out.
    #[serde(default)]
    pub when: RequestWhen,
    /// Status code: 301, 302, 303, 307 or 308.
    #[serde(default = "default_redirect")]
    pub status: u16,
    /// Where to, an absolute URL of http or https or a path; may be a template.
    pub location: String,
    /// Whether the request's query is appended to a location that has none.
    #[serde(default = "yes")]
    pub keep_query: bool,
}

/// Edits of the request.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct RequestEdits {
    /// The requests that are edited; all when left out.
    #[serde(default)]
    pub when: RequestWhen,
    /// Method; may be a template.
    #[serde(default)]
    pub method: Option<String>,
    /// Host, and port if any, that the upstream is told; may be a template.
    #[serde(default)]
    pub host: Option<String>,
    /// Edits of the path.
    #[serde(default)]
    pub path: PathEdits,
    /// Edits of the query.
    #[serde(default)]
    pub query: FieldEdits,
    /// Edits of the headers.
    #[serde(default)]
    pub headers: FieldEdits,
}

/// Edits of the response.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct ResponseEdits {
    /// The responses that are edited; all when left out.
    #[serde(default)]
    pub when: ResponseWhen,
    /// Status code, 200 to 599.
    #[serde(default)]
    pub status: Option<u16>,
    /// Edits of the headers.
    #[serde(default)]
    pub headers: FieldEdits,
}

/// Conditions on the request; all that are given must hold.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct RequestWhen {
    /// Methods, one of which it must have.
    #[serde(default)]
    pub methods: Strings,
    /// `http` or `https`: how the client came.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Host that the request names, without port, in any case.
    #[serde(default)]
    pub host: Option<String>,
    /// Regular expression that must match in the path; its groups are `captures` in templates.
    #[serde(default)]
    pub path_regex: Option<String>,
    /// Headers and the regular expression that must match in one of their values; "" = the header is there.
    #[serde(default)]
    pub header_regex: BTreeMap<String, String>,
}

/// Conditions on the response; all that are given must hold.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct ResponseWhen {
    /// Status codes or classes, one of which it must have: `"404"`, `["404", "5xx"]`.
    #[serde(default)]
    pub status: Strings,
    /// Headers and the regular expression that must match in one of their values; "" = the header is there.
    #[serde(default)]
    pub header_regex: BTreeMap<String, String>,
}

/// Edits of the path: another one, or strip, replace, add in this order.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct PathEdits {
    /// The whole path; may be a template.
    #[serde(default)]
    pub set: Option<String>,
    /// Segments that are taken from the front where they are there.
    #[serde(default)]
    pub strip_prefix: Option<String>,
    /// What a regular expression finds is replaced.
    #[serde(default)]
    pub replace: Option<Replace>,
    /// Segments that are put in front; may be a template.
    #[serde(default)]
    pub add_prefix: Option<String>,
}

/// A replacement in the path.
#[portcullis::config]
#[derive(Debug)]
pub struct Replace {
    /// Regular expression; every match is replaced.
    pub regex: String,
    /// What takes its place: text with `$1`, `${1}` or `${name}` for groups and `$$` for a dollar sign.
    pub with: String,
}

/// Edits of header fields or query parameters, done in the order remove, rename, set, default, append.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct FieldEdits {
    /// Names whose fields are removed.
    #[serde(default)]
    pub remove: Strings,
    /// Names and what they become; what stood under the new name is replaced.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Names and the values that take the place of what is there; values may be templates.
    #[serde(default)]
    pub set: BTreeMap<String, Strings>,
    /// Names and the values that they get where they are absent; values may be templates.
    #[serde(default)]
    pub default: BTreeMap<String, Strings>,
    /// Names and values that are added to what is there; values may be templates.
    #[serde(default)]
    pub append: BTreeMap<String, Strings>,
}

fn default_redirect() -> u16 {
    308
}

fn yes() -> bool {
    true
}
