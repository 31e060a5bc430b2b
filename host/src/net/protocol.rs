//! Which protocol a client's connection speaks: by what TLS negotiated, or else by its first bytes. It refuses to know
//! where the bytes come from.

use crate::tls::HTTP_2;

/// What an HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A protocol of client connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// One protocol.
    Only(Protocol),
    /// Both.
    Both,
}

/// What is known of a connection's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is this one.
    Made(Protocol),
    /// More bytes are needed.
    Open,
}

/// Chooses the protocol of a connection. `negotiated` is what ALPN agreed on, if there was TLS; `first` is what came
/// first, so far.
///
/// Without ALPN an HTTP/2 client is one that begins with the preface ("prior knowledge", RFC 9113 section 3.3); the
/// upgrade from HTTP/1.1 by `h2c` is obsolete and not taken (section 3.1). Where a listener speaks one protocol, its
/// parser is the one to refuse another.
#[must_use]
pub(super) fn choose(spoken: Spoken, negotiated: Option<&[u8]>, first: &[u8]) -> Choice {
    match (spoken, negotiated) {
        (Spoken::Only(protocol), _) => Choice::Made(protocol),
        (Spoken::Both, Some(HTTP_2)) => Choice::Made(Protocol::Http2),
        (Spoken::Both, Some(_)) => Choice::Made(Protocol::Http1),
        (Spoken::Both, None) if first.starts_with(PREFACE) => Choice::Made(Protocol::Http2),
        (Spoken::Both, None) if PREFACE.starts_with(first) => Choice::Open,
        (Spoken::Both, None) => Choice::Made(Protocol::Http1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_by_its_last_byte_and_everything_else_by_its_first_other() {
        for length in 0..PREFACE.len() {
            assert_eq!(choose(Spoken::Both, None, &PREFACE[..length]), Choice::Open);
        }
        let http2 = Choice::Made(Protocol::Http2);
        assert_eq!(choose(Spoken::Both, None, PREFACE), http2);
        assert_eq!(choose(Spoken::Both, None, &[PREFACE, &[0; 9]].concat()), http2);
        let http1 = Choice::Made(Protocol::Http1);
        for first in [
            "G",
            "POST / HTTP/1.1\r\n",
            "PRI * HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n\r\nX",
        ] {
            assert_eq!(choose(Spoken::Both, None, first.as_bytes()), http1, "{first}");
        }
    }

    #[test]
    fn what_was_negotiated_or_configured_goes_before_the_bytes() {
        let http1 = Choice::Made(Protocol::Http1);
        let http2 = Choice::Made(Protocol::Http2);
        assert_eq!(choose(Spoken::Both, Some(b"h2"), b""), http2);
        assert_eq!(choose(Spoken::Both, Some(b"http/1.1"), PREFACE), http1);
        assert_eq!(choose(Spoken::Only(Protocol::Http1), None, PREFACE), http1);
        assert_eq!(choose(Spoken::Only(Protocol::Http2), None, b"GET"), http2);
    }
}
