//! Names that clients ask for in their handshake of TLS, as an operator writes them.
//!
//! Refuses to know certificates.

use std::fmt;
use std::net::Ipv4Addr;

use super::pattern::{HostPattern, HostScope, PatternError};

/// A name, or every name under one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerName(HostPattern);

impl ServerName {
    /// Reads what [`HostPattern::parse`] reads, but for addresses: clients ask for names only (RFC 6066 section 3).
    ///
    /// # Errors
    /// [`PatternError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let host = HostPattern::parse(text)?;
        if host.name.starts_with('[') || host.name.parse::<Ipv4Addr>().is_ok() {
            return Err(PatternError::Address(text.to_owned()));
        }
        Ok(Self(host))
    }

    /// Whether it is the name `asked`, which is in lower case.
    pub(super) fn is(&self, asked: &str) -> bool {
        match self.0.scope {
            HostScope::Exact => asked == self.0.name,
            HostScope::Below => self.is_above(asked),
        }
    }

    /// Whether every name that is `other` is this, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self.0.scope, other.0.scope) {
            (HostScope::Below, HostScope::Below) => {
                self.0.name == other.0.name || self.is_above(&other.0.name)
            }
            (_, HostScope::Exact) => self.is(&other.0.name),
            (HostScope::Exact, HostScope::Below) => false,
        }
    }

    fn is_above(&self, name: &str) -> bool {
        let labels = name.strip_suffix(self.0.name.as_str());
        labels.is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_itself_and_a_wildcard_is_every_name_below() {
        for (pattern, asked, want) in [
            ("a.b", "a.b", true),
            ("A.B.", "a.b", true),
            ("a.b", "b", false),
            ("a.b", "x.a.b", false),
            ("*.b", "a.b", true),
            ("*.b", "x.a.b", true),
            ("*.b", "b", false),
            ("*.b", "ab", false),
            ("*.b", ".b", false),
        ] {
            assert_eq!(name(pattern).is(asked), want, "{pattern} {asked}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        for (wider, narrower, want) in [
            ("a.b", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "*.b", true),
            ("*.b", "*.a.b", true),
            ("*.a.b", "*.b", false),
            ("a.b", "*.b", false),
            ("*.b", "b", false),
            ("*.b", "*.ab", false),
        ] {
            assert_eq!(name(wider).covers(&name(narrower)), want, "{wider} {narrower}");
        }
    }

    #[test]
    fn addresses_are_no_names() {
        for text in ["192.0.2.1", "[::1]"] {
            assert_eq!(
                ServerName::parse(text),
                Err(PatternError::Address(text.to_owned()))
            );
        }
        assert!(ServerName::parse("*").is_err() && ServerName::parse("a:1").is_err());
    }
}
