//! Reads the head of a response: status, fields, framing, whether the connection may be kept. It refuses to know
//! connections and bodies.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::failure::{FailureKind, Fault};
use crate::message::http1::lines::{self, Lines};
use crate::message::http1::values::{decimal, members};

/// Heads with no more lines are searched for line ends once.
pub(super) const USUAL_LINES: usize = 32;

/// Fields that may be added to a response before its map has to grow, and all fields to be hashed again.
const ROOM: usize = 4;

/// The head of a response, freed of its framing: Transfer-Encoding, Connection, Keep-Alive and every field that
/// Connection names are gone; Content-Length is there once.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    /// What `Upgrade` names, where `Connection` lists it.
    pub(super) upgrade: Option<HeaderValue>,
}

/// How the body of a response is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// By the end of the connection.
    Close,
    /// Not at all: the connection has gone over to this protocol.
    Upgraded(HeaderValue),
}

/// Reads a complete head, its empty line included, whose end `lines` has found. The values of the fields are slices
/// of `head`.
///
/// # Errors
/// `HeadTooLarge` for more than `max_fields` fields, `Malformed` for anything that is not the head of an HTTP/1.0 or
/// HTTP/1.1 response or whose framing is ambiguous.
pub(super) fn parse<const KEPT: usize>(
    head: &Bytes,
    lines: &Lines<KEPT>,
    method: &Method,
    max_fields: usize,
) -> Result<ResponseHead, Fault> {
    let mut rest = lines.of(head);
    let line = rest
        .next()
        .and_then(status_line)
        .ok_or(Fault::malformed("bad status line"))?;
    let (version, status) = line;
    let mut seen = Seen {
        old: version == Version::Http10,
        ..Seen::default()
    };
    let mut headers = HeaderMap::with_capacity(lines.kept().saturating_sub(1).min(max_fields) + ROOM);
    for (index, line) in rest.enumerate() {
        if index >= max_fields {
            return Err(FailureKind::HeadTooLarge.into());
        }
        let (name, value) = lines::split(line).ok_or(Fault::malformed("field without a colon"))?;
        match (name.len(), name.first()) {
            (10, Some(b'c' | b'C')) if name.eq_ignore_ascii_case(b"connection") => {
                field_value(head, value)?;
                seen.connection(value);
                continue;
            }
            (10, Some(b'k' | b'K')) if name.eq_ignore_ascii_case(b"keep-alive") => {
                field_value(head, value)?;
                continue;
            }
            (14, Some(b'c' | b'C')) if name.eq_ignore_ascii_case(b"content-length") => {
                if seen.content_length(value)? == Order::First {
                    headers
                        .try_append(header::CONTENT_LENGTH, length_value(head, value)?)
                        .map_err(too_large)?;
                }
                continue;
            }
            (17, Some(b't' | b'T')) if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                seen.transfer_encoding(value)?;
                continue;
            }
            (7, Some(b'u' | b'U')) if name.eq_ignore_ascii_case(b"upgrade") => {
                let value = field_value(head, value)?;
                seen.upgrade.get_or_insert(value);
                continue;
            }
            // The rest of RFC 9110 section 7.6.1, and what speaks of a proxy that the client does not see.
            (2 | 16 | 18 | 25, _) if is_hop_by_hop(name) => {
                field_value(head, value)?;
                continue;
            }
            _ => {}
        }
        let name = lines::name(name).ok_or(Fault::malformed("bad field name"))?;
        headers
            .try_append(name, field_value(head, value)?)
            .map_err(too_large)?;
    }
    // RFC 9110 section 7.6.1. Content-Length is not hop-by-hop, whatever Connection says.
    for option in &seen.named {
        if let Some(name) = lines::name(option)
            && name != header::CONTENT_LENGTH
        {
            headers.remove(name);
        }
    }
    seen.finish(status, headers, method)
}

fn is_hop_by_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [
        b"te",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authentication-info",
    ];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Version and status of a status line (RFC 9112 section 4). The reason is read over; the blank before it may be
/// missing when there is none.
fn status_line(line: &[u8]) -> Option<(Version, StatusCode)> {
    let (version, rest) = match line.strip_prefix(b"HTTP/1.")? {
        [b'1', rest @ ..] => (Version::Http11, rest),
        [b'0', rest @ ..] => (Version::Http10, rest),
        _ => return None,
    };
    let (digits, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    if !matches!(reason, [] | [b' ', ..])
        || !reason
            .iter()
            .all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
    {
        return None;
    }
    // RFC 9110 section 15: a status outside 100 to 599 is invalid and counts as a 5xx, as our failure does.
    let status = StatusCode::from_bytes(digits).ok()?;
    (status.as_u16() < 600).then_some((version, status))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

fn too_large(_: header::MaxSizeReached) -> Fault {
    FailureKind::HeadTooLarge.into()
}

fn field_value(head: &Bytes, value: &[u8]) -> Result<HeaderValue, Fault> {
    HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| Fault::malformed("bad field value"))
}

/// The value of Content-Length as it is handed on: leading zeros are dropped.
fn length_value(head: &Bytes, value: &[u8]) -> Result<HeaderValue, Fault> {
    let zeros = value
        .iter()
        .take_while(|byte| **byte == b'0')
        .count()
        .min(value.len().saturating_sub(1));
    field_value(head, value.get(zeros..).unwrap_or_default())
}

/// What the fields that belong to this connection said.
#[derive(Debug, Default)]
struct Seen<'a> {
    old: bool,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep: bool,
    named: Vec<&'a [u8]>,
    upgrade: Option<HeaderValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    First,
    Repeated,
}

impl<'a> Seen<'a> {
    fn connection(&mut self, value: &'a [u8]) {
        for option in members(value) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if !option.is_empty() {
                self.named.push(option);
            }
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<Order, Fault> {
        let length = decimal(value).ok_or(Fault::malformed("bad Content-Length"))?;
        match self.length.replace(length) {
            None => Ok(Order::First),
            Some(other) if other == length => Ok(Order::Repeated),
            Some(_) => Err(Fault::malformed("differing Content-Length")),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.old {
            return Err(Fault::malformed("Transfer-Encoding in HTTP/1.0"));
        }
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::malformed("Transfer-Encoding other than chunked"));
        }
        self.chunked = true;
        Ok(())
    }

    fn finish(
        self,
        status: StatusCode,
        mut headers: HeaderMap,
        method: &Method,
    ) -> Result<ResponseHead, Fault> {
        if self.chunked && self.length.is_some() {
            return Err(Fault::malformed("both Transfer-Encoding and Content-Length"));
        }
        let mut keep_alive = !self.close && (!self.old || self.keep);
        let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT;
        if bodiless && (self.chunked || self.length.is_some()) {
            // RFC 9110 section 8.6 and RFC 9112 section 6.1 forbid both: who sends them may send content too.
            headers.remove(header::CONTENT_LENGTH);
            keep_alive &= !self.chunked && self.length == Some(0);
        }
        let framing = if bodiless || status == StatusCode::NOT_MODIFIED || *method == Method::HEAD {
            Framing::Length(0)
        } else if self.chunked {
            Framing::Chunked
        } else {
            self.length.map_or(Framing::Close, Framing::Length)
        };
        keep_alive &= framing != Framing::Close;
        let listed = |option: &&[u8]| option.eq_ignore_ascii_case(b"upgrade");
        let upgrade = self.upgrade.filter(|_| self.named.iter().any(listed));
        Ok(ResponseHead {
            status,
            headers,
            framing,
            keep_alive,
            upgrade,
        })
    }
}

#[cfg(test)]
mod tests;
