//! The head of a request as HTTP/2 has it (RFC 9113 section 8.3.1). It refuses to know streams.

use http::{HeaderMap, Method, Request, Uri, header};

use super::tunnel::Asked;
use crate::upstream::request::{Framing, RequestHead};

/// The request of `head`, with the length of its body, where that is known. With a `tunnel` it is the CONNECT that asks for
/// it (RFC 8441 section 4); without, what it asks to go over to is left out, for HTTP/2 knows no upgrades (RFC 9113
/// section 8.6).
pub(super) fn request(
    head: RequestHead<'_>,
    framing: Framing,
    scheme: &'static str,
    tunnel: Option<&Asked>,
) -> Result<Request<()>, &'static str> {
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 2);
    for (name, value) in head.headers {
        if matches!(
            *name,
            header::HOST
                | header::CONTENT_LENGTH
                | header::TRANSFER_ENCODING
                | header::CONNECTION
                | header::UPGRADE
        ) || tunnel.is_some() && *name == header::SEC_WEBSOCKET_KEY
        {
            continue;
        }
        headers
            .try_append(name, value.clone())
            .map_err(|_| "too many fields")?;
    }
    if let Some(via) = head.via {
        headers
            .try_append(header::VIA, via.clone())
            .map_err(|_| "too many fields")?;
    }
    let length = match framing {
        _ if tunnel.is_some() => None,
        Framing::Length(length) => Some(length),
        Framing::None if takes_content(head.method) => Some(0),
        Framing::None | Framing::Chunked => None,
    };
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    let mut uri = Uri::builder().path_and_query(head.target);
    // Without an authority there is no scheme either; the crate puts it in.
    if !head.authority.is_empty() {
        uri = uri.scheme(scheme).authority(head.authority);
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri
        .build()
        .map_err(|_| "the target or the authority is malformed")?;
    *request.headers_mut() = headers;
    if let Some(asked) = tunnel {
        *request.method_mut() = Method::CONNECT;
        let protocol = asked.protocol().ok_or("the protocol is no token")?;
        request.extensions_mut().insert(protocol);
    }
    Ok(request)
}

/// Whether a request with this method says so when it has no content (RFC 9110 section 8.6).
fn takes_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_host_is_the_authority_and_the_length_is_the_bodys() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "other"),
            ("content-length", "99"),
            ("connection", "te"),
            ("te", "trailers"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let head = RequestHead {
            method: &Method::POST,
            target: "/a?b=c",
            authority: "a.example:81",
            headers: &headers,
            upgrade: Some(&HeaderValue::from_static("websocket")),
            via: Some(&HeaderValue::from_static("1.1 here")),
        };
        let sent = request(head, Framing::Length(7), "http", None).unwrap();
        assert_eq!(sent.uri(), "http://a.example:81/a?b=c");
        assert_eq!(sent.headers()[header::CONTENT_LENGTH], "7");
        assert_eq!(sent.headers()[header::TE], "trailers");
        assert_eq!(sent.headers()[header::VIA], "1.1 here");
        assert_eq!(sent.headers().len(), 3);
        let lengths = [(Framing::None, Some("0")), (Framing::Chunked, None)];
        for (framing, length) in lengths {
            let sent = request(head, framing, "https", None).unwrap();
            assert_eq!(sent.uri().scheme_str(), Some("https"));
            let said = sent.headers().get(header::CONTENT_LENGTH);
            assert_eq!(said.map(|value| value.to_str().unwrap()), length, "{framing:?}");
        }
    }
}
