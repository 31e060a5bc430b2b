//! Which rule a request falls under: patterns, and the table that finds the most specific one.
//!
//! Knows hosts, paths and what a rule may demand of a request head. Refuses to know configuration files,
//! pipelines and upstreams: a rule is an index to the caller.

mod explain;
mod pattern;
mod predicate;
mod server_name;
mod table;
mod tree;

pub use explain::{Explanation, Passed, PathKind, Stand};
pub use pattern::{HostPattern, MAX_SEGMENTS, PathPattern, PatternError};
pub use predicate::{FieldMatch, FieldTest, Unmet};
pub use server_name::ServerName;
pub use table::{Lookup, Table};

use http::Method;
use ipnet::IpNet;

/// What a request must be like. The rule's place in the slice given to [`Table::new`] is its name.
#[derive(Clone, Debug)]
pub struct Rule {
    /// One of these hosts; empty = any.
    pub hosts: Vec<HostPattern>,
    /// This path.
    pub path: PathPattern,
    /// One of these methods; empty = any. `GET` does not include `HEAD`.
    pub methods: Vec<Method>,
    /// All of these fields.
    pub headers: Vec<FieldMatch>,
    /// All of these query parameters.
    pub query: Vec<FieldMatch>,
    /// A client address in one of these networks; empty = any.
    pub client_ip: Vec<IpNet>,
    /// A handshake of TLS that asked for one of these names; empty = any, and none needed.
    pub sni: Vec<ServerName>,
}

#[cfg(test)]
mod tests;
