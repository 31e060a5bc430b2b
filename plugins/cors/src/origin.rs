//! Origins as browsers serialise them (RFC 6454 section 6.2) and patterns for them. Knows no request.
//!
//! An origin is compared byte by byte, as browsers do with the answer: scheme and host are in lower case, a port that
//! is the scheme's own is left out.

use std::collections::BTreeSet;

/// Origins that are written out, at most.
const MAX_EXACT: usize = 10_000;
/// Patterns, at most: they are tried one by one.
const MAX_PATTERNS: usize = 100;
/// Bytes of an origin that is looked at; a host name has at most 253.
const MAX_ORIGIN: usize = 512;

/// A set of origins.
#[derive(Debug)]
pub(crate) enum Origins {
    /// All of them.
    Any,
    /// Those written out, and those that fit a pattern.
    Some {
        exact: BTreeSet<String>,
        patterns: Vec<Pattern>,
    },
}

impl Origins {
    /// The set of these entries.
    ///
    /// # Errors
    /// The first entry that is no origin and no pattern, with what is expected.
    pub(crate) fn new(entries: &[String]) -> Result<Self, String> {
        if entries.is_empty() {
            return Err("is empty: no page may use the API".to_owned());
        }
        let mut exact = BTreeSet::new();
        let mut patterns = Vec::new();
        for entry in entries {
            match entry.as_str() {
                "*" if entries.len() == 1 => return Ok(Self::Any),
                "*" => return Err("has `*` beside others: `*` alone is all origins".to_owned()),
                "null" => {
                    exact.insert(entry.clone());
                }
                _ => {
                    let pattern = Pattern::new(entry)?;
                    if pattern.is_exact() {
                        exact.insert(entry.clone());
                    } else {
                        patterns.push(pattern);
                    }
                }
            }
        }
        if exact.len() > MAX_EXACT || patterns.len() > MAX_PATTERNS {
            return Err(format!(
                "has more than {MAX_EXACT} origins or {MAX_PATTERNS} patterns"
            ));
        }
        Ok(Self::Some { exact, patterns })
    }

    /// Whether this origin, as a browser sent it, is in the set.
    pub(crate) fn contains(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Some { exact, patterns } => {
                exact.contains(origin)
                    || (origin.len() <= MAX_ORIGIN && patterns.iter().any(|pattern| pattern.fits(origin)))
            }
        }
    }

    /// Whether `null` is written out.
    pub(crate) fn has_null(&self) -> bool {
        matches!(self, Self::Some { exact, .. } if exact.contains("null"))
    }
}

/// An origin in which the first labels of the host or the port may be left open.
#[derive(Debug)]
pub(crate) struct Pattern {
    scheme: String,
    host: Host,
    port: Port,
}

#[derive(Debug)]
enum Host {
    /// This one.
    Is(String),
    /// All below this domain, which is written with the dot in front of it.
    Below(String),
}

#[derive(Debug)]
enum Port {
    /// This one; none = the scheme's own.
    Is(Option<String>),
    /// Whatever it is.
    Any,
}

impl Pattern {
    fn new(entry: &str) -> Result<Self, String> {
        let bad = |what: &str| {
            Err(format!(
                "has `{}`, {what}",
                entry.chars().take(100).collect::<String>()
            ))
        };
        let Some((scheme, authority)) = entry.split_once("://") else {
            return bad("which is no origin: expected the like of `https://example.com`");
        };
        if !is_scheme(scheme) {
            return bad("whose scheme is none (in lower case, without `*`)");
        }
        if authority.contains(['/', '?', '#', '@']) {
            return bad("but an origin ends with host and port: leave out what follows");
        }
        let (host, port) = split_port(authority);
        let (is_below, name) = match host.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, host),
        };
        if !(is_host(name) || (!is_below && is_ipv6_literal(name))) {
            return bad(
                "whose host is none: lower case, an international name in its form `xn--..`, `*` only as the whole first label",
            );
        }
        let port = match port {
            None => Port::Is(None),
            Some("*") => Port::Any,
            Some(digits) if !is_port(digits) => return bad("whose port is none (1 to 65535, or `*`)"),
            Some(digits) if is_default(scheme, digits) => {
                return bad("but browsers leave out the scheme's own port: do so, too");
            }
            Some(digits) => Port::Is(Some(digits.to_owned())),
        };
        Ok(Self {
            scheme: scheme.to_owned(),
            host: match is_below {
                true => Host::Below(format!(".{name}")),
                false => Host::Is(name.to_owned()),
            },
            port,
        })
    }

    fn is_exact(&self) -> bool {
        matches!((&self.host, &self.port), (Host::Is(_), Port::Is(_)))
    }

    fn fits(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let (host, port) = split_port(authority);
        let host_fits = match &self.host {
            Host::Is(name) => host == name,
            Host::Below(domain) => host.strip_suffix(domain.as_str()).is_some_and(is_host),
        };
        let port_fits = match &self.port {
            Port::Is(own) => own.as_deref() == port,
            Port::Any => port.is_none_or(is_port),
        };
        scheme == self.scheme && host_fits && port_fits
    }
}

