//! Who the client is, and what the upstream is told about it.
//!
//! Refuses to know sockets: the peer's address is an argument, made once per connection.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::survey::{Field, HostField, Survey};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The networks whose word on the client's address is taken. Empty: nobody's.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts the addresses of `nets`.
    pub fn new(nets: Vec<IpNet>) -> Self {
        Self(nets)
    }

    /// Whether `ip` is one of them; an IPv4 address may come mapped into IPv6.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    ip: IpAddr,
    value: HeaderValue,
    trust: Trust,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Trusted,
    Untrusted,
}

impl Peer {
    /// Called once per connection, so that a request formats no address.
    pub fn new(ip: IpAddr, trusted: &TrustedProxies) -> Self {
        let ip = ip.to_canonical();
        let value = HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"));
        let trust = if trusted.contains(ip) {
            Trust::Trusted
        } else {
            Trust::Untrusted
        };
        Self { ip, value, trust }
    }

    /// Its address; IPv4 mapped into IPv6 comes as IPv4.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Its address as text, ready for a field.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }
}

/// How the request came to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// By TLS.
    Https,
}

/// The client's address: the peer's, or, while the address at hand is a trusted proxy's, the one before it in
/// `X-Forwarded-For`, read from the right. A client can write what it likes at the left end; only what a
/// trusted proxy has appended counts. An entry that is no address ends the walk at the proxy that passed it.
///
/// Reads `headers` as they came in: call it before [`rewrite`].
pub fn client_ip(peer: &Peer, trusted: &TrustedProxies, headers: &HeaderMap) -> IpAddr {
    let mut ip = peer.ip;
    if peer.trust == Trust::Untrusted {
        return ip;
    }
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for entry in line.as_bytes().rsplit(|&byte| byte == b',') {
            let entry = entry.trim_ascii();
            if entry.is_empty() {
                continue;
            }
            let Some(before) = std::str::from_utf8(entry).ok().and_then(address) else {
                return ip;
            };
            ip = before;
            if !trusted.contains(ip) {
                return ip;
            }
        }
    }
    ip
}

/// Rewrites the forwarded fields for the upstream.
///
/// From an untrusted peer every `X-Forwarded-*`, `Forwarded` and `X-Real-IP` is dropped and `X-Forwarded-For`,
/// `-Proto` and `-Host` are set from the connection and `Host`. From a trusted one the peer is appended to
/// `X-Forwarded-For`, and to `Forwarded` (RFC 7239 section 4) if it is there; `-Proto` and `-Host` are set only if
/// missing, and the others stay.
pub fn rewrite(headers: &mut HeaderMap, survey: &Survey, peer: &Peer, scheme: Scheme) {
    let host = match &survey.host {
        HostField::One(host) => Some(host.clone()),
        HostField::Absent | HostField::Several => None,
    };
    match peer.trust {
        Trust::Untrusted => {
            drop_claims(headers, survey);
            headers.insert(X_FORWARDED_FOR, peer.value.clone());
            headers.insert(X_FORWARDED_PROTO, proto(scheme));
            if let Some(host) = host {
                headers.insert(X_FORWARDED_HOST, host);
            }
        }
        Trust::Trusted => {
            append_peer(headers, peer);
            if survey.has(Field::Forwarded) {
                append_element(headers, peer, scheme, host.as_ref());
            }
            if !survey.has(Field::XForwardedProto) {
                headers.insert(X_FORWARDED_PROTO, proto(scheme));
            }
            if let Some(host) = host
                && !survey.has(Field::XForwardedHost)
            {
                headers.insert(X_FORWARDED_HOST, host);
            }
        }
    }
}

fn proto(scheme: Scheme) -> HeaderValue {
    HeaderValue::from_static(match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    })
}

/// All but `X-Forwarded-For` and `-Proto`, which are overwritten anyway.
fn drop_claims(headers: &mut HeaderMap, survey: &Survey) {
    if survey.has(Field::Forwarded) {
        headers.remove(FORWARDED);
    }
    if survey.has(Field::XRealIp) {
        headers.remove(X_REAL_IP);
    }
    if survey.has(Field::XForwardedHost) {
        headers.remove(X_FORWARDED_HOST);
    }
    if survey.has(Field::XForwardedOther) {
        let others: Vec<HeaderName> = headers
            .keys()
            .filter(|name| Field::of(name.as_str()) == Some(Field::XForwardedOther))
            .cloned()
            .collect();
        for name in others {
            headers.remove(name);
        }
    }
}

fn append_peer(headers: &mut HeaderMap, peer: &Peer) {
    let mut chain = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        if !line.as_bytes().trim_ascii().is_empty() {
            chain.extend_from_slice(line.as_bytes());
            chain.extend_from_slice(b", ");
        }
    }
    let value = if chain.is_empty() {
        peer.value.clone()
    } else {
        chain.extend_from_slice(peer.value.as_bytes());
        // Field values joined by ", " are a field value; the fall-back only spares a panic.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)).unwrap_or_else(|_| peer.value.clone())
    };
    headers.insert(X_FORWARDED_FOR, value);
}

