//! The answer to what is no request: hyper answers a head that it cannot read by a bare status, before anybody else
//! learns of it. Those bytes are given the form of every other error here. It refuses to know the stream.

use bytes::{BufMut, Bytes, BytesMut};
use http::Method;

use crate::ids::RequestId;
use crate::message::problem::{ErrorKind, Problem};

/// A head that was refused before there was a request.
#[derive(Debug, Clone, Copy)]
pub struct Unparsed {
    /// The number that the answer carries.
    pub id: RequestId,
    /// Why.
    pub kind: ErrorKind,
}

/// Turns the parser's bare answer into an RFC 9457 document; none for bytes that are no such answer.
pub(super) fn answer(bare: &[u8]) -> Option<(Unparsed, Bytes)> {
    let head = std::str::from_utf8(bare).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?;
    let code = status
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| status.strip_prefix("HTTP/1.0 "));
    let kind = match code?.get(..3)? {
        "400" => ErrorKind::BadRequest,
        "414" => ErrorKind::UriTooLong,
        "431" => ErrorKind::HeadersTooLarge,
        _ => return None,
    };
    let date = lines.find(|line| line.starts_with("date: "));
    Some(document(kind, [Some(status), Some("connection: close"), date]))
}

/// The answer to HTTP in clear on a port with TLS.
pub(super) fn in_clear() -> (Unparsed, Bytes) {
    let lines = [Some("HTTP/1.1 400 Bad Request"), Some("connection: close")];
    document(ErrorKind::HttpToTlsPort, lines)
}

/// The document of an error behind these lines.
fn document<'a>(kind: ErrorKind, lines: impl IntoIterator<Item = Option<&'a str>>) -> (Unparsed, Bytes) {
    let id = RequestId::next();
    let problem = Problem::new(kind).with_request_id(id.to_text().as_str());
    let (_, fields, document) = problem.answer(&Method::GET);
    let mut out = BytesMut::with_capacity(512);
    for line in lines.into_iter().flatten() {
        out.put_slice(line.as_bytes());
        out.put_slice(b"\r\n");
    }
    for (name, value) in &fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.put_slice(part);
        }
    }
    out.put_slice(b"\r\n");
    out.put_slice(&document);
    (Unparsed { id, kind }, out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_status_becomes_a_document() {
        for (status, code) in [
            ("400 Bad Request", "bad-request"),
            ("414 URI Too Long", "uri-too-long"),
            ("431 Request Header Fields Too Large", "headers-too-large"),
        ] {
            let bare = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: Mon, 23 Nov 2026 10:00:00 GMT\r\n\r\n"
            );
            let (unparsed, bytes) = answer(bare.as_bytes()).unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\nconnection: close\r\ndate: Mon, ")));
            assert!(
                head.contains("\r\ncontent-type: application/problem+json"),
                "{head}"
            );
            assert!(
                head.contains(&format!("\r\ncontent-length: {}", body.len())),
                "{head}"
            );
            let document: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(document["code"], code);
            let instance = format!("urn:portcullis:request:{}", unparsed.id.to_text().as_str());
            assert_eq!(document["instance"], instance);
            assert_eq!(unparsed.kind.code(), code);
        }
    }

    #[test]
    fn other_bytes_stay_as_they_are() {
        for other in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            "HTTP/1.1 4\r\n\r\n",
            "\r\n\r\n",
            "",
        ] {
            assert!(answer(other.as_bytes()).is_none(), "{other:?}");
        }
    }
}