/// Host and port of an authority; the colons of an IPv6 literal are inside its brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
}

/// Labels with dots between them, in lower case. The underscore is in no host name by the letter of RFC 1123, but in
/// some that browsers visit.
fn is_host(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    })
}

fn is_ipv6_literal(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|inner| {
        inner
            .parse::<std::net::Ipv6Addr>()
            .is_ok_and(|address| address.to_string() == inner)
    })
}

fn is_port(digits: &str) -> bool {
    !digits.starts_with(['0', '+']) && digits.parse::<u16>().is_ok()
}

fn is_default(scheme: &str, port: &str) -> bool {
    matches!((scheme, port), ("http", "80") | ("https", "443"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(entries: &[&str]) -> Result<Origins, String> {
        Origins::new(
            &entries
                .iter()
                .map(|entry| (*entry).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    fn check(entries: &[&str], expected: &[(&str, bool)]) {
        let set = origins(entries).unwrap();
        for (origin, expected) in expected {
            assert_eq!(set.contains(origin), *expected, "{origin} in {entries:?}");
        }
    }

    #[test]
    fn an_origin_is_compared_byte_by_byte() {
        check(
            &[
                "https://example.com",
                "http://localhost:3000",
                "http://[::1]:3000",
            ],
            &[
                ("https://example.com", true),
                ("http://localhost:3000", true),
                ("http://[::1]:3000", true),
                ("http://example.com", false),
                ("https://example.com:8443", false),
                ("https://example.com.", false),
                ("https://Example.com", false),
                ("https://example.com.evil.test", false),
                ("https://a.example.com", false),
                ("http://localhost", false),
                ("null", false),
                ("", false),
            ],
        );
    }

    #[test]
    fn a_pattern_is_for_all_hosts_below_a_domain_and_not_for_the_domain() {
        check(
            &["https://*.example.com"],
            &[
                ("https://a.example.com", true),
                ("https://a.b.example.com", true),
                ("https://xn--bcher-kva.example.com", true),
                ("https://example.com", false),
                ("https://.example.com", false),
                ("https://a..example.com", false),
                ("http://a.example.com", false),
                ("https://a.example.com:8443", false),
                ("https://notexample.com", false),
                ("https://evil.test/.example.com", false),
                ("https://evil.test#.example.com", false),
                ("https://evil.test?a.example.com", false),
                ("https://evil.test:80@a.example.com", false),
                ("https://evil.test\\.example.com", false),
                ("https://A.example.com", false),
                ("https://a.example.com.evil.test", false),
            ],
        );
        check(
            &["https://*.example.com:8443"],
            &[
                ("https://a.example.com:8443", true),
                ("https://a.example.com", false),
            ],
        );
        let long = format!("https://{}.example.com", "a".repeat(MAX_ORIGIN));
        check(&["https://*.example.com"], &[(&long, false)]);
    }

    #[test]
    fn a_pattern_is_for_all_ports() {
        check(
            &["http://localhost:*"],
            &[
                ("http://localhost", true),
                ("http://localhost:5173", true),
                ("http://localhost:", false),
                ("http://localhost:0", false),
                ("http://localhost:65536", false),
                ("http://localhost:80@evil.test", false),
                ("http://localhost.evil.test:80", false),
            ],
        );
    }

    #[test]
    fn null_is_an_origin_only_where_it_is_written() {
        check(&["null"], &[("null", true), ("https://example.com", false)]);
        check(&["*"], &[("null", true), ("https://example.com", true)]);
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_is_expected() {
        for (entry, reason) in [
            ("example.com", "which is no origin"),
            ("https://example.com/", "leave out what follows"),
            ("https://example.com/a", "leave out what follows"),
            ("https://u@example.com", "leave out what follows"),
            ("https://Example.com", "lower case"),
            ("HTTPS://example.com", "scheme"),
            ("*://example.com", "scheme"),
            ("https://", "whose host is none"),
            ("https://*", "whose host is none"),
            ("https://*.", "whose host is none"),
            ("https://a.*.example.com", "whose host is none"),
            ("https://a*.example.com", "whose host is none"),
            ("https://b\u{fc}cher.example", "whose host is none"),
            ("https://[::0]", "whose host is none"),
            ("https://*.[::1]", "whose host is none"),
            ("https://example.com:443", "leave out the scheme's own port"),
            ("http://example.com:80", "leave out the scheme's own port"),
            ("https://example.com:0", "whose port is none"),
            ("https://example.com:70000", "whose port is none"),
            ("https://example.com:8*", "whose port is none"),
        ] {
            let error = origins(&[entry]).unwrap_err();
            assert!(
                error.contains(reason) && error.contains(entry),
                "{entry}: {error}"
            );
        }
        assert!(
            origins(&["*", "https://example.com"])
                .unwrap_err()
                .contains("`*` beside others")
        );
        assert!(origins(&[]).unwrap_err().contains("empty"));
    }
}
