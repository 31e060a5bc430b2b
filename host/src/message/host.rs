//! The host that a request is for.
//!
//! Refuses to know which hosts exist: that is the route table's.

use std::borrow::Cow;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri, Version};

use super::survey::{HostField, Survey};

/// Longest host name accepted, in bytes (RFC 1035 section 3.1 allows 255 on the wire).
pub const MAX_HOST: usize = 255;

/// Why a request's host is refused; all of them are 400 (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// HTTP/1.1 or later without a host.
    #[error("the request names no host")]
    Missing,
    /// More than one `Host` field line.
    #[error("the request has more than one host field")]
    Several,
    /// Not `uri-host [ ":" port ]`, or empty, or with user information.
    #[error("the host of the request is malformed")]
    Malformed,
}

/// Makes the `Host` field agree with the request target: the authority of an absolute-form target (or HTTP/2
/// `:authority`) replaces it, as RFC 9112 section 3.2.2 demands. For other targets this is two comparisons.
///
/// Called before [`effective`] and before anything reads `Host`, so that the host which is routed by is the
/// one that the upstream sees.
///
/// # Errors
/// [`HostError::Several`] for several `Host` lines, which the replacement would otherwise hide;
/// [`HostError::Malformed`] for an authority that is no host.
pub fn settle(uri: &Uri, headers: &mut HeaderMap, survey: &mut Survey) -> Result<(), HostError> {
    if survey.host == HostField::Several {
        return Err(HostError::Several);
    }
    let Some(authority) = uri.authority() else {
        return Ok(());
    };
    parse(authority.as_str().as_bytes())?;
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| HostError::Malformed)?;
    headers.insert(HOST, value.clone());
    survey.set_host(value);
    Ok(())
}

/// The effective host in lower case, without port and without a final dot; borrowed when it is written so.
/// An IPv6 literal keeps its brackets. "" for an HTTP/1.0 request without a host: only a rule for any host
/// matches that. Call [`settle`] first.
///
/// # Errors
/// [`HostError`], by RFC 9112 section 3.2.
pub fn effective(survey: &Survey, version: Version) -> Result<Cow<'_, str>, HostError> {
    let field = match &survey.host {
        HostField::One(field) => field,
        HostField::Several => return Err(HostError::Several),
        HostField::Absent if version <= Version::HTTP_10 => return Ok(Cow::Borrowed("")),
        HostField::Absent => return Err(HostError::Missing),
    };
    if field.is_empty() && version <= Version::HTTP_10 {
        return Ok(Cow::Borrowed(""));
    }
    name(field.to_str().map_err(|_| HostError::Malformed)?).map(|(name, _)| name)
}

/// The host of `text` (`uri-host [ ":" port ]`), checked and in lower case, and whether a port follows it.
///
/// # Errors
/// [`HostError::Malformed`].
pub fn name(text: &str) -> Result<(Cow<'_, str>, Port), HostError> {
    let parsed = parse(text.as_bytes())?;
    let name = text.get(..parsed.end).ok_or(HostError::Malformed)?;
    Ok((parsed.case.lower(name), parsed.port))
}

/// Whether a port was written after a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// No port.
    Absent,
    /// A port, or at least its colon.
    Present,
}

struct Parsed {
    /// Length of the name, without port and final dot.
    end: usize,
    case: Case,
    port: Port,
}

#[derive(Clone, Copy)]
enum Case {
    Lower,
    Mixed,
}

impl Case {
    fn lower(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Lower => Cow::Borrowed(name),
            Self::Mixed => Cow::Owned(name.to_ascii_lowercase()),
        }
    }
}

/// Stricter than the grammar of RFC 3986 section 3.2.2: of a registered name it takes letters, digits, `-`,
/// `_` and `.` only, no escapes and no `sub-delims`, for no host is named with these and parsers disagree on
/// them.
fn parse(text: &[u8]) -> Result<Parsed, HostError> {
    let (mut end, case) = if text.first() == Some(&b'[') {
        literal(text)?
    } else {
        registered(text)?
    };
    let port = match text.get(end..) {
        Some([]) => Port::Absent,
        Some([b':', port @ ..]) if is_port(port) => Port::Present,
        _ => return Err(HostError::Malformed),
    };
    if text.get(..end).is_some_and(|name| name.ends_with(b".")) {
        end -= 1;
    }
    if end == 0 || end > MAX_HOST {
        return Err(HostError::Malformed);
    }
    Ok(Parsed { end, case, port })
}

/// Length and case of a name or IPv4 address: all up to a colon.
fn registered(text: &[u8]) -> Result<(usize, Case), HostError> {
    let mut case = Case::Lower;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let length = rest
            .iter()
            .position(|&byte| !is_plain(byte))
            .unwrap_or(rest.len());
        let starts_label = length == 0
            && at
                .checked_sub(1)
                .and_then(|at| text.get(at))
                .is_none_or(|&byte| byte == b'.');
        at += length;
        match rest.get(length) {
            None | Some(b':') => break,
            Some(b'.') if !starts_label => {}
            Some(b'A'..=b'Z') => case = Case::Mixed,
            Some(_) => return Err(HostError::Malformed),
        }
        at += 1;
    }
    Ok((at.min(text.len()), case))
}

