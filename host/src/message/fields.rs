//! Fields that end at this gateway: the hop-by-hop ones of RFC 9110 section 7.6.1 and those meant for a proxy.
//!
//! Refuses to know forwarded addresses (`forwarded`) and the framing of bodies: what a field said that matters
//! for the connection is handed back, and its reader decides.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, MAX_FORWARDS, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::http1::values::members;
use super::survey::{Field, Survey, has_single_lines};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// At most so many names of `Connection` are obeyed; a message with more of them than fields it could have is
/// not worth the search.
const MAX_OPTIONS: usize = 32;

/// What the removed fields asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopByHop {
    /// The protocol of `Upgrade`, only if `Connection` lists `upgrade` (RFC 9110 section 7.8).
    pub upgrade: Option<HeaderValue>,
    /// What `Connection` says about the connection's end.
    pub persistence: Persistence,
    /// `TE: trailers`: the sender takes trailers (RFC 9110 section 10.1.4). Requests only.
    pub trailers: Trailers,
    /// `Expect: 100-continue` (RFC 9110 section 10.1.1). Requests only.
    pub expectation: Expectation,
    /// What `Transfer-Encoding` says. Requests only.
    pub coding: Coding,
}

/// How the body of a request is coded for its way (RFC 9112 section 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// Not, or in chunks and nothing else.
    #[default]
    Plain,
    /// With a coding below the chunks, or chunks more than once: nobody here takes that apart.
    Unknown,
}

/// What `Connection` says about the connection's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: the version's default.
    #[default]
    Default,
    /// `keep-alive`.
    KeepAlive,
    /// `close`, which goes before `keep-alive`.
    Close,
}

/// Whether a client said that it takes trailers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trailers {
    /// It did not.
    #[default]
    Unannounced,
    /// It did.
    Accepted,
}

/// Whether a client waits for leave to send its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expectation {
    /// It does not.
    #[default]
    None,
    /// `100-continue`.
    Continue,
    /// Something else, or several things.
    Unknown,
}

/// Removes from a request what must not reach the upstream: `Connection` and every field it names, `Keep-Alive`,
/// `Proxy-Connection`, `TE`, `Transfer-Encoding`, `Upgrade`, `HTTP2-Settings` (RFC 9110 section 7.6.1), and
///
/// - `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.3: a smuggling attempt or an error),
/// - `Trailer`: the gateway announces what it sends itself,
/// - `Expect`: the gateway answers the expectation when it begins to read the body,
/// - `Proxy-Authorization`: credentials for a proxy are for the first one that consumes them (RFC 9110 section
///   11.7.2); a reverse proxy is none that a client could mean, and an upstream has no claim to them.
///
/// A field that is meant for the whole way stays although `Connection` names it (the section forbids senders to
/// name such a field): framing, `Host`, credentials and cookies, content and cache metadata, forwarded and
/// trace fields. Otherwise a client could take from a request what a proxy before this one has put there.
///
/// Only a field that `survey` has seen is removed: a request without such fields costs one comparison.
pub fn strip_request(headers: &mut HeaderMap, survey: &Survey) -> HopByHop {
    let mut hop = HopByHop::default();
    if !survey.has_hop_by_hop() {
        return hop;
    }
    strip_common(headers, survey, &mut hop);
    if survey.has(Field::Te) {
        for value in headers.get_all(TE) {
            if options(value).any(|option| option.eq_ignore_ascii_case(b"trailers")) {
                hop.trailers = Trailers::Accepted;
            }
        }
        headers.remove(TE);
    }
    if survey.has(Field::Expect) {
        let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        hop.expectation = if headers.get_all(EXPECT).iter().all(is_known) {
            Expectation::Continue
        } else {
            Expectation::Unknown
        };
        headers.remove(EXPECT);
    }
    if survey.has(Field::Trailer) {
        headers.remove(TRAILER);
    }
    if survey.has(Field::ProxyAuthorization) {
        headers.remove(PROXY_AUTHORIZATION);
    }
    if survey.has(Field::Http2Settings) {
        headers.remove(HTTP2_SETTINGS);
    }
    hop
}

