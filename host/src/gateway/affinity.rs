//! What ties a request to an endpoint: the key that is hashed, and the cookie that names the endpoint. It refuses to know
//! how an endpoint is found by them.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::config::{HashOn, Policy, SameSite, Sticky, Upstream};
use crate::exchange::RequestHead;
use crate::upstream::{hash, mix};

/// Longest key that is hashed, in bytes.
const MAX_KEY: usize = 4 << 10;

/// What one upstream's configuration says of it.
#[derive(Debug)]
pub(super) struct Affinity {
    hash_on: Option<HashOn>,
    sticky: Option<Cookie>,
}

/// What a request says of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tie {
    /// The hash of its key.
    pub key: Option<u64>,
    /// The endpoint that its cookie names.
    pub stick: Option<u64>,
}

/// A cookie, ready to be written.
#[derive(Debug)]
struct Cookie {
    name: String,
    /// The attributes, from the first `;` on.
    attributes: String,
}

impl Affinity {
    /// None where nothing ties requests.
    #[must_use]
    pub(super) fn of(config: &Upstream) -> Option<Box<Self>> {
        let hash_on = match &config.balance.policy {
            Policy::RingHash(on) | Policy::Maglev(on) => Some(on.clone()),
            _ => None,
        };
        let sticky = config.balance.sticky.as_ref().map(Cookie::of);
        (hash_on.is_some() || sticky.is_some()).then(|| Box::new(Self { hash_on, sticky }))
    }

    /// What ties this request.
    #[must_use]
    pub(super) fn tie(&self, request: &RequestHead, client: IpAddr) -> Tie {
        Tie {
            key: self.hash_on.as_ref().and_then(|on| key(on, request, client)),
            stick: self.sticky.as_ref().and_then(|sticky| {
                let value = cookie(&request.headers, &sticky.name)?;
                let whole = value.len() == 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
                whole.then(|| u64::from_str_radix(value, 16).ok())?
            }),
        }
    }

    /// Names the endpoint that answered, by its [`Member::id`](crate::upstream::Member::id), where the request named
    /// another or none.
    pub(super) fn settle(&self, tie: Tie, answered: u64, headers: &mut HeaderMap) {
        if let Some(sticky) = &self.sticky
            && tie.stick != Some(answered)
            && let Ok(value) =
                HeaderValue::try_from(format!("{}={answered:016x}{}", sticky.name, sticky.attributes))
        {
            headers.append(SET_COOKIE, value);
        }
    }
}

impl Cookie {
    fn of(config: &Sticky) -> Self {
        let mut attributes = format!("; Path={}", config.path);
        if let Some(ttl) = config.ttl {
            attributes.push_str(&format!("; Max-Age={}", ttl.as_secs()));
        }
        attributes.push_str(match config.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        if config.secure {
            attributes.push_str("; Secure");
        }
        if config.http_only {
            attributes.push_str("; HttpOnly");
        }
        Self {
            name: config.cookie.clone(),
            attributes,
        }
    }
}

/// The hash of what the request has of `on`; none if it has none.
fn key(on: &HashOn, request: &RequestHead, client: IpAddr) -> Option<u64> {
    let text: Cow<'_, [u8]> = match on {
        HashOn::ClientIp => match client.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec().into(),
            IpAddr::V6(address) => address.octets().to_vec().into(),
        },
        HashOn::Path => request.target.path().as_bytes().into(),
        HashOn::Header(name) => {
            let mut values = request.headers.get_all(name).iter();
            let first = values.next()?.as_bytes();
            return Some(values.fold(hash(short(first)), |sum, value| {
                mix(sum ^ hash(short(value.as_bytes())))
            }));
        }
        HashOn::Cookie(name) => cookie(&request.headers, name)?.as_bytes().into(),
        HashOn::Query(name) => {
            let mut pairs = request.target.query()?.split('&');
            let value = pairs.find_map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key == name).then_some(value)
            });
            value?.as_bytes().into()
        }
    };
    Some(hash(short(&text)))
}

