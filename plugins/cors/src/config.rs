//! The configuration of `cors`. Knows no request; what its schema cannot say is checked where the policy is made.

use portcullis::{Strings, TimeSpan};

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Origins whose pages may use the API: `https://example.com`, with a port if it is not the scheme's own;
    /// `https://*.example.com` for all hosts below a domain; `http://localhost:*` for all ports; `null` for pages without an
    /// origin; `*` alone for all.
    pub origins: Strings,
    /// Whether requests may carry cookies, client certificates and HTTP authentication of the browser.
    #[serde(default)]
    pub credentials: bool,
    /// Methods that pages may use beyond those that need no permission (GET, HEAD, POST); `*` = all.
    #[serde(default)]
    pub methods: Strings,
    /// Request headers that pages may set beyond those that need no permission; `*` = all but `Authorization`.
    #[serde(default)]
    pub headers: Strings,
    /// Whether pages may set any request header that they ask for, `Authorization` too.
    #[serde(default)]
    pub reflect_headers: bool,
    /// Response headers that pages may read beyond those that need no permission; `*` = all.
    #[serde(default)]
    pub expose: Strings,
    /// How long a browser may remember the answer to a preflight request; in whole seconds. Absent = the browser's own
    /// default, 5 seconds.
    pub max_age: Option<TimeSpan>,
    /// Whether pages of public sites may reach this API in a private network, where the browser asks.
    #[serde(default)]
    pub private_network: bool,
    /// Whether a request from another origin is refused; else it is served, and the browser keeps the answer from the
    /// page.
    #[serde(default)]
    pub reject: bool,
}
