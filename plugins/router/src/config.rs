//! The configuration of `router`, as it is written. Knows no request; what it means is worked out in `rule`.

use std::collections::BTreeMap;

use portcullis::{Strings, TimeSpan};

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// The rules, in order: the first that fits the request decides where it goes. A request that none fits goes where
    /// it would go without the plugin.
    pub rules: Vec<Rule>,
}

/// One rule.
#[portcullis::config]
#[derive(Debug)]
pub struct Rule {
    /// What a request must be like; all conditions that are given must hold. Left out, the rule fits every request.
    #[serde(default)]
    pub when: When,
    /// Where the request goes: a name, `{ upstream = ".." }`, `{ route = ".." }`, or a list of these with weights.
    pub to: To,
    /// The same key gets the same choice among the targets of `to`; every request is a choice of its own when left out.
    #[serde(default)]
    pub sticky: Option<Sticky>,
}

/// Conditions on the request.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct When {
    /// One of these methods, in upper case.
    #[serde(default)]
    pub method: Option<Strings>,
    /// Values of header fields. A field that occurs several times fits if one value does.
    #[serde(default)]
    pub header: BTreeMap<String, Test>,
    /// Values of cookies.
    #[serde(default)]
    pub cookie: BTreeMap<String, Test>,
    /// Values of query parameters, percent-decoded and with `+` as a space.
    #[serde(default)]
    pub query: BTreeMap<String, Test>,
    /// An expression in CEL that is true, over `request.method`, `request.path`, `request.query`, `request.host`,
    /// `request.headers`, `request.cookies`, `request.params`, `client_ip` and `attributes`.
    #[serde(default)]
    pub expression: Option<String>,
}

/// What a value must be: a text that it equals, or a table with one of the other tests.
#[portcullis::config]
#[derive(Debug)]
#[serde(untagged)]
pub enum Test {
    /// It is this text.
    Equals(String),
    /// Another test.
    Other(OtherTest),
}

/// A test; exactly one key is given.
#[portcullis::config]
#[derive(Debug, Default)]
pub struct OtherTest {
    /// It is one of these texts.
    #[serde(default)]
    pub equals: Option<Strings>,
    /// It begins with this text.
    #[serde(default)]
    pub prefix: Option<String>,
    /// This regular expression matches in it; `^` and `$` tie it to the ends.
    #[serde(default)]
    pub regex: Option<String>,
    /// It is there at all (`true`) or not (`false`).
    #[serde(default)]
    pub present: Option<bool>,
}

/// Where requests go.
#[portcullis::config]
#[derive(Debug)]
#[serde(untagged)]
pub enum To {
    /// The upstream, or in `[gateway] routers` the route, of this name.
    Name(String),
    /// One of several, by weight.
    Split(Vec<Target>),
    /// One target.
    One(Target),
}

/// One target: an upstream or a route.
#[portcullis::config]
#[derive(Debug)]
pub struct Target {
    /// Name of an upstream: the rule is for entries in a pipeline.
    #[serde(default)]
    pub upstream: Option<String>,
    /// Name of a route: the rule is for entries in `[gateway] routers`.
    #[serde(default)]
    pub route: Option<String>,
    /// Its share of the sum of all weights; 0 = nothing.
    #[serde(default = "default_weight")]
    #[schemars(range(max = 1_000_000))]
    pub weight: u32,
}

/// How a choice sticks.
#[portcullis::config]
#[derive(Debug)]
pub struct Sticky {
    /// The key: `cookie` (set by the plugin), `header:NAME`, `client-ip` or `attribute:NAME`. A request without it is a
    /// choice of its own.
    pub by: String,
    /// Two rules with the same key choose independently when this differs.
    #[serde(default)]
    pub salt: String,
    /// Name of the cookie; `portcullis-sticky` when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// How long the client keeps the cookie, in whole seconds; until it closes when left out.
    #[serde(default)]
    pub max_age: Option<TimeSpan>,
    /// Path of the cookie; `/` when left out.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether the cookie is sent over TLS only; false when left out.
    #[serde(default)]
    pub secure: Option<bool>,
    /// Whether scripts cannot see the cookie; true when left out.
    #[serde(default)]
    pub http_only: Option<bool>,
    /// Whether other sites' requests carry the cookie; `lax` when left out.
    #[serde(default)]
    pub same_site: Option<SameSite>,
}

/// The cookie attribute `SameSite`.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When a link is followed.
    #[default]
    Lax,
    /// Always; browsers want `secure` with it.
    None,
}

fn default_weight() -> u32 {
    1
}
