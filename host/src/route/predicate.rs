//! What a rule demands of a request beyond host and path.
//!
//! Refuses to know where in the table the rule stands.

use std::net::IpAddr;

use http::header::HeaderName;
use http::{HeaderValue, Method};
use ipnet::IpNet;

use super::{Lookup, Rule, ServerName};

/// A demand on a field of the head or a parameter of the query. If it occurs more than once, one occurrence
/// that passes is enough.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldMatch {
    /// Name of the field (of either case) or of the parameter (as it is).
    pub name: String,
    /// What its value must be.
    pub test: FieldTest,
}

/// What a value must be. A field's value is compared byte for byte; names and values of the query are compared
/// with percent escapes decoded and `+` as a space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldTest {
    /// Anything.
    Present,
    /// This.
    Exact(String),
    /// Anything that begins with this.
    Prefix(String),
}

/// The first demand of a rule that a request does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// The method.
    Method,
    /// This field of the head.
    Header(String),
    /// This parameter of the query.
    Query(String),
    /// The client's address.
    ClientIp,
    /// The name that the client's handshake asked for.
    Sni,
}

impl FieldTest {
    fn passes(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
        }
    }

    /// [`Self::passes`] on the decoded form of a part of a query.
    fn passes_decoded(&self, part: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(text) => is_decoded(part, text.as_bytes()),
            Self::Prefix(text) => {
                let mut value = Decoded(part);
                text.bytes().all(|byte| value.next() == Some(byte))
            }
        }
    }

    /// Whether every value that passes `other` passes this too.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, _) => true,
            (Self::Exact(text), Self::Exact(other)) => text == other,
            (Self::Prefix(text), Self::Exact(other) | Self::Prefix(other)) => {
                other.starts_with(text.as_str())
            }
            (Self::Exact(_) | Self::Prefix(_), _) => false,
        }
    }
}

/// The demands of one rule, ready to be tested.
#[derive(Clone, Debug)]
pub(super) struct Predicates {
    methods: Vec<Method>,
    headers: Vec<HeaderTest>,
    query: Vec<FieldMatch>,
    client_ip: Vec<IpNet>,
    sni: Vec<ServerName>,
    /// How many demands these are: each field and parameter is one, the methods together are one, the
    /// networks together are one, the names of handshakes together are one.
    count: usize,
}

#[derive(Clone, Debug)]
struct HeaderTest {
    /// As it is written, for people.
    written: String,
    /// None: no field can have this name, so the demand is never met.
    name: Option<HeaderName>,
    test: FieldTest,
}

