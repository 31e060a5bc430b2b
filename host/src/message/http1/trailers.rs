//! Trailer sections: which fields may stand in one, reading and writing. It refuses to know chunks.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Frame;

use super::lines::{self, Lines};

/// Why a trailer section is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrailerError {
    Syntax,
    TooMany,
}

/// Reads a trailer section (its field lines and the empty line), whose end `lines` has found. Fields that RFC 9110
/// section 6.5.1 forbids are left out.
pub(crate) fn parse(section: &Bytes, lines: &Lines<0>, max: usize) -> Result<HeaderMap, TrailerError> {
    let mut map = HeaderMap::new();
    for (index, line) in lines.of(section).enumerate() {
        if index >= max {
            return Err(TrailerError::TooMany);
        }
        let (name, value) = lines::split(line).ok_or(TrailerError::Syntax)?;
        let name = lines::name(name).ok_or(TrailerError::Syntax)?;
        let value = HeaderValue::from_maybe_shared(section.slice_ref(value));
        let value = value.map_err(|_| TrailerError::Syntax)?;
        if !is_forbidden(&name) {
            map.try_append(name, value).map_err(|_| TrailerError::TooMany)?;
        }
    }
    Ok(map)
}

/// Writes the field lines of a trailer section, without its empty line. Forbidden fields are left out.
pub(crate) fn write(out: &mut Vec<u8>, trailers: &HeaderMap) {
    for (name, value) in trailers.iter().filter(|(name, _)| !is_forbidden(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Takes the forbidden fields out of trailers that came by another way than [`parse`]; content stays as it is.
pub(crate) fn cleaned(frame: Frame<Bytes>) -> Frame<Bytes> {
    let mut trailers = match frame.into_trailers() {
        Ok(trailers) => trailers,
        Err(content) => return content,
    };
    let forbidden: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_forbidden(name))
        .cloned()
        .collect();
    for name in &forbidden {
        trailers.remove(name);
    }
    Frame::trailers(trailers)
}

/// Whether a field must not stand in a trailer section: what frames or routes the message, modifies the request,
/// authenticates, controls caches, or says how to read the content (RFC 9110 section 6.5.1); and what only this
/// gateway says of the client.
fn is_forbidden(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 33] = [
        header::AGE,
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::DATE,
        header::EXPECT,
        header::EXPIRES,
        header::HOST,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::LOCATION,
        header::MAX_FORWARDS,
        header::PRAGMA,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::RANGE,
        header::RETRY_AFTER,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VARY,
        header::WARNING,
        header::WWW_AUTHENTICATE,
    ];
    FORBIDDEN.contains(name)
        || matches!(
            name.as_str(),
            "forwarded" | "keep-alive" | "proxy-connection" | "x-real-ip"
        )
        || name.as_str().starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(section: &'static str) -> Result<HeaderMap, TrailerError> {
        let section = Bytes::from_static(section.as_bytes());
        let mut lines = Lines::default();
        assert_eq!(lines.find(&section), Ok(Some(section.len())));
        parse(&section, &lines, 4)
    }

    #[test]
    fn forbidden_fields_are_left_out_both_ways() {
        let mut map =
            parsed("Grpc-Status: 0\r\nContent-Length: 5\r\nKeep-Alive: 1\r\nx-a: b\r\n\r\n").unwrap();
        assert_eq!(map.len(), 2);
        assert_eq!(map["grpc-status"], "0");
        map.insert(header::AUTHORIZATION, HeaderValue::from_static("secret"));
        let mut out = Vec::new();
        write(&mut out, &map);
        assert_eq!(out, b"grpc-status: 0\r\nx-a: b\r\n");
    }

    #[test]
    fn broken_sections_are_refused() {
        for text in [
            "a : b\r\n\r\n",
            "a\r\n\r\n",
            "a: b\r\n c\r\n\r\n",
            "a: \0\r\n\r\n",
            "a: b\rc\r\n\r\n",
            "a: b\r\r\n\r\n",
            ": b\r\n\r\n",
        ] {
            assert_eq!(parsed(text), Err(TrailerError::Syntax), "{text:?}");
        }
        assert_eq!(
            parsed("a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\n\r\n"),
            Err(TrailerError::TooMany)
        );
    }
}
