//! What an entry may do beyond its own exchange.
//!
//! It refuses to know how a guest is held to it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Store;

/// `allow`: the grants of an entry. The default grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// `attributes`: prefixes of the reserved attributes that it may write.
    pub attributes: Vec<String>,
    /// `http`: where it may send requests to.
    pub http: Vec<HttpGrant>,
    /// `private-networks`: networks of private use that names of `http` may stand for.
    pub private_networks: Vec<IpNet>,
    /// `store`: the store that it may use.
    pub store: Option<Arc<Store>>,
    /// `flights`: whether it may wait for others that do the same work.
    pub flights: bool,
}

impl Grants {
    /// The imports of the contract that may wait and are granted, by their short names.
    #[must_use]
    pub fn waits(&self) -> Vec<&'static str> {
        let mut granted = Vec::new();
        if !self.http.is_empty() {
            granted.push("http-client");
        }
        if self.store.is_some() {
            granted.extend(["cluster-counters", "cluster-map"]);
        }
        if self.flights {
            granted.push("flights");
        }
        granted
    }

    /// What is granted, a phrase each, for people.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let attributes = self
            .attributes
            .iter()
            .map(|prefix| format!("attributes {prefix}*"));
        let http = self.http.iter().map(|grant| format!("http {grant}"));
        let networks = self
            .private_networks
            .iter()
            .map(|net| format!("private network {net}"));
        let flights = self.flights.then(|| "flights".to_owned());
        let store = self.store.as_ref().map(|store| format!("store {}", store.name));
        let all = attributes.chain(http).chain(networks);
        all.chain(store).chain(flights).collect()
    }
}

/// Where requests may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpGrant {
    /// `SCHEME://HOST[:PORT]`.
    Origin {
        /// With TLS.
        scheme: HttpScheme,
        /// The hosts.
        host: HostPattern,
        /// The TCP port.
        port: u16,
    },
    /// `upstream://NAME`: an upstream of this configuration.
    Upstream(Arc<str>),
}

/// In clear or with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpScheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

impl HttpScheme {
    /// The scheme as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URI without one means (RFC 9110 sections 4.2.1 and 4.2.2).
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Hosts by name or address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This address. It may be a private one: who writes it down means it.
    Address(IpAddr),
    /// This name, lower case.
    Name(String),
    /// `*.NAME`: every name below it, at any depth, not itself.
    Below(String),
}

impl HostPattern {
    /// Whether `host` is one of them: an address without brackets, or a name in any case.
    #[must_use]
    pub fn fits(&self, host: &str) -> bool {
        match self {
            Self::Address(address) => host.parse() == Ok(*address),
            Self::Name(name) => name.eq_ignore_ascii_case(host),
            Self::Below(name) => host
                .len()
                .checked_sub(name.len() + 1)
                .filter(|&before| before > 0)
                .and_then(|before| host.split_at_checked(before))
                .and_then(|(_, rest)| rest.strip_prefix('.'))
                .is_some_and(|rest| rest.eq_ignore_ascii_case(name)),
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

impl std::fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin { scheme, host, port } => write!(f, "{}://{host}:{port}", scheme.name()),
            Self::Upstream(name) => write!(f, "upstream://{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_names_below_it_at_any_depth() {
        let below = HostPattern::Below("example.com".to_owned());
        assert!(below.fits("a.example.com") && below.fits("a.B.Example.COM"));
        for host in [
            "example.com",
            ".example.com",
            "aexample.com",
            "example.com.evil",
            "",
            "é.com",
        ] {
            assert!(!below.fits(host), "{host}");
        }
        assert!(HostPattern::Name("a.example".to_owned()).fits("A.example"));
        assert!(HostPattern::Address([127, 0, 0, 1].into()).fits("127.0.0.1"));
        assert!(!HostPattern::Address([127, 0, 0, 1].into()).fits("127.0.0.2"));
    }

    #[test]
    fn nothing_is_granted_that_is_not_written() {
        assert!(Grants::default().waits().is_empty());
        assert!(Grants::default().shown().is_empty());
    }
}