/// One demand of a rule.
enum Demand<'p> {
    Method,
    Header(&'p HeaderTest),
    Query(&'p FieldMatch),
    ClientIp,
    Sni,
}

impl Predicates {
    pub(super) fn new(rule: &Rule) -> Self {
        let headers: Vec<_> = rule
            .headers
            .iter()
            .map(|field| HeaderTest {
                written: field.name.clone(),
                name: HeaderName::from_bytes(field.name.as_bytes()).ok(),
                test: field.test.clone(),
            })
            .collect();
        let count = usize::from(!rule.methods.is_empty())
            + headers.len()
            + rule.query.len()
            + usize::from(!rule.client_ip.is_empty())
            + usize::from(!rule.sni.is_empty());
        Self {
            methods: rule.methods.clone(),
            headers,
            query: rule.query.clone(),
            client_ip: rule.client_ip.clone(),
            sni: rule.sni.clone(),
            count,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    #[inline]
    pub(super) fn hold(&self, lookup: &Lookup<'_>) -> bool {
        self.count == 0 || self.hold_each(lookup)
    }

    fn hold_each(&self, lookup: &Lookup<'_>) -> bool {
        self.first_unmet(lookup).is_none()
    }

    /// The first demand that is not met.
    pub(super) fn unmet(&self, lookup: &Lookup<'_>) -> Option<Unmet> {
        Some(match self.first_unmet(lookup)? {
            Demand::Method => Unmet::Method,
            Demand::Header(header) => Unmet::Header(header.written.clone()),
            Demand::Query(parameter) => Unmet::Query(parameter.name.clone()),
            Demand::ClientIp => Unmet::ClientIp,
            Demand::Sni => Unmet::Sni,
        })
    }

    #[inline]
    fn first_unmet(&self, lookup: &Lookup<'_>) -> Option<Demand<'_>> {
        if !self.methods.is_empty() && !self.methods.contains(lookup.method) {
            return Some(Demand::Method);
        }
        if let Some(header) = self.headers.iter().find(|header| !header.holds(lookup)) {
            return Some(Demand::Header(header));
        }
        let mut query = self.query.iter();
        if let Some(parameter) = query.find(|parameter| !has_parameter(lookup.query, parameter)) {
            return Some(Demand::Query(parameter));
        }
        if !self.client_ip.is_empty() && !is_in(&self.client_ip, lookup.client_ip) {
            return Some(Demand::ClientIp);
        }
        let asked = |asked: &str| self.sni.iter().any(|name| name.is(asked));
        let other = !self.sni.is_empty() && !lookup.sni.is_some_and(asked);
        other.then_some(Demand::Sni)
    }

    /// Whether every request for which `other` holds is one for which this holds. May miss some such pairs
    /// (networks that only together contain another), but never claims a wrong one.
    pub(super) fn cover(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|method| self.methods.contains(method)));
        let networks = self.client_ip.is_empty()
            || (!other.client_ip.is_empty()
                && other
                    .client_ip
                    .iter()
                    .all(|net| self.client_ip.iter().any(|wider| wider.contains(net))));
        let names = self.sni.is_empty()
            || (!other.sni.is_empty()
                && other
                    .sni
                    .iter()
                    .all(|name| self.sni.iter().any(|wider| wider.covers(name))));
        methods
            && networks
            && names
            && self.headers.iter().all(|header| {
                header.name.is_some()
                    && other
                        .headers
                        .iter()
                        .any(|other| other.name == header.name && header.test.covers(&other.test))
            })
            && self.query.iter().all(|parameter| {
                other
                    .query
                    .iter()
                    .any(|other| other.name == parameter.name && parameter.test.covers(&other.test))
            })
    }
}

impl HeaderTest {
    fn holds(&self, lookup: &Lookup<'_>) -> bool {
        self.name.as_ref().is_some_and(|name| {
            lookup
                .headers
                .get_all(name)
                .iter()
                .map(HeaderValue::as_bytes)
                .any(|value| self.test.passes(value))
        })
    }
}

fn has_parameter(query: Option<&str>, parameter: &FieldMatch) -> bool {
    let Some(query) = query else { return false };
    query
        .as_bytes()
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .any(|pair| {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default();
            let value = parts.next().unwrap_or_default();
            is_decoded(name, parameter.name.as_bytes()) && parameter.test.passes_decoded(value)
        })
}

fn is_in(nets: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    nets.iter().any(|net| net.contains(&ip))
}

fn is_decoded(part: &[u8], text: &[u8]) -> bool {
    Decoded(part).eq(text.iter().copied())
}

/// The bytes of a part of a query, decoded as by the WHATWG URL standard, section 5.1: `+` is a space, and a
/// `%` without two hexadecimal digits is itself. Nothing is allocated.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        match byte {
            b'+' => Some(b' '),
            b'%' => match rest {
                [high, low, rest @ ..] => match (hex_value(*high), hex_value(*low)) {
                    (Some(high), Some(low)) => {
                        self.0 = rest;
                        Some(high << 4 | low)
                    }
                    _ => Some(byte),
                },
                _ => Some(byte),
            },
            _ => Some(byte),
        }
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(query: &str, name: &str, test: FieldTest) -> bool {
        has_parameter(
            Some(query),
            &FieldMatch {
                name: name.to_owned(),
                test,
            },
        )
    }

    #[test]
    fn query_parameters_are_decoded_for_comparing() {
        let exact = |text: &str| FieldTest::Exact(text.to_owned());
        assert!(has("a=1", "a", exact("1")));
        assert!(has("b=2&a=1", "a", exact("1")));
        assert!(has("a=x&a=1", "a", exact("1")), "any occurrence");
        assert!(has("a=1+2%203", "a", exact("1 2 3")));
        assert!(has("%61=%c3%A9", "a", exact("é")));
        assert!(has("a=b=c", "a", exact("b=c")));
        assert!(has("a=50%&b", "a", exact("50%")));
        assert!(has("a=%zz", "a", exact("%zz")));
        assert!(has("a=%2", "a", exact("%2")));
        assert!(has("a", "a", exact("")));
        assert!(has("a=%2525", "a", exact("%25")), "decoded once");
        assert!(!has("a=1", "A", exact("1")));
        assert!(!has("a=12", "a", exact("1")));
        assert!(!has("aa=1", "a", exact("1")));
        assert!(!has_parameter(
            None,
            &FieldMatch {
                name: "a".into(),
                test: FieldTest::Present
            }
        ));
    }

    #[test]
    fn presence_and_prefixes_of_parameters() {
        let prefix = |text: &str| FieldTest::Prefix(text.to_owned());
        assert!(has("debug", "debug", FieldTest::Present));
        assert!(has("debug=", "debug", FieldTest::Present));
        assert!(!has("debugging", "debug", FieldTest::Present));
        assert!(!has("&&", "", FieldTest::Present));
        assert!(has("v=2%2e1", "v", prefix("2.")));
        assert!(has("v=2", "v", prefix("")));
        assert!(!has("v=2", "v", prefix("2.")));
    }

    #[test]
    fn a_wider_test_covers_a_narrower_one() {
        let exact = |text: &str| FieldTest::Exact(text.to_owned());
        let prefix = |text: &str| FieldTest::Prefix(text.to_owned());
        assert!(FieldTest::Present.covers(&exact("a")));
        assert!(prefix("a").covers(&exact("ab")));
        assert!(prefix("a").covers(&prefix("ab")));
        assert!(!prefix("ab").covers(&prefix("a")));
        assert!(!exact("a").covers(&prefix("a")));
        assert!(!exact("a").covers(&FieldTest::Present));
    }
}
