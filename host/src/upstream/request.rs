//! The head of a request and how it is written (RFC 9112 sections 3 and 5). It refuses to know connections.

use http::{HeaderMap, HeaderValue, Method, header};

use crate::message::http1::write::{push_decimal, push_field};

/// What the caller says of a request, apart from its body.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method. CONNECT is refused.
    pub method: &'a Method,
    /// The request target as it goes on the wire: path and query, or `*`.
    pub target: &'a str,
    /// The value of the Host field; may be empty.
    pub authority: &'a str,
    /// The fields, without the hop-by-hop ones. Host, Content-Length and Transfer-Encoding are skipped: the client
    /// writes its own.
    pub headers: &'a HeaderMap,
    /// The protocols to go over to, as `Upgrade` has them; only with a request that has no body.
    pub upgrade: Option<&'a HeaderValue>,
    /// The value of the client's own `Via` line.
    pub via: Option<&'a HeaderValue>,
}

/// How the request's body is delimited (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

impl RequestHead<'_> {
    /// Refuses what would not be one well-formed request line and Host field: the guard against request splitting,
    /// whatever the layers above do.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if *self.method == Method::CONNECT {
            return Err("the method CONNECT is not supported");
        }
        if self.target.is_empty() || !is_visible(self.target) {
            return Err("the target holds a blank or control character, or is empty");
        }
        if !is_visible(self.authority) {
            return Err("the authority holds a blank or control character");
        }
        Ok(())
    }

    /// Appends the head with its framing fields and its empty line.
    pub(super) fn write(&self, framing: Framing, out: &mut Vec<u8>) {
        for part in [
            self.method.as_str(),
            " ",
            self.target,
            " HTTP/1.1\r\nhost: ",
            self.authority,
            "\r\n",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
        for (name, value) in self.headers {
            if matches!(
                *name,
                header::HOST | header::CONTENT_LENGTH | header::TRANSFER_ENCODING
            ) {
                continue;
            }
            if *name == header::TE {
                // RFC 9110 section 10.1.4.
                out.extend_from_slice(b"connection: te\r\n");
            }
            push_field(out, name.as_str(), value);
        }
        if let Some(via) = self.via {
            push_field(out, "via", via);
        }
        if let Some(protocols) = self.upgrade {
            out.extend_from_slice(b"connection: upgrade\r\n");
            push_field(out, "upgrade", protocols);
        }
        match framing {
            Framing::Length(length) => {
                out.extend_from_slice(b"content-length: ");
                push_decimal(out, length);
                out.extend_from_slice(b"\r\n\r\n");
            }
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
            Framing::None if takes_content(self.method) => {
                out.extend_from_slice(b"content-length: 0\r\n\r\n");
            }
            Framing::None => out.extend_from_slice(b"\r\n"),
        }
    }
}

/// Whether a request with this method says so when it has no content (RFC 9110 section 8.6).
fn takes_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: &Method, framing: Framing, headers: &HeaderMap) -> String {
        let head = RequestHead {
            method,
            target: "/a?b=c",
            authority: "example.com:81",
            headers,
            upgrade: None,
            via: None,
        };
        head.check().unwrap();
        let mut out = Vec::new();
        head.write(framing, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_client_writes_its_own_host_and_framing() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("other"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        let start = "host: example.com:81\r\nx-a: 1\r\nx-a: 2\r\n";
        for (method, framing, end) in [
            (Method::GET, Framing::None, ""),
            (Method::HEAD, Framing::None, ""),
            (Method::DELETE, Framing::None, ""),
            (Method::OPTIONS, Framing::None, ""),
            (Method::POST, Framing::None, "content-length: 0\r\n"),
            (Method::PUT, Framing::None, "content-length: 0\r\n"),
            (Method::PATCH, Framing::None, "content-length: 0\r\n"),
            (Method::GET, Framing::Length(10), "content-length: 10\r\n"),
            (
                Method::POST,
                Framing::Length(u64::MAX),
                "content-length: 18446744073709551615\r\n",
            ),
            (Method::POST, Framing::Chunked, "transfer-encoding: chunked\r\n"),
        ] {
            let want = format!("{method} /a?b=c HTTP/1.1\r\n{start}{end}\r\n");
            assert_eq!(written(&method, framing, &headers), want);
        }
    }

    #[test]
    fn an_upgrade_and_a_via_line_stand_behind_the_fields() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VIA, HeaderValue::from_static("1.0 before"));
        let head = RequestHead {
            method: &Method::GET,
            target: "/",
            authority: "a",
            headers: &headers,
            upgrade: Some(&HeaderValue::from_static("websocket")),
            via: Some(&HeaderValue::from_static("1.1 gate")),
        };
        let mut out = Vec::new();
        head.write(Framing::None, &mut out);
        let want = "GET / HTTP/1.1\r\nhost: a\r\nvia: 1.0 before\r\nvia: 1.1 gate\r\nconnection: upgrade\r\n\
                    upgrade: websocket\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn what_would_split_a_request_is_refused() {
        let headers = HeaderMap::new();
        for (target, authority) in [
            ("", "a"),
            ("/ b", "a"),
            ("/\r\nx: y", "a"),
            ("/", "a\r\nx: y"),
            ("/", "a b"),
            ("/\u{7f}", "a"),
            ("/\0", "a"),
        ] {
            let head = RequestHead {
                method: &Method::GET,
                target,
                authority,
                headers: &headers,
                upgrade: None,
                via: None,
            };
            assert!(head.check().is_err(), "{target:?} {authority:?}");
        }
        let head = RequestHead {
            method: &Method::CONNECT,
            target: "a:1",
            authority: "a:1",
            headers: &headers,
            upgrade: None,
            via: None,
        };
        assert!(head.check().is_err());
    }
}
