//! The head of a request (RFC 9112 sections 2 to 6): its line, its fields, and how its body is delimited. What is
//! ambiguous is refused; what the RFC lets a recipient settle is settled. It refuses to know sockets.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Uri, Version, request};

use crate::message::http1::lines::{self, Lines};
use crate::message::http1::values::{decimal, members};
use crate::message::problem::ErrorKind;

/// Heads with no more lines are searched for line ends once.
pub(super) type HeadLines = Lines<24>;

/// Fields that are added on the way to the upstream, for which the map gets room at once.
const ROOM: usize = 4;

/// A request's head, and what it says of its connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: request::Parts,
    pub(super) framing: Framing,
    pub(super) manner: Manner,
}

/// How the body of a request is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// What the client takes and expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) version: Version,
    /// Whether another request may follow.
    pub(super) persistence: Persistence,
    /// Whether it waits for leave to send its body (RFC 9110 section 10.1.1).
    pub(super) leave: Leave,
    /// Whether it takes trailers (RFC 9110 section 6.5.1).
    pub(super) trailers: Trailers,
    /// Whether the answer has a body at all.
    pub(super) body: Wanted,
}

/// Whether another message may follow on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    Keep,
    Close,
}

/// Whether the client waits to be asked for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Awaited,
    Taken,
}

/// Whether a client takes trailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trailers {
    Taken,
    Ignored,
}

/// Whether an answer has a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    /// The request asks for the head alone.
    Head,
}

/// Reads a complete head, its empty line included, whose end `found` has found. The target and the values of the fields are
/// slices of `head`.
///
/// # Errors
/// `HeadersTooLarge` for more than `max_fields` fields, `UriTooLong`, and `BadRequest` for anything that is not the head of
/// an HTTP/1.0 or HTTP/1.1 request or whose framing is ambiguous.
pub(super) fn parse(head: &Bytes, found: &HeadLines, max_fields: usize) -> Result<Head, ErrorKind> {
    let mut rest = found.of(head);
    let (method, uri, version) = request_line(head, rest.next().unwrap_or_default())?;
    let mut said = Said::default();
    let mut headers = HeaderMap::with_capacity(found.kept().saturating_sub(1).min(max_fields) + ROOM);
    for (index, line) in rest.enumerate() {
        if index >= max_fields {
            return Err(ErrorKind::HeadersTooLarge);
        }
        let (name, value) = lines::split(line).ok_or(ErrorKind::BadRequest)?;
        let name = lines::name(name).ok_or(ErrorKind::BadRequest)?;
        let value =
            HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| ErrorKind::BadRequest)?;
        match name {
            // RFC 9112 section 6.3: several equal ones are one.
            header::CONTENT_LENGTH if !said.length(value.as_bytes()) => continue,
            header::TRANSFER_ENCODING => said.transfer_encoding(value.as_bytes(), version)?,
            header::CONNECTION => said.connection(value.as_bytes()),
            header::EXPECT => said.expects = value.as_bytes().eq_ignore_ascii_case(b"100-continue"),
            header::TE => {
                said.trailers |= members(value.as_bytes()).any(|t| t.eq_ignore_ascii_case(b"trailers"))
            }
            _ => {}
        }
        headers
            .try_append(name, value)
            .map_err(|_| ErrorKind::HeadersTooLarge)?;
    }
    let framing = said.framing(&method, &mut headers)?;
    let manner = said.manner(&method, version);
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri;
    parts.version = version;
    parts.headers = headers;
    Ok(Head {
        parts,
        framing,
        manner,
    })
}

/// A look at a head that has not come whole: garbage is told at once, not when the time for a head is over.
#[derive(Debug, Default)]
pub(super) struct Glimpse {
    /// Bytes that were looked at.
    seen: usize,
    /// The first line was among them.
    whole: bool,
}

impl Glimpse {
    /// Whether what has come so far can still become a head. `begun` has grown at its end since the last call; what was looked
    /// at is not looked at again.
    pub(super) fn may_become_one(&mut self, begun: &[u8]) -> bool {
        if self.whole {
            return true;
        }
        let fresh = begun.get(self.seen..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', fresh) else {
            self.seen = begun.len();
            return fresh
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~' | 0x80.. | b'\r'));
        };
        self.whole = true;
        let line = begun.get(..self.seen + end).unwrap_or_default();
        let line = Bytes::copy_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        request_line(&line, &line).is_ok()
    }
}