/// Whether a request may be forwarded once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwards {
    /// It may.
    On,
    /// It may not: who reads it is to answer it.
    Over,
}

/// Counts `Max-Forwards` down (RFC 9110 section 7.6.2), for OPTIONS. A value that is no number counts as none.
pub fn forward_once(headers: &mut HeaderMap) -> Forwards {
    let left = headers
        .get(MAX_FORWARDS)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    match left {
        Some(0) => return Forwards::Over,
        Some(left) => headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1)),
        None => None,
    };
    Forwards::On
}

/// Whether a field belongs to the connection or its framing, so that neither a plugin nor an error answer may
/// set it. `name` is in lower case.
pub fn is_connection_field(name: &str) -> bool {
    name == "content-length" || Field::of(name).is_some_and(Field::is_hop_by_hop)
}

fn strip_common(headers: &mut HeaderMap, survey: &Survey, hop: &mut HopByHop) {
    let mut upgrades = false;
    if survey.has(Field::Connection) {
        upgrades = strip_connection(headers, hop);
    }
    if survey.has(Field::Upgrade) {
        let value = headers.remove(UPGRADE);
        if upgrades {
            hop.upgrade = value;
        }
    }
    if survey.has(Field::KeepAlive) {
        headers.remove(KEEP_ALIVE);
    }
    if survey.has(Field::ProxyConnection) {
        headers.remove(PROXY_CONNECTION);
    }
    if survey.has(Field::TransferEncoding) {
        let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
        let chunks = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !(lines.next().is_some_and(chunks) && lines.next().is_none()) {
            hop.coding = Coding::Unknown;
        }
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
}

/// Removes `Connection` and what it names; true if it lists `upgrade`.
fn strip_connection(headers: &mut HeaderMap, hop: &mut HopByHop) -> bool {
    if !has_single_lines(headers) && headers.get_all(CONNECTION).iter().nth(1).is_some() {
        let values: Vec<HeaderValue> = headers
            .get_all(CONNECTION)
            .iter()
            .take(MAX_OPTIONS)
            .cloned()
            .collect();
        headers.remove(CONNECTION);
        let mut upgrades = false;
        let mut left = MAX_OPTIONS;
        for value in &values {
            upgrades |= obey(value, &mut left, headers, hop);
        }
        return upgrades;
    }
    match headers.remove(CONNECTION) {
        // What nearly every message says, if anything.
        Some(value) if value == "keep-alive" => {
            hop.persistence = Persistence::KeepAlive;
            false
        }
        Some(value) => obey(&value, &mut { MAX_OPTIONS }, headers, hop),
        None => false,
    }
}

fn obey(value: &HeaderValue, left: &mut usize, headers: &mut HeaderMap, hop: &mut HopByHop) -> bool {
    let mut upgrades = false;
    for option in options(value) {
        if *left == 0 {
            break;
        }
        *left -= 1;
        if option.eq_ignore_ascii_case(b"keep-alive") {
            if hop.persistence == Persistence::Default {
                hop.persistence = Persistence::KeepAlive;
            }
        } else if option.eq_ignore_ascii_case(b"close") {
            hop.persistence = Persistence::Close;
        } else if option.eq_ignore_ascii_case(b"upgrade") {
            upgrades = true;
        } else if let Ok(name) = HeaderName::from_bytes(option)
            && !is_connection_field(name.as_str())
            && !is_end_to_end(name.as_str())
        {
            headers.remove(name);
        }
    }
    upgrades
}

/// The members of a comma-separated list.
fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    members(value.as_bytes()).filter(|option| !option.is_empty())
}

