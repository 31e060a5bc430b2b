//! What a limit counts apart: the parts of a key, read from a request. Knows no quota.

use std::net::IpAddr;

use portcullis::{Request, headers};

use crate::number;

/// Most parts of one key.
const MAX_PARTS: usize = 8;

/// Which requests count together: those with equal parts.
#[derive(Debug)]
pub(crate) struct Key(Vec<Part>);

/// Whether a request has all parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Whole,
    Lacking,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Client,
    Network { v4: u32, v6: u32 },
    Value(Source),
    Route,
    Method,
    Path,
}

/// Where a value of the request stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Header(String),
    Attribute(String),
}

impl Key {
    /// The key of these parts, which may be none: all requests count together.
    ///
    /// # Errors
    /// What is wrong with the parts, without the name of the configuration's key.
    pub(crate) fn new(parts: &[String]) -> Result<Self, String> {
        if parts.len() > MAX_PARTS {
            return Err(format!(
                "has {} parts: at most {MAX_PARTS} are possible",
                parts.len()
            ));
        }
        if parts.is_empty() {
            return Err("is empty: write `global` to count all requests together".to_owned());
        }
        let parts = parts.iter().filter(|part| part.as_str() != "global");
        parts
            .map(|part| Part::parse(part))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Appends the key of the request. Two requests get the same text if and only if all parts are equal; one that
    /// lacks a part is like all others that lack it, and unlike any that has it.
    pub(crate) fn append(&self, request: &Request, text: &mut String) -> Presence {
        let mut presence = Presence::Whole;
        let several = self.0.len() > 1;
        for part in &self.0 {
            let Some(value) = part.of(request) else {
                text.push('-');
                presence = Presence::Lacking;
                continue;
            };
            text.push('=');
            // Values hold any text: with its length before it, one cannot pass for two.
            if several {
                number::push(text, u64::try_from(value.len()).unwrap_or(u64::MAX));
                text.push(':');
            }
            text.push_str(&value);
        }
        presence
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "client-ip" => return Ok(Self::Client),
            "route" => return Ok(Self::Route),
            "method" => return Ok(Self::Method),
            "path" => return Ok(Self::Path),
            _ => {}
        }
        if let Some(prefixes) = text.strip_prefix("client-ip/") {
            return network(prefixes).ok_or_else(|| {
                format!("has {text:?}: write the lengths of two prefixes, of IPv4 and IPv6, such as `client-ip/24/64`")
            });
        }
        Source::parse(text).map(Self::Value).ok_or_else(|| {
            format!(
                "has {text:?}: use `client-ip`, `client-ip/24/64`, `header:NAME`, `attribute:NAME`, `route`, `method`, \
                 `path` or `global`"
            )
        })
    }

    /// The value of the request, none if it is absent or empty.
    fn of(&self, request: &Request) -> Option<String> {
        let value = match self {
            Self::Client => request.client_ip(),
            Self::Network { v4, v6 } => masked(&request.client_ip(), *v4, *v6),
            Self::Value(source) => source.of(request)?,
            Self::Route => request.route(),
            Self::Method => request.method(),
            Self::Path => request.path(),
        };
        Some(value).filter(|value| !value.is_empty())
    }
}

impl Source {
    /// `header:NAME` or `attribute:NAME`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("header:") {
            let name = name.to_ascii_lowercase();
            return headers::is_name(&name).then_some(Self::Header(name));
        }
        let name = text.strip_prefix("attribute:")?;
        (!name.is_empty() && !name.chars().any(char::is_control)).then(|| Self::Attribute(name.to_owned()))
    }

    /// The value of the request, of a header field the first.
    pub(crate) fn of(&self, request: &Request) -> Option<String> {
        match self {
            Self::Header(name) => request.header(name),
            Self::Attribute(name) => request.attribute(name),
        }
    }
}

/// The lengths of two prefixes.
fn network(text: &str) -> Option<Part> {
    let (v4, v6) = text.split_once('/')?;
    let length = |text: &str, most: u32| text.parse().ok().filter(|length| *length <= most);
    Some(Part::Network {
        v4: length(v4, 32)?,
        v6: length(v6, 128)?,
    })
}

/// The network of an address. Host bits are gone, so that one network is one text.
fn masked(address: &str, v4: u32, v6: u32) -> String {
    let Ok(address) = address.parse::<IpAddr>() else {
        return address.to_owned();
    };
    let mut text = String::new();
    match address.to_canonical() {
        IpAddr::V4(address) => {
            text.push('4');
            let mask = u32::MAX.checked_shl(32 - v4).unwrap_or(0);
            number::push(&mut text, u64::from(address.to_bits() & mask));
        }
        IpAddr::V6(address) => {
            text.push('6');
            let mask = u128::MAX.checked_shl(128 - v6).unwrap_or(0);
            let network = address.to_bits() & mask;
            number::push(&mut text, u64::try_from(network >> 64).unwrap_or(u64::MAX));
            text.push('.');
            number::push(
                &mut text,
                u64::try_from(network & u128::from(u64::MAX)).unwrap_or(u64::MAX),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_text() {
        for (one, other, v4, v6) in [
            ("192.0.2.1", "192.0.2.254", 24, 64),
            ("192.0.2.1", "::ffff:192.0.2.9", 24, 64),
            ("10.0.0.1", "192.0.2.1", 0, 64),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", 24, 64),
            ("2001:db8::1", "fe80::1", 24, 0),
        ] {
            assert_eq!(masked(one, v4, v6), masked(other, v4, v6), "{one} {other}");
        }
        for (one, other, v4, v6) in [
            ("192.0.2.1", "192.0.3.1", 24, 64),
            ("192.0.2.1", "192.0.2.2", 32, 64),
            ("192.0.2.1", "2001:db8::1", 0, 0),
            ("2001:db8::1", "2001:db8:0:1::1", 24, 64),
            ("2001:db8::1", "2001:db8::2", 24, 128),
        ] {
            assert_ne!(masked(one, v4, v6), masked(other, v4, v6), "{one} {other}");
        }
    }

    #[test]
    fn parts_that_cannot_be_are_refused_with_what_can_be() {
        for (part, told) in [
            ("ip", "`client-ip`"),
            ("", "`client-ip`"),
            ("Route", "`route`"),
            ("header:", "`header:NAME`"),
            ("header:a b", "`header:NAME`"),
            ("attribute:", "`attribute:NAME`"),
            ("attribute:\n", "`attribute:NAME`"),
            ("client-ip/24", "two prefixes"),
            ("client-ip/33/64", "two prefixes"),
            ("client-ip/24/129", "two prefixes"),
            ("client-ip/24/64/1", "two prefixes"),
            ("client-ip/-1/64", "two prefixes"),
        ] {
            let error = Key::new(&[part.to_owned()]).unwrap_err();
            assert!(error.contains(told), "{part}: {error}");
        }
        assert!(Key::new(&[]).unwrap_err().contains("`global`"));
        assert!(
            Key::new(&vec!["path".to_owned(); 9])
                .unwrap_err()
                .contains("at most 8")
        );
    }
}