fn short(bytes: &[u8]) -> &[u8] {
    bytes.get(..MAX_KEY).unwrap_or(bytes)
}

/// The value of a cookie of the request (RFC 6265, section 4.2.1), the first if there are several.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers.get_all(COOKIE).iter();
    let mut pairs = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;
    use http::{HeaderName, Method, Version};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn request(target: &'static str, headers: &[(&'static str, &'static str)]) -> RequestHead {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        RequestHead {
            method: Method::GET,
            authority: HeaderValue::from_static("a"),
            target: PathAndQuery::from_static(target),
            headers: headers.iter().map(pair).collect(),
            version: Version::HTTP_11,
        }
    }

    fn of(on: &HashOn, target: &'static str, headers: &[(&'static str, &'static str)]) -> Option<u64> {
        key(on, &request(target, headers), CLIENT)
    }

    #[test]
    fn a_key_is_the_part_that_is_named_and_nothing_else() {
        let query = HashOn::Query("q".to_owned());
        assert_eq!(of(&query, "/a?p=1&q=7", &[]), of(&query, "/b?q=7&q=8", &[]));
        assert_ne!(of(&query, "/a?q=7", &[]), of(&query, "/a?q=8", &[]));
        assert_eq!(of(&query, "/a?qq=7", &[]), None);
        assert_eq!(of(&HashOn::Path, "/a?x", &[]), of(&HashOn::Path, "/a?y", &[]));
        let header = HashOn::Header(HeaderName::from_static("x-user"));
        assert_eq!(of(&header, "/", &[]), None);
        assert_eq!(
            of(&header, "/a", &[("x-user", "u")]),
            of(&header, "/b", &[("x-user", "u")])
        );
        assert_ne!(
            of(&header, "/", &[("x-user", "u")]),
            of(&header, "/", &[("x-user", "v")])
        );
        let sid = HashOn::Cookie("sid".to_owned());
        let both = of(&sid, "/", &[("cookie", "a=b; sid=1")]);
        assert_eq!(
            both,
            of(&sid, "/", &[("cookie", "a=b"), ("cookie", "sid=\"1\"; c")])
        );
        assert!(both.is_some());
    }

    #[test]
    fn a_client_has_one_key_in_both_forms_of_its_address() {
        let head = request("/", &[]);
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(
            key(&HashOn::ClientIp, &head, CLIENT),
            key(&HashOn::ClientIp, &head, mapped)
        );
    }

    #[test]
    fn a_cookie_is_set_when_another_endpoint_answers() {
        let sticky = Cookie::of(&Sticky {
            cookie: "s".to_owned(),
            path: "/p".to_owned(),
            ttl: Some(std::time::Duration::from_secs(60)),
            secure: true,
            http_only: true,
            same_site: SameSite::None,
        });
        let affinity = Affinity {
            hash_on: None,
            sticky: Some(sticky),
        };
        let mut headers = HeaderMap::new();
        affinity.settle(Tie::default(), 0xab, &mut headers);
        let want = "s=00000000000000ab; Path=/p; Max-Age=60; SameSite=None; Secure; HttpOnly";
        assert_eq!(headers[SET_COOKIE], want);
        let tie = affinity.tie(&request("/", &[("cookie", "s=00000000000000ab")]), CLIENT);
        assert_eq!(tie.stick, Some(0xab));
        let mut headers = HeaderMap::new();
        affinity.settle(tie, 0xab, &mut headers);
        assert!(headers.is_empty());
        for odd in ["s=", "s=ab", "s=+0000000000000ab", "s=zzzzzzzzzzzzzzzz"] {
            let tie = affinity.tie(&request("/", &[("cookie", odd)]), CLIENT);
            assert!(tie.stick.is_none(), "{odd}");
        }
    }
}