/// Fields for the whole way, which `Connection` must not take away.
fn is_end_to_end(name: &str) -> bool {
    name.starts_with("content-")
        || name.starts_with("x-forwarded-")
        || name.starts_with("access-control-")
        || matches!(
            name,
            "accept"
                | "accept-encoding"
                | "age"
                | "authorization"
                | "cache-control"
                | "cookie"
                | "date"
                | "etag"
                | "expires"
                | "forwarded"
                | "host"
                | "location"
                | "origin"
                | "range"
                | "set-cookie"
                | "strict-transport-security"
                | "traceparent"
                | "tracestate"
                | "vary"
                | "via"
                | "www-authenticate"
                | "x-real-ip"
                | "x-request-id"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    value.parse::<HeaderValue>().unwrap(),
                )
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn strip_request(headers: &mut HeaderMap) -> HopByHop {
        super::strip_request(headers, &Survey::of(headers))
    }

    #[test]
    fn a_plain_request_is_unchanged() {
        let mut headers = map(&[
            ("host", "a"),
            ("accept", "*/*"),
            ("content-length", "3"),
            ("x-a", "1"),
        ]);
        let before = headers.clone();
        assert_eq!(strip_request(&mut headers), HopByHop::default());
        assert_eq!(headers, before);
    }

    #[test]
    fn every_hop_by_hop_field_of_a_request_goes() {
        let mut headers = map(&[
            ("host", "a"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMA"),
            ("expect", "100-continue"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-authenticate", "Basic"),
            ("x-kept", "1"),
        ]);
        let hop = strip_request(&mut headers);
        assert_eq!(names(&headers), ["host", "proxy-authenticate", "x-kept"]);
        assert_eq!(hop.persistence, Persistence::KeepAlive);
        assert_eq!(hop.trailers, Trailers::Accepted);
        assert_eq!(hop.expectation, Expectation::Continue);
        assert_eq!(hop.upgrade, None, "connection does not list it");
    }

    #[test]
    fn what_connection_names_goes_on_every_line() {
        let mut headers = map(&[
            ("connection", "X-One , ,x-two"),
            ("connection", "close, keep-alive, x-three"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("x-four", "4"),
        ]);
        let hop = strip_request(&mut headers);
        assert_eq!(names(&headers), ["x-four"]);
        assert_eq!(hop.persistence, Persistence::Close);
    }

    #[test]
    fn connection_cannot_take_away_end_to_end_fields() {
        let essential = [
            ("host", "a"),
            ("content-length", "3"),
            ("content-type", "text/plain"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4"),
            ("traceparent", "x"),
        ];
        let listed = essential.map(|(name, _)| name).join(", ");
        let mut headers = map(&essential);
        headers.insert(CONNECTION, listed.parse().unwrap());
        strip_request(&mut headers);
        assert_eq!(headers, map(&essential));
    }

    #[test]
    fn an_upgrade_needs_its_connection_option() {
        let mut headers = map(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        let hop = strip_request(&mut headers);
        assert_eq!(hop.upgrade, Some(HeaderValue::from_static("websocket")));
        assert!(headers.is_empty());
    }

    #[test]
    fn a_length_beside_a_transfer_coding_goes() {
        let mut headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        strip_request(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn nonsense_in_connection_is_survived() {
        let many = format!("{}x-late", "x-no,".repeat(MAX_OPTIONS));
        let mut headers = map(&[
            ("connection", "@, a b, \"q\", é"),
            ("connection", &many),
            ("x-late", "1"),
        ]);
        strip_request(&mut headers);
        assert_eq!(names(&headers), ["x-late"]);
    }

    proptest! {
        #[test]
        fn nothing_hop_by_hop_is_left(
            fields in prop::collection::vec(
                ("connection|keep-alive|te|upgrade|transfer-encoding|expect|x-[ab]|host", "[ -~]{0,12}"), 0..8),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            strip_request(&mut headers);
            prop_assert!(headers.keys().all(|name| Field::of(name.as_str()) != Some(Field::Connection)));
        }
    }
}
