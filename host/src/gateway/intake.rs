//! From a request as it arrived to the head that is routed and forwarded: limits, host, path and forwarded
//! fields. What is ambiguous is refused before anything acts on it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, TE};
use http::uri::{self, PathAndQuery};
use http::{Method, Uri, Version, request};

use super::connect;
use crate::config::{EncodedSeparators, Listener};
use crate::exchange::RequestHead;
use crate::message::fields::{Coding, Expectation, Forwards};
use crate::message::forwarded::{Peer, Scheme, TrustedProxies, client_ip, rewrite};
use crate::message::path::{Separators, normalise};
use crate::message::problem::ErrorKind;
use crate::message::survey::Survey;
use crate::message::{fields, host, http2, via};
use crate::route::Lookup;

/// What a listener demands of a head before anything acts on it.
#[derive(Debug)]
pub(super) struct Door {
    /// Peers whose forwarding fields are believed.
    pub trusted: TrustedProxies,
    /// What is done with encoded separators.
    pub separators: Separators,
    /// Longest request target, bytes.
    pub uri_bytes: usize,
    /// Number of fields, where no parser has counted them.
    pub headers: usize,
    /// The gateway's name in `Via`.
    pub via: Option<Arc<str>>,
}

impl Door {
    /// The door of a listener.
    #[must_use]
    pub(super) fn of(listener: &Listener, via: Option<&Arc<str>>) -> Self {
        Self {
            trusted: TrustedProxies::new(listener.trusted_proxies.clone()),
            separators: match listener.encoded_separators {
                EncodedSeparators::Refuse => Separators::Refuse,
                EncodedSeparators::Keep => Separators::Keep,
            },
            uri_bytes: listener.limits.uri_bytes,
            headers: listener.limits.headers,
            via: via.cloned(),
        }
    }

    /// The door of a listener that is no more.
    #[must_use]
    pub(super) fn closed() -> Self {
        Self {
            trusted: TrustedProxies::new(Vec::new()),
            separators: Separators::Refuse,
            uri_bytes: 8 << 10,
            headers: 100,
            via: None,
        }
    }
}

/// A head that may be routed.
pub(super) struct Intake {
    /// The head as hooks and the upstream see it.
    pub head: RequestHead,
    /// Client by the trusted-proxy rules.
    pub client_ip: IpAddr,
    /// The target as it was sent, where normalising changed it.
    pub raw_target: Option<PathAndQuery>,
    /// Effective host in lower case, where it is not the authority as written.
    pub host: Option<String>,
    /// The protocols that it asks to go over to.
    pub upgrade: Option<HeaderValue>,
    /// It asks so by extended CONNECT (RFC 8441).
    pub by_connect: bool,
    /// The client sends its body only when it is told to.
    pub awaits_leave: bool,
    /// `Max-Forwards` says that the gateway is to answer it.
    pub last_hop: bool,
    /// Why the request is refused, if it is.
    pub refused: Option<ErrorKind>,
}

