//! The head of a response as it is written, and the framing of its body (RFC 9112 sections 4, 6 and 7). Whatever its
//! fields say of the connection and of the framing, one of each is written, and it is true. It refuses to know sockets.

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{StatusCode, Version, response};
use http_body::Frame;

use super::head::{Manner, Persistence, Trailers, Wanted};
use super::wire::Wire;
use crate::message::http1::trailers;
use crate::message::http1::values::members;
use crate::message::http1::write::{push_decimal, push_field, push_hex};
use crate::net::date;

/// What the body has to say of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Known(u64),
    Unknown,
}

/// How what follows the head is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// Nothing follows.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks, and trailers behind them or not.
    Chunked(Trailers),
    /// Everything up to the connection's end.
    UntilClose,
}

/// Why a response cannot be sent, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// The body is longer or shorter than was said.
    #[error("a response's body is not as long as its head says")]
    Length,
    /// It is none that ends an exchange (RFC 9110 section 15.2).
    #[error("an interim response in place of a response")]
    Interim,
}

/// Writes the head of a response, and says how its body is to be written and whether another response may follow.
pub(super) fn write(
    head: &response::Parts,
    size: Size,
    asked: Manner,
    out: &mut Vec<u8>,
) -> (Sending, Persistence) {
    let status = head.status;
    let sending = sending(status, size, asked);
    let mut persistence = asked.persistence;
    if sending == Sending::UntilClose {
        persistence = Persistence::Close;
    }
    out.extend_from_slice(match asked.version {
        Version::HTTP_10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    // RFC 9112 section 4: the blank stands also before an empty reason.
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let bodiless = is_bodiless(status);
    let mut dated = false;
    for (name, value) in &head.headers {
        match *name {
            header::CONNECTION => {
                if members(value.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"close")) {
                    persistence = Persistence::Close;
                }
                continue;
            }
            header::TRANSFER_ENCODING => continue,
            // Behind a HEAD it is the length of what a GET would have got (RFC 9110 section 8.6).
            header::CONTENT_LENGTH if sending != Sending::Nothing || bodiless => continue,
            header::DATE => dated = true,
            _ => {}
        }
        push_field(out, name.as_str(), value);
    }
    match sending {
        Sending::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Sending::Chunked(_) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Sending::Nothing | Sending::UntilClose => {}
    }
    match (persistence, asked.version) {
        _ if status == StatusCode::SWITCHING_PROTOCOLS => out.extend_from_slice(b"connection: upgrade\r\n"),
        (Persistence::Close, _) => out.extend_from_slice(b"connection: close\r\n"),
        (Persistence::Keep, Version::HTTP_10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (Persistence::Keep, _) => {}
    }
    if !dated {
        date::push(out);
    }
    out.extend_from_slice(b"\r\n");
    (sending, persistence)
}

fn sending(status: StatusCode, size: Size, asked: Manner) -> Sending {
    match size {
        _ if is_bodiless(status) || asked.body == Wanted::Head => Sending::Nothing,
        Size::Known(length) => Sending::Length(length),
        Size::Unknown if asked.version == Version::HTTP_10 => Sending::UntilClose,
        Size::Unknown => Sending::Chunked(asked.trailers),
    }
}

/// Responses that never have a body (RFC 9112 section 6.3).
fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

impl Sending {
    /// Writes a piece of the body.
    ///
    /// # Errors
    /// When it is longer than was said.
    pub(super) fn push(&mut self, frame: Frame<Bytes>, wire: &mut Wire) -> Result<Ended, Unfit> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let trailers = frame.trailers_ref();
                return self.finish(trailers, wire).map(|()| Ended::Body);
            }
        };
        if data.is_empty() {
            return Ok(Ended::Nothing);
        }
        match self {
            Self::Nothing => {}
            Self::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Unfit::Length)?;
                wire.push(data, b"");
            }
            Self::Chunked(_) => {
                let head = wire.head();
                push_hex(head, data.len() as u64);
                head.extend_from_slice(b"\r\n");
                wire.push(data, b"\r\n");
            }
            Self::UntilClose => wire.push(data, b""),
        }
        Ok(Ended::Nothing)
    }

    /// Writes what stands behind the body.
    ///
    /// # Errors
    /// When it is shorter than was said.
    pub(super) fn finish(self, trailers: Option<&HeaderMap>, wire: &mut Wire) -> Result<(), Unfit> {
        match self {
            Self::Length(1..) => Err(Unfit::Length),
            Self::Chunked(taken) => {
                match trailers.filter(|_| taken == Trailers::Taken && wire.takes_more()) {
                    Some(trailers) => {
                        let head = wire.head();
                        head.extend_from_slice(b"0\r\n");
                        trailers::write(head, trailers);
                        head.extend_from_slice(b"\r\n");
                    }
                    None => wire.push_tail(b"0\r\n\r\n", b"\r\n0\r\n\r\n"),
                }
                Ok(())
            }
            Self::Nothing | Self::Length(0) | Self::UntilClose => Ok(()),
        }
    }
}

