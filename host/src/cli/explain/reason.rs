//! Why a route was taken or passed over, in words.
//!
//! It refuses to show the values that a route demands of fields and parameters: they may be secrets.

use std::fmt::Display;

use http::HeaderMap;

use crate::gateway::Explained;
use crate::route::{FieldMatch, FieldTest, Passed, Rule, Unmet};

/// Most hosts, methods, networks or names that one line names.
const LISTED: usize = 4;

/// Why a route with this rule was passed over, as the end of a sentence that begins with its name.
pub(super) fn passed_over(
    passed: &Passed,
    rule: &Rule,
    explained: &Explained,
    headers: &HeaderMap,
) -> String {
    match passed {
        Passed::Host => format!("is for host {}", list(&rule.hosts)),
        Passed::Path => format!("is for path {}", path(rule)),
        Passed::Unmet(Unmet::Method) => format!("is for method {}", list(&rule.methods)),
        Passed::Unmet(Unmet::Header(name)) if headers.contains_key(name) => {
            format!("demands another value of header `{name}`")
        }
        Passed::Unmet(Unmet::Header(name)) => format!("demands header `{name}`"),
        Passed::Unmet(Unmet::Query(name)) => {
            format!("demands query parameter `{name}`, or another value of it")
        }
        Passed::Unmet(Unmet::ClientIp) => format!("is not for client {}", explained.client_ip),
        Passed::Unmet(Unmet::Sni) => format!("is for server name {}", list(&rule.sni)),
        Passed::LessSpecificHost => "matches, too, but its host is less specific".to_owned(),
        Passed::LessSpecificPath => "matches, too, but its path is less specific".to_owned(),
        Passed::FewerPredicates => "matches, too, but demands less".to_owned(),
        Passed::Later => "matches, too, but comes later".to_owned(),
    }
}

/// What a rule demands beyond host and path.
pub(super) fn demands(rule: &Rule) -> Vec<String> {
    let mut demands = Vec::new();
    if !rule.methods.is_empty() {
        demands.push(format!("method {}", list(&rule.methods)));
    }
    demands.extend(rule.headers.iter().map(|demand| field("header", demand)));
    demands.extend(rule.query.iter().map(|demand| field("query parameter", demand)));
    if !rule.client_ip.is_empty() {
        demands.push(format!("client in {}", list(&rule.client_ip)));
    }
    if !rule.sni.is_empty() {
        demands.push(format!("server name {}", list(&rule.sni)));
    }
    demands
}

/// The path of a rule; a prefix ends with `/*`.
pub(super) fn path(rule: &Rule) -> String {
    let path = rule.path.to_string();
    if rule.path.is_prefix() {
        format!("{}/*", path.strip_suffix('/').unwrap_or(&path))
    } else {
        path
    }
}

fn field(noun: &str, demand: &FieldMatch) -> String {
    let name = &demand.name;
    match demand.test {
        FieldTest::Present => format!("{noun} `{name}`"),
        FieldTest::Exact(_) => format!("{noun} `{name}` with one value"),
        FieldTest::Prefix(_) => format!("{noun} `{name}` with one prefix"),
    }
}

fn list<T: Display>(items: &[T]) -> String {
    let mut text = items
        .iter()
        .take(LISTED)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" or ");
    if items.len() > LISTED {
        text.push_str(" or ...");
    }
    text
}