/// A byte of a name that needs no second look.
#[inline]
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Looking a byte up costs a third of comparing it.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-_";
    while let [byte, tail @ ..] = rest {
        table[*byte as usize] = true;
        rest = tail;
    }
    table
};

/// Length and case of `[` IPv6 address `]`.
fn literal(text: &[u8]) -> Result<(usize, Case), HostError> {
    let close = text
        .iter()
        .position(|&byte| byte == b']')
        .ok_or(HostError::Malformed)?;
    let inside = text
        .get(1..close)
        .and_then(|inside| std::str::from_utf8(inside).ok());
    let inside = inside.ok_or(HostError::Malformed)?;
    inside
        .parse::<std::net::Ipv6Addr>()
        .map_err(|_| HostError::Malformed)?;
    let upper = inside.bytes().any(|byte| byte.is_ascii_uppercase());
    Ok((close + 1, if upper { Case::Mixed } else { Case::Lower }))
}

/// `*DIGIT` within 65,535; empty is allowed (RFC 3986 section 3.2.3).
fn is_port(text: &[u8]) -> bool {
    let mut port = 0_u32;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return false;
        }
        port = port * 10 + u32::from(byte - b'0');
        if port > u32::from(u16::MAX) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(uri: &str, hosts: &[&str], version: Version) -> Result<(String, bool), HostError> {
        let uri: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        let mut survey = Survey::of(&headers);
        settle(&uri, &mut headers, &mut survey)?;
        assert_eq!(survey, Survey::of(&headers));
        effective(&survey, version).map(|host| (host.clone().into_owned(), matches!(host, Cow::Borrowed(_))))
    }

    fn field(host: &str) -> Result<String, HostError> {
        of("/", &[host], Version::HTTP_11).map(|(host, _)| host)
    }

    #[test]
    fn a_lower_case_host_is_borrowed_without_its_port() {
        assert_eq!(
            of("/", &["api.example.com:8080"], Version::HTTP_11),
            Ok(("api.example.com".into(), true))
        );
        assert_eq!(
            of("/", &["API.example.com"], Version::HTTP_11),
            Ok(("api.example.com".into(), false))
        );
        assert_eq!(field("example.com:"), Ok("example.com".into()));
        assert_eq!(field("example.com."), Ok("example.com".into()));
        assert_eq!(field("my_host-1"), Ok("my_host-1".into()));
        assert_eq!(field("127.0.0.1:80"), Ok("127.0.0.1".into()));
        assert_eq!(field("[::1]:80"), Ok("[::1]".into()));
        assert_eq!(field("[2001:DB8::1]"), Ok("[2001:db8::1]".into()));
    }

    #[test]
    fn the_authority_of_the_target_goes_before_the_field() {
        let uri = "http://Real.example:81/x";
        assert_eq!(
            of(uri, &["other.example"], Version::HTTP_11).unwrap().0,
            "real.example"
        );
        assert_eq!(of(uri, &[], Version::HTTP_2).unwrap().0, "real.example");

        let uri: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("other.example"));
        let mut survey = Survey::of(&headers);
        settle(&uri, &mut headers, &mut survey).unwrap();
        assert_eq!(headers[HOST], "Real.example:81");
    }

    #[test]
    fn settling_leaves_an_origin_form_target_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a.example"));
        let mut survey = Survey::of(&headers);
        settle(&"/x".parse().unwrap(), &mut headers, &mut survey).unwrap();
        assert_eq!(headers[HOST], "a.example");
    }

    #[test]
    fn a_missing_host_is_refused_from_http_1_1_on() {
        assert_eq!(of("/", &[], Version::HTTP_11), Err(HostError::Missing));
        assert_eq!(of("/", &[], Version::HTTP_2), Err(HostError::Missing));
        assert_eq!(of("/", &[], Version::HTTP_10), Ok((String::new(), true)));
    }

    #[test]
    fn several_hosts_are_refused_even_when_equal() {
        assert_eq!(of("/", &["a", "a"], Version::HTTP_11), Err(HostError::Several));
        assert_eq!(
            of("http://a/", &["a", "b"], Version::HTTP_11),
            Err(HostError::Several)
        );
    }

    #[test]
    fn malformed_hosts_are_refused() {
        for host in [
            "",
            ":",
            ":80",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            "a b",
            "a,b",
            "a/b",
            "a\\b",
            "a@b",
            "u:p@b",
            "a%41",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+1",
            "a:-1",
            "[::1",
            "::1",
            "[::1]x",
            "[]",
            "[v1.x]",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "é",
            "a\u{0}",
        ] {
            if HeaderValue::from_bytes(host.as_bytes()).is_ok() {
                assert_eq!(field(host), Err(HostError::Malformed), "{host}");
            }
        }
        assert_eq!(field(&"a".repeat(256)), Err(HostError::Malformed));
        assert_eq!(
            of("http://user@a/", &[], Version::HTTP_11),
            Err(HostError::Malformed)
        );
    }

    proptest! {
        #[test]
        fn an_accepted_host_is_its_own_host(text in "\\PC{0,20}|[a-zA-Z0-9.:\\[\\]_-]{0,20}") {
            if let Ok((host, _)) = name(&text) {
                prop_assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
                prop_assert!(!host.contains(':') || host.starts_with('['));
                let again = name(&host);
                prop_assert!(matches!(again, Ok((Cow::Borrowed(same), Port::Absent)) if same == host));
            }
        }
    }
}
