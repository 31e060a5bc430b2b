//! The answer to what is no request: the document of an error like every other here, written before there is an exchange
//! that could carry it. It refuses to know the stream.

use bytes::Bytes;
use http::Method;

use super::date;
use crate::ids::RequestId;
use crate::message::http1::write::push_field;
use crate::message::problem::{ErrorKind, Problem};

/// A head that was refused before there was a request.
#[derive(Debug, Clone, Copy)]
pub struct Unparsed {
    /// The number that the answer carries.
    pub id: RequestId,
    /// Why.
    pub kind: ErrorKind,
}

/// The answer to a head that cannot be read, or that should have come by TLS. The connection ends behind it.
pub(super) fn answer(kind: ErrorKind) -> (Unparsed, Bytes) {
    let id = RequestId::next();
    let problem = Problem::new(kind).with_request_id(id.to_text().as_str());
    let (status, fields, document) = problem.answer(&Method::GET);
    let mut out = Vec::with_capacity(512);
    let reason = status.canonical_reason().unwrap_or_default();
    for part in [
        "HTTP/1.1 ",
        status.as_str(),
        " ",
        reason,
        "\r\nconnection: close\r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    date::push(&mut out);
    for (name, value) in &fields {
        push_field(&mut out, name.as_str(), value);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&document);
    (Unparsed { id, kind }, out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_document_like_every_other() {
        for (kind, status, code) in [
            (ErrorKind::BadRequest, "400 Bad Request", "bad-request"),
            (ErrorKind::UriTooLong, "414 URI Too Long", "uri-too-long"),
            (
                ErrorKind::HeadersTooLarge,
                "431 Request Header Fields Too Large",
                "headers-too-large",
            ),
        ] {
            let (unparsed, bytes) = answer(kind);
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\nconnection: close\r\ndate: ")));
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
        }
    }
}
