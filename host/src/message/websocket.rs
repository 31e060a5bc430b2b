//! The opening handshake of WebSocket (RFC 6455 section 4) as a client does it, for clients that speak HTTP/2 and know
//! neither its key nor the answer (RFC 8441 section 5).
//!
//! Refuses to know frames.

use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use sha1::{Digest, Sha1};

use crate::base64;
use crate::ids::new_span_id;

/// The name of the protocol in `Upgrade` and `:protocol`.
pub const NAME: &str = "websocket";

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key for one handshake: 16 bytes in Base64. It is no secret: it lets the client know that the answer is to its own
/// request.
#[must_use]
pub fn new_key() -> HeaderValue {
    let random = (u128::from(new_span_id()) << 64) | u128::from(new_span_id());
    let text = base64::encode(&random.to_be_bytes());
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What a server answers to `key` in `Sec-WebSocket-Accept`.
#[must_use]
pub fn accept(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    base64::encode(&digest)
}

/// Whether the fields of a 101 answer the key in those of the request (section 4.1).
#[must_use]
pub fn answers(response: &HeaderMap, request: &HeaderMap) -> bool {
    let mut given = response.get_all(SEC_WEBSOCKET_ACCEPT).iter();
    match (given.next(), given.next(), request.get(SEC_WEBSOCKET_KEY)) {
        (Some(given), None, Some(key)) => given.as_bytes() == accept(key.as_bytes()).as_bytes(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &http::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(name, HeaderValue::from_static(value));
        }
        fields
    }

    /// RFC 6455 section 1.3.
    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(
            accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn only_one_field_with_the_right_value_answers_a_key() {
        let asked = fields(&SEC_WEBSOCKET_KEY, &["dGhlIHNhbXBsZSBub25jZQ=="]);
        let right = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        for (given, want) in [
            (&[right][..], true),
            (&[], false),
            (&[right, right], false),
            (&["s3pPLMBiTxaQ9kYGzzhZRbK+xOp="], false),
            (&["S3PPLMBITXAQ9KYGZZHZRBK+XOO="], false),
        ] {
            assert_eq!(
                answers(&fields(&SEC_WEBSOCKET_ACCEPT, given), &asked),
                want,
                "{given:?}"
            );
        }
        assert!(!answers(
            &fields(&SEC_WEBSOCKET_ACCEPT, &[right]),
            &HeaderMap::new()
        ));
    }

    #[test]
    fn keys_are_24_letters_of_base64_and_never_the_same() {
        let (one, two) = (new_key(), new_key());
        assert!(one.len() == 24 && one.as_bytes().ends_with(b"=="), "{one:?}");
        assert_ne!(one, two);
    }
}