/// Takes a request in. A refused one still has a head, for the log and the error's hooks.
pub(super) fn intake(parts: request::Parts, door: &Door, peer: &Peer, scheme: Scheme) -> Intake {
    let request::Parts {
        mut method,
        uri,
        version,
        mut headers,
        extensions,
        ..
    } = parts;
    let connected = if method == Method::CONNECT {
        connect::translate(&mut method, &mut headers, &extensions)
    } else {
        None
    };
    let unsettled = match version {
        Version::HTTP_2 => http2::settle(&uri, &mut headers).err(),
        _ => None,
    };
    let mut survey = Survey::of(&headers);
    let target = uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut refused = None;
    let mut refuse = |kind: ErrorKind| {
        refused.get_or_insert(kind);
    };
    if let Some(error) = unsettled {
        refuse(error.into());
    }
    if version == Version::HTTP_2 && headers.len() > door.headers {
        refuse(ErrorKind::HeadersTooLarge);
    }
    if target.as_str().len() > door.uri_bytes {
        refuse(ErrorKind::UriTooLong);
    }
    if method == Method::CONNECT {
        refuse(ErrorKind::ConnectRefused);
    }
    if method == Method::TRACE {
        refuse(ErrorKind::TraceRefused);
    }
    if !is_served(&uri, version) {
        refuse(ErrorKind::BadRequest);
    }
    // RFC 9112 section 3.2.4.
    if target.path() == "*" && method != Method::OPTIONS {
        refuse(ErrorKind::PathRefused);
    }
    // RFC 9112 section 3.2: also a request in absolute-form must have the field.
    if uri.authority().is_some() && version == Version::HTTP_11 && !headers.contains_key(HOST) {
        refuse(ErrorKind::HostMissing);
    }
    if let Err(error) = host::settle(&uri, &mut headers, &mut survey) {
        refuse(error.into());
    }
    let hop = fields::strip_request(&mut headers, &survey);
    if hop.trailers == fields::Trailers::Accepted && version == Version::HTTP_2 {
        // RFC 9113 section 8.2.2: the one thing that a request may say of its connection, and gRPC demands it.
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if hop.coding == Coding::Unknown {
        refuse(ErrorKind::UnsupportedTransferEncoding);
    }
    if hop.expectation == Expectation::Unknown {
        refuse(ErrorKind::ExpectationFailed);
    }
    if let Some(name) = &door.via
        && survey.has_via()
        && via::passes(&headers, name) >= via::MAX_PASSES
    {
        refuse(ErrorKind::LoopDetected);
    }
    let forwards = if method == Method::OPTIONS && survey.has_max_forwards() {
        fields::forward_once(&mut headers)
    } else {
        Forwards::On
    };
    let ip = client_ip(peer, &door.trusted, &headers);
    let mut lowered = None;
    match host::effective(&survey, version) {
        Ok(Cow::Borrowed(_)) => {}
        Ok(Cow::Owned(host)) => lowered = Some(host),
        Err(error) => refuse(error.into()),
    }
    let mut normal = None;
    match normalise(target.path(), door.separators) {
        Ok(Cow::Borrowed(_)) => {}
        Ok(Cow::Owned(path)) => {
            let text = target
                .query()
                .map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
            match PathAndQuery::from_maybe_shared(Bytes::from(text)) {
                Ok(target) => normal = Some(target),
                Err(_) => refuse(ErrorKind::PathRefused),
            }
        }
        Err(error) => refuse(error.into()),
    }
    rewrite(&mut headers, &survey, peer, scheme);
    let authority = headers
        .get(HOST)
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_static(""));
    let (target, raw_target) = match normal {
        Some(normal) => (normal, Some(target)),
        None => (target, None),
    };
    let head = RequestHead {
        method,
        authority,
        target,
        headers,
        version,
    };
    Intake {
        head,
        client_ip: ip,
        raw_target,
        host: lowered,
        by_connect: connected.is_some(),
        upgrade: hop.upgrade.filter(|_| version == Version::HTTP_11).or(connected),
        awaits_leave: hop.expectation == Expectation::Continue,
        last_hop: forwards == Forwards::Over,
        refused,
    }
}

/// Whether the form of a request target is one that is served (RFC 9112 section 3.2): not the authority alone, which is
/// CONNECT's, and of absolute ones only those of HTTP.
fn is_served(uri: &Uri, version: Version) -> bool {
    match uri.scheme() {
        Some(scheme) => *scheme == uri::Scheme::HTTP || *scheme == uri::Scheme::HTTPS,
        None => uri.authority().is_none() || version > Version::HTTP_11,
    }
}

impl Intake {
    /// What the route table looks at; `sni` is the name that the handshake of TLS asked for.
    #[must_use]
    pub(super) fn lookup<'a>(&'a self, sni: Option<&'a str>) -> Lookup<'a> {
        Lookup {
            host: self.host(),
            path: self.head.target.path(),
            query: self.head.target.query(),
            method: &self.head.method,
            headers: &self.head.headers,
            client_ip: self.client_ip,
            sni,
        }
    }

    /// The host to route by: lower case, without port.
    #[must_use]
    pub(super) fn host(&self) -> &str {
        let authority = || {
            let text = self.head.authority.to_str().unwrap_or_default();
            let host = match text.rsplit_once(':') {
                // The colons of an IPv6 literal are inside its brackets.
                Some((host, port)) if !port.ends_with(']') => host,
                _ => text,
            };
            host.strip_suffix('.').unwrap_or(host)
        };
        self.host.as_deref().unwrap_or_else(authority)
    }
}