/// Method, target and version (RFC 9112 section 3), with one blank between each.
fn request_line(head: &Bytes, line: &[u8]) -> Result<(Method, Uri, Version), ErrorKind> {
    let blank = memchr::memchr(b' ', line).ok_or(ErrorKind::BadRequest)?;
    let (method, rest) = line.split_at_checked(blank).ok_or(ErrorKind::BadRequest)?;
    let rest = rest.get(1..).unwrap_or_default();
    let (target, version) = match rest {
        [target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'] => (target, Version::HTTP_11),
        [target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => (target, Version::HTTP_10),
        _ => return Err(ErrorKind::BadRequest),
    };
    let method = Method::from_bytes(method).map_err(|_| ErrorKind::BadRequest)?;
    if target.len() > MAX_TARGET {
        return Err(ErrorKind::UriTooLong);
    }
    let uri = Uri::from_maybe_shared(head.slice_ref(target)).map_err(|_| ErrorKind::BadRequest)?;
    Ok((method, uri, version))
}

/// What the type for targets takes.
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// What the fields that belong to this connection said.
#[derive(Debug, Default)]
struct Said {
    length: Length,
    coding: Option<Coding>,
    close: bool,
    keep: bool,
    expects: bool,
    trailers: bool,
}

/// What all `Content-Length` together say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    One(u64),
    /// It is no number, or they differ.
    Bad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// It ends in chunks.
    Chunked,
    Other,
}

impl Said {
    /// True for the first one.
    fn length(&mut self, value: &[u8]) -> bool {
        let first = self.length == Length::None;
        self.length = match (self.length, decimal(value)) {
            (Length::None, Some(length)) => Length::One(length),
            (Length::One(one), Some(length)) if one == length => Length::One(one),
            _ => Length::Bad,
        };
        first
    }

    fn transfer_encoding(&mut self, value: &[u8], version: Version) -> Result<(), ErrorKind> {
        // RFC 9112 section 6.1: a server of HTTP/1.0 knows nothing of it, so that its framing would be faulty.
        if version == Version::HTTP_10 {
            return Err(ErrorKind::BadRequest);
        }
        let last = members(value).last().unwrap_or_default();
        self.coding = Some(if last.eq_ignore_ascii_case(b"chunked") {
            Coding::Chunked
        } else {
            Coding::Other
        });
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in members(value) {
            self.keep |= option.eq_ignore_ascii_case(b"keep-alive");
            self.close |= option.eq_ignore_ascii_case(b"close");
        }
    }

    fn framing(&mut self, method: &Method, headers: &mut HeaderMap) -> Result<Framing, ErrorKind> {
        match (self.coding, self.length) {
            (Some(Coding::Other), _) => Err(ErrorKind::BadRequest),
            (Some(Coding::Chunked), length) => {
                if length != Length::None {
                    // RFC 9112 section 6.3: the chunks count, and the connection is closed behind the answer.
                    headers.remove(header::CONTENT_LENGTH);
                    self.close = true;
                }
                Ok(Framing::Chunked)
            }
            (None, Length::Bad) => Err(ErrorKind::BadRequest),
            // What follows such a request is the tunnel's, if it is anything (RFC 9110 section 9.3.6).
            (None, _) if *method == Method::CONNECT => Ok(Framing::None),
            (None, Length::None | Length::One(0)) => Ok(Framing::None),
            (None, Length::One(length)) => Ok(Framing::Length(length)),
        }
    }

    fn manner(&self, method: &Method, version: Version) -> Manner {
        let keeps = !self.close && (self.keep || version == Version::HTTP_11);
        Manner {
            version,
            persistence: if keeps {
                Persistence::Keep
            } else {
                Persistence::Close
            },
            leave: if self.expects && version == Version::HTTP_11 {
                Leave::Awaited
            } else {
                Leave::Taken
            },
            trailers: if self.trailers {
                Trailers::Taken
            } else {
                Trailers::Ignored
            },
            body: if *method == Method::HEAD {
                Wanted::Head
            } else {
                Wanted::Whole
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Head, ErrorKind> {
        let head = Bytes::copy_from_slice(text.as_bytes());
        let mut lines = HeadLines::lenient();
        assert_eq!(lines.find(&head), Ok(Some(head.len())), "{text:?}");
        parse(&head, &lines, 4)
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head =
            parsed("POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-A:  b c \r\n\r\n").unwrap();
        assert_eq!(head.parts.method, Method::POST);
        assert_eq!(head.parts.uri, "/a/b?c=d");
        assert_eq!(head.parts.version, Version::HTTP_11);
        assert_eq!(head.parts.headers["x-a"], "b c");
        assert_eq!(head.parts.headers.len(), 3);
        assert_eq!(head.framing, Framing::Length(5));
        assert_eq!(head.manner.persistence, Persistence::Keep);
        assert_eq!(head.manner.leave, Leave::Taken);
    }

    #[test]
    fn the_framing_is_one_or_none() {
        for (fields, want) in [
            ("", Ok(Framing::None)),
            ("Content-Length: 0\r\n", Ok(Framing::None)),
            ("Content-Length: 007\r\n", Ok(Framing::Length(7))),
            (
                "Content-Length: 7\r\nContent-Length: 7\r\n",
                Ok(Framing::Length(7)),
            ),
            ("Content-Length: 7\r\nContent-Length: 8\r\n", Err(())),
            ("Content-Length: 7, 7\r\n", Err(())),
            ("Content-Length: +7\r\n", Err(())),
            ("Content-Length:\r\n", Err(())),
            ("Content-Length: 18446744073709551616\r\n", Err(())),
            ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
            ("Transfer-Encoding: gzip, Chunked\r\n", Ok(Framing::Chunked)),
            ("Transfer-Encoding: chunked, gzip\r\n", Err(())),
            ("Transfer-Encoding: xchunked\r\n", Err(())),
            ("Transfer-Encoding:\r\n", Err(())),
        ] {
            let got = parsed(&format!("PUT / HTTP/1.1\r\n{fields}\r\n"));
            assert_eq!(got.map(|head| head.framing).map_err(|_| ()), want, "{fields:?}");
        }
        assert!(parsed("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn a_length_beside_chunks_is_dropped_and_the_connection_closed() {
        let head =
            parsed("PUT / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(head.framing, Framing::Chunked);
        assert!(!head.parts.headers.contains_key("content-length"));
        assert_eq!(head.manner.persistence, Persistence::Close);
    }

    #[test]
    fn connections_stay_open_as_version_and_fields_say() {
        use Persistence::{Close, Keep};
        for (version, field, want) in [
            ("1.1", "X: y", Keep),
            ("1.1", "Connection: x, Close", Close),
            ("1.1", "Connection: keep-alive, close", Close),
            ("1.0", "X: y", Close),
            ("1.0", "Connection: Keep-Alive", Keep),
        ] {
            let head = parsed(&format!("GET / HTTP/{version}\r\n{field}\r\n\r\n")).unwrap();
            assert_eq!(head.manner.persistence, want, "{version} {field}");
        }
    }

    #[test]
    fn garbage_is_told_before_the_head_has_come_whole() {
        for (pieces, want) in [
            (
                &[
                    "G",
                    "GET",
                    "GET / HTTP/1.1\r",
                    "GET / HTTP/1.1\r\n",
                    "GET / HTTP/1.1\r\n\0",
                ][..],
                true,
            ),
            (&["GET \u{e9}"], true),
            (&["\0"], false),
            (&["GET", "GET\t"], false),
            (&["GET /", "GET /\r\n"], false),
            (&["GET / HTTP/1.1", "GET / HTTP/1.1 x\n"], false),
        ] {
            let mut glimpse = Glimpse::default();
            let may = pieces
                .iter()
                .all(|piece| glimpse.may_become_one(piece.as_bytes()));
            assert_eq!(may, want, "{pieces:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /  HTTP/1.1\r\n\r\n",
            "GET / a HTTP/1.1\r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "GET / HTTP/1.10\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "GET  HTTP/1.1\r\n\r\n",
            "GET /\t HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\na\r\n\r\n",
            "GET / HTTP/1.1\r\na : b\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\0\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\rc\r\n\r\n",
        ] {
            assert_eq!(parsed(text).unwrap_err(), ErrorKind::BadRequest, "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5));
        assert_eq!(parsed(&many).unwrap_err(), ErrorKind::HeadersTooLarge);
    }
}
