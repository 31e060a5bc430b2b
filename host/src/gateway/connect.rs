//! Extended CONNECT (RFC 8441): the request by which a client of HTTP/2 opens a WebSocket, made the one that asks for the
//! same in HTTP/1.1. It refuses to know what comes of it.

use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_KEY};
use http::{Extensions, Method};

use crate::message::websocket;

/// Makes a CONNECT with `:protocol = websocket` a GET with a key of the gateway's own (section 5), and gives the protocol
/// to go over to. Any other request stays as it is, for the gateway opens no other tunnels.
pub(super) fn translate(
    method: &mut Method,
    headers: &mut HeaderMap,
    extensions: &Extensions,
) -> Option<HeaderValue> {
    extensions
        .get::<Protocol>()
        .filter(|protocol| protocol.as_str().eq_ignore_ascii_case(websocket::NAME))?;
    *method = Method::GET;
    // CONNECT has no content (RFC 9110 section 9.3.6).
    headers.remove(CONTENT_LENGTH);
    headers.insert(SEC_WEBSOCKET_KEY, websocket::new_key());
    Some(HeaderValue::from_static(websocket::NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(protocol: Option<&'static str>) -> (Method, HeaderMap, Option<HeaderValue>) {
        let (mut method, mut headers) = (Method::CONNECT, HeaderMap::new());
        headers.insert(CONTENT_LENGTH, 5.into());
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("of the client"));
        let mut extensions = Extensions::new();
        protocol.map(|name| extensions.insert(Protocol::from_static(name)));
        let upgrade = translate(&mut method, &mut headers, &extensions);
        (method, headers, upgrade)
    }

    #[test]
    fn websocket_becomes_a_get_with_a_key_of_its_own_and_no_length() {
        let (method, headers, upgrade) = translated(Some("WebSocket"));
        assert_eq!(
            (method, upgrade.unwrap()),
            (Method::GET, "websocket".parse().unwrap())
        );
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[SEC_WEBSOCKET_KEY].len(), 24);
    }

    #[test]
    fn other_protocols_and_plain_connect_stay_what_they_are() {
        for protocol in [None, Some("connect-udp"), Some("")] {
            let (method, headers, upgrade) = translated(protocol);
            assert_eq!((method, headers.len(), upgrade), (Method::CONNECT, 2, None));
        }
    }
}