/// What a piece was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// One of several.
    Nothing,
    /// The last one, and everything behind it is written.
    Body,
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response};

    use super::*;
    use crate::net::http1::head::Leave;

    fn manner() -> Manner {
        Manner {
            version: Version::HTTP_11,
            persistence: Persistence::Keep,
            leave: Leave::Taken,
            trailers: Trailers::Ignored,
            body: Wanted::Whole,
        }
    }

    fn written(
        status: u16,
        fields: &[(&'static str, &'static str)],
        size: Size,
        asked: Manner,
    ) -> (String, Sending, Persistence) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            response
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        response
            .headers_mut()
            .append(header::DATE, HeaderValue::from_static("now"));
        let mut out = Vec::new();
        let (sending, persistence) = write(&response.into_parts().0, size, asked, &mut out);
        (String::from_utf8(out).unwrap(), sending, persistence)
    }

    #[test]
    fn there_is_one_framing_whatever_the_fields_say() {
        let lies = [
            ("content-length", "9"),
            ("transfer-encoding", "gzip"),
            ("x-a", "b"),
        ];
        let old = Manner {
            version: Version::HTTP_10,
            ..manner()
        };
        let head = Manner {
            body: Wanted::Head,
            ..manner()
        };
        for (status, size, asked, framing, sending) in [
            (
                200,
                Size::Known(5),
                manner(),
                "content-length: 5\r\n",
                Sending::Length(5),
            ),
            (
                200,
                Size::Known(0),
                manner(),
                "content-length: 0\r\n",
                Sending::Length(0),
            ),
            (
                200,
                Size::Unknown,
                manner(),
                "transfer-encoding: chunked\r\n",
                Sending::Chunked(Trailers::Ignored),
            ),
            (204, Size::Known(0), manner(), "", Sending::Nothing),
            (204, Size::Unknown, manner(), "", Sending::Nothing),
            (304, Size::Unknown, manner(), "", Sending::Nothing),
        ] {
            let (text, got, persistence) = written(status, &lies, size, asked);
            assert_eq!(got, sending, "{text}");
            assert_eq!(persistence, Persistence::Keep);
            let start = format!(
                "HTTP/1.1 {}\r\nx-a: b\r\ndate: now\r\n",
                StatusCode::from_u16(status).unwrap()
            );
            assert_eq!(text, format!("{start}{framing}\r\n"));
        }
        let (text, sending, persistence) = written(200, &lies, Size::Unknown, old);
        assert_eq!((sending, persistence), (Sending::UntilClose, Persistence::Close));
        assert_eq!(
            text,
            "HTTP/1.0 200 OK\r\nx-a: b\r\ndate: now\r\nconnection: close\r\n\r\n"
        );
        let (text, sending, _) = written(200, &lies, Size::Known(0), head);
        assert_eq!(sending, Sending::Nothing);
        assert!(text.contains("content-length: 9\r\nx-a: b\r\n"), "{text}");
    }

    #[test]
    fn the_end_of_the_connection_is_announced() {
        let close = Manner {
            persistence: Persistence::Close,
            ..manner()
        };
        let old = Manner {
            version: Version::HTTP_10,
            ..manner()
        };
        for (field, asked, want) in [
            ("x", manner(), ""),
            ("x", close, "connection: close\r\n"),
            ("x, close", manner(), "connection: close\r\n"),
            ("x", old, "connection: keep-alive\r\n"),
        ] {
            let (text, _, _) = written(200, &[("connection", field)], Size::Known(0), asked);
            let (_, behind) = text.split_once("content-length: 0\r\n").unwrap();
            assert_eq!(behind, format!("{want}\r\n"));
        }
    }

    #[test]
    fn an_answer_without_a_date_gets_one() {
        let mut out = Vec::new();
        write(
            &Response::new(()).into_parts().0,
            Size::Known(0),
            manner(),
            &mut out,
        );
        let text = String::from_utf8(out).unwrap();
        let (_, date) = text.split_once("\r\ndate: ").unwrap();
        assert!(date.ends_with(" GMT\r\n\r\n"), "{text}");
    }
}
