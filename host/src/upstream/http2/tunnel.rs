//! Requests that ask to go over to another protocol, as HTTP/2 has them: extended CONNECT (RFC 8441), whose success is
//! shown as the 101 of HTTP/1.1. It refuses to know what is spoken in the tunnel, and who reads it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::response::Parts;
use http::{Method, StatusCode};

use super::link::Use;
use super::patience::Patience;
use super::{Seen, judge};
use crate::message::{upgrade, websocket};
use crate::mux::Duplex;
use crate::upstream::care::Pass;
use crate::upstream::cluster::Until;
use crate::upstream::failure::{FailureKind, Fault};
use crate::upstream::request::RequestHead;

/// A tunnel that a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    protocol: HeaderValue,
    /// What proves to a client of HTTP/1.1 that its handshake was understood.
    accept: Option<HeaderValue>,
}

impl Asked {
    /// The first of the protocols that `head` asks for, for CONNECT names only one and they stand in the order of preference
    /// (RFC 9110 section 7.8). None for what cannot be said so: another method than GET, and a WebSocket without its key
    /// (RFC 6455 section 4.2.1), for which the upstream would not look.
    fn of(head: &RequestHead<'_>) -> Option<Self> {
        let protocol = upgrade::first(head.upgrade.filter(|_| *head.method == Method::GET)?)?;
        if !protocol.eq_ignore_ascii_case(websocket::NAME.as_bytes()) {
            return Some(Self {
                protocol: HeaderValue::from_bytes(protocol).ok()?,
                accept: None,
            });
        }
        let mut keys = head.headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return None;
        };
        let accept = websocket::accept(key.as_bytes());
        Some(Self {
            protocol: HeaderValue::from_static(websocket::NAME),
            accept: Some(HeaderValue::try_from(accept).ok()?),
        })
    }

    /// What stands in `:protocol`.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.protocol.to_str().ok().map(Protocol::from)
    }

    /// Makes a success the 101 that says the same (RFC 8441 section 5), and gives the protocol and what goes out. Any other
    /// answer is one to a request without a body.
    pub(super) fn answered(
        self,
        head: &mut Parts,
        mut outflow: SendStream<Bytes>,
    ) -> Option<(HeaderValue, SendStream<Bytes>)> {
        if !head.status.is_success() {
            // Fails where the upstream has reset the stream behind its answer.
            if let Err(error) = outflow.send_data(Bytes::new(), true) {
                tracing::trace!(%error, "a stream was over already");
            }
            return None;
        }
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        // RFC 9110 section 9.3.6.
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        if let Some(accept) = self.accept {
            head.headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        Some((self.protocol, outflow))
    }
}

/// The tunnel that a request asks for, where the upstream takes it. Otherwise the request goes on without, as a server may
/// always pass an upgrade over, except for WebSocket.
///
/// # Errors
/// `NoTunnel` for a WebSocket; `FirstByteTimeout`, `Deadline` or the loss of the connection before it is known.
pub(super) async fn agree(
    used: &Use,
    head: &RequestHead<'_>,
    until: Until,
) -> Result<Option<Asked>, (Fault, Seen)> {
    let Some(protocols) = head.upgrade else {
        return Ok(None);
    };
    let asked = match Asked::of(head) {
        Some(asked) if takes_tunnels(used, until).await? => Some(asked),
        _ => None,
    };
    if asked.is_none() && upgrade::names(protocols, websocket::NAME) {
        return Err((FailureKind::NoTunnel.into(), Seen::No));
    }
    Ok(asked)
}

async fn takes_tunnels(used: &Use, until: Until) -> Result<bool, (Fault, Seen)> {
    let slot = used.slot();
    let timeout = slot.settings.first_byte_timeout;
    let mut patience = Patience::new(slot.links.timer(), until.first());
    let mut asking = pin!(used.takes_tunnels());
    let told = poll_fn(|cx| {
        if let Poll::Ready(told) = asking.as_mut().poll(cx) {
            return Poll::Ready(told.map_err(|error| judge(error, FailureKind::Reset)));
        }
        let over = patience.poll_over(timeout, FailureKind::FirstByteTimeout, cx);
        over.map(|kind| Err((kind.into(), Seen::Perhaps)))
    });
    let told = told.await;
    slot.links.keep_timer(patience.into_timer());
    told
}

/// An open tunnel. It counts as an exchange in flight until it is dropped, which resets what is open of its stream.
#[derive(Debug)]
pub(in crate::upstream) struct Tunnel {
    duplex: Duplex,
    protocol: HeaderValue,
    used: Use,
}

impl Tunnel {
    pub(super) fn new(
        used: Use,
        inflow: RecvStream,
        (protocol, outflow): (HeaderValue, SendStream<Bytes>),
    ) -> Self {
        // A reset shows itself to who reads or writes.
        let (duplex, _) = Duplex::new(inflow, outflow);
        Self {
            duplex,
            protocol,
            used,
        }
    }

    /// Keeps the permission for the exchange to its end.
    pub(super) fn hold(&mut self, pass: Pass) {
        self.used.hold(pass);
    }

    /// What was asked for.
    pub(in crate::upstream) fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    /// The byte stream.
    pub(in crate::upstream) fn duplex(&mut self) -> &mut Duplex {
        &mut self.duplex
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn asked(method: &Method, upgrade: &'static str, keys: &[&'static str]) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
        }
        let asked = Asked::of(&RequestHead {
            method,
            target: "/",
            authority: "a",
            headers: &headers,
            upgrade: Some(&HeaderValue::from_static(upgrade)),
            via: None,
        })?;
        Some((asked.protocol()?.as_str().to_owned(), asked.accept.is_some()))
    }

    #[test]
    fn the_first_protocol_is_asked_for_if_it_can_be() {
        let some = |protocol: &str, proves| Some((protocol.to_owned(), proves));
        for (method, upgrade, keys, want) in [
            (
                &Method::GET,
                "WebSocket/13, x",
                &["key"][..],
                some("websocket", true),
            ),
            (&Method::GET, "x, websocket", &["key"], some("x", false)),
            (&Method::GET, "X/1.1", &[], some("X", false)),
            (&Method::GET, "websocket", &[], None),
            (&Method::GET, "websocket", &["key", "key"], None),
            (&Method::POST, "websocket", &["key"], None),
            (&Method::HEAD, "x", &[], None),
            (&Method::GET, " , ", &[], None),
        ] {
            assert_eq!(asked(method, upgrade, keys), want, "{method} {upgrade} {keys:?}");
        }
    }
}