/// Appends this hop to `Forwarded`, as RFC 7239 sections 4 to 6 write it: an IPv6 address in brackets and quotes, a host
/// in quotes.
fn append_element(headers: &mut HeaderMap, peer: &Peer, scheme: Scheme, host: Option<&HeaderValue>) {
    let mut element = match peer.ip {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    };
    element.push_str(match scheme {
        Scheme::Http => ";proto=http",
        Scheme::Https => ";proto=https",
    });
    // A host that was taken in has neither quotes nor backslashes; one that was not is refused anyway.
    if let Some(host) = host
        .and_then(|host| host.to_str().ok())
        .filter(|host| !host.contains(['"', '\\']))
    {
        element.push_str(&format!(";host=\"{host}\""));
    }
    // A line of its own is the next member of the list (RFC 9110 section 5.3).
    if let Ok(element) = HeaderValue::from_maybe_shared(bytes::Bytes::from(element)) {
        headers.append(FORWARDED, element);
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let ip = match text.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => match text.parse::<std::net::SocketAddr>() {
            Ok(address) => address.ip(),
            Err(_) => text
                .strip_prefix('[')?
                .strip_suffix(']')?
                .parse::<std::net::Ipv6Addr>()
                .ok()?
                .into(),
        },
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    fn peer(ip: &str) -> Peer {
        Peer::new(ip.parse().unwrap(), &trusted())
    }

    fn rewrite(headers: &mut HeaderMap, peer: &Peer, scheme: Scheme) {
        super::rewrite(headers, &Survey::of(headers), peer, scheme);
    }

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

    fn client(ip: &str, lines: &[&str]) -> String {
        let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        client_ip(&peer(ip), &trusted(), &map(&fields)).to_string()
    }

    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right() {
        for (ip, lines, expected) in [
            ("203.0.113.9", &["1.1.1.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["1.1.1.1", "198.51.100.1", "10.9.9.9"],
                "198.51.100.1",
            ),
            ("10.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("fd00::1", &["198.51.100.1, ,"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.5.5.5"], "10.5.5.5"),
            ("10.0.0.1", &["\"198.51.100.1\""], "10.0.0.1"),
        ] {
            assert_eq!(client(ip, lines), expected, "{ip} {lines:?}");
        }
    }

    #[test]
    fn an_untrusted_peers_claims_are_dropped() {
        let mut headers = map(&[
            ("host", "api.example.com:8443"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/x"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
        ]);
        rewrite(&mut headers, &peer("203.0.113.9"), Scheme::Http);
        let expected = map(&[
            ("host", "api.example.com:8443"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api.example.com:8443"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn without_a_host_no_claimed_one_is_left() {
        let mut headers = map(&[("x-forwarded-host", "evil.example")]);
        rewrite(&mut headers, &peer("203.0.113.9"), Scheme::Https);
        assert_eq!(
            headers,
            map(&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")])
        );
    }

    #[test]
    fn a_trusted_peer_is_appended_and_its_word_kept() {
        let mut headers = map(&[
            ("host", "inner"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "10.3.3.3"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "outer"),
        ]);
        rewrite(&mut headers, &peer("10.0.0.1"), Scheme::Http);
        let expected = map(&[
            ("host", "inner"),
            ("x-forwarded-for", "198.51.100.1, 10.3.3.3, 10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "outer"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_trusted_peer_is_appended_to_forwarded_where_that_is_used() {
        for (ip, host, element) in [
            (
                "10.0.0.1",
                "inner:80",
                "for=10.0.0.1;proto=https;host=\"inner:80\"",
            ),
            ("fd00::1", "[::1]", "for=\"[fd00::1]\";proto=https;host=\"[::1]\""),
        ] {
            let mut headers = map(&[("host", host), ("forwarded", "for=198.51.100.1")]);
            rewrite(&mut headers, &peer(ip), Scheme::Https);
            let lines: Vec<_> = headers.get_all(FORWARDED).iter().collect();
            assert_eq!(lines, ["for=198.51.100.1", element]);
        }
    }

    #[test]
    fn a_trusted_peer_without_a_word_is_filled_in() {
        let mut headers = map(&[("host", "a"), ("x-forwarded-for", "")]);
        rewrite(&mut headers, &peer("10.0.0.1"), Scheme::Http);
        let expected = map(&[
            ("host", "a"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a"),
        ]);
        assert_eq!(headers, expected);
    }

    proptest! {
        #[test]
        fn an_untrusted_client_cannot_choose_its_address(line in "[ -~]{0,40}") {
            prop_assert_eq!(client("203.0.113.9", &[&line]), "203.0.113.9");
        }

        #[test]
        fn what_stands_left_of_an_untrusted_entry_has_no_say(line in "[ -~]{0,40}") {
            let chain = format!("{line}, 198.51.100.1");
            prop_assert_eq!(client("10.0.0.1", &[&chain]), "198.51.100.1");
        }
    }
}
