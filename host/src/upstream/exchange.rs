//! The first half of an exchange: the request goes out until the head of the response is there. It refuses to know
//! pools and retries.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;

use super::connection::{Connection, Expired};
use super::failure::{BoxError, FailureKind, Fault};
use super::request::RequestHead;
use super::response::{self, Framing, ResponseHead};
use super::settings::Settings;
use super::upload::{Step, Upload};
use crate::message::http1::lines::Lines;
use crate::message::upgrade;

/// How many interim responses may come before the response.
const MAX_INTERIM: u8 = 16;

/// Waits for the head of a response.
#[derive(Debug, Default)]
pub(super) struct Await {
    lines: Lines<{ response::USUAL_LINES }>,
    interim: u8,
}

impl Await {
    /// Sends what can be sent and reads until the head is complete. The rest of the upload goes on with the body.
    pub(super) fn poll_head<B>(
        &mut self,
        connection: &mut Connection,
        upload: &mut Upload<B>,
        request: &RequestHead<'_>,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Fault>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        loop {
            let step = upload
                .step(connection, cx)
                .map_err(|error| Fault::with(FailureKind::RequestBody, error))?;
            if let Some(head) = self.take_head(connection, request, settings)? {
                return Poll::Ready(Ok(head));
            }
            match connection.poll_fill(0, cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(end) => return Poll::Ready(Err(closed(connection, end.err()))),
                Poll::Pending if step == Step::Again => {}
                Poll::Pending => {
                    let (timeout, kind) = match step {
                        Step::AwaitsBody => (settings.idle_timeout, FailureKind::RequestStalled),
                        Step::AwaitsUpstream => (settings.idle_timeout, FailureKind::IdleTimeout),
                        Step::Done | Step::Again => {
                            (settings.first_byte_timeout, FailureKind::FirstByteTimeout)
                        }
                    };
                    // Bytes of an incomplete head are no progress: a head that trickles in is too late all the same.
                    return connection.poll_expired(timeout, cx).map(|expired| {
                        Err(match expired {
                            Expired::Timeout => kind.into(),
                            Expired::Deadline => FailureKind::Deadline.into(),
                        })
                    });
                }
            }
        }
    }

    /// The head of the response, if it is complete in the buffer. Interim responses are dropped.
    fn take_head(
        &mut self,
        connection: &mut Connection,
        request: &RequestHead<'_>,
        settings: &Settings,
    ) -> Result<Option<ResponseHead>, Fault> {
        while !connection.read.is_empty() {
            let end = self
                .lines
                .find(&connection.read)
                .map_err(|_| Fault::malformed("bare LF in the head"))?;
            let length = end.unwrap_or(connection.read.len());
            if length > settings.max_header_bytes {
                return Err(FailureKind::HeadTooLarge.into());
            }
            if end.is_none() {
                return Ok(None);
            }
            let bytes = connection.read.split_to(length).freeze();
            let mut head = response::parse(&bytes, &self.lines, request.method, settings.max_headers)?;
            if !head.status.is_informational() {
                return Ok(Some(head));
            }
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                head.framing = switched(request, head.upgrade.take())?;
                head.keep_alive = false;
                return Ok(Some(head));
            }
            if self.interim == MAX_INTERIM {
                return Err(Fault::malformed("too many interim responses"));
            }
            self.interim += 1;
            self.lines = Lines::default();
            connection.touch();
        }
        Ok(None)
    }
}

/// The protocol that a 101 leads to, which has to be one that was asked for (RFC 9110 section 7.8).
fn switched(request: &RequestHead<'_>, given: Option<http::HeaderValue>) -> Result<Framing, Fault> {
    let Some(asked) = request.upgrade else {
        return Err(Fault::malformed("an upgrade that was not asked for"));
    };
    given
        .filter(|given| upgrade::answers(given, asked))
        .map(Framing::Upgraded)
        .ok_or(Fault::malformed(
            "an upgrade to another protocol than was asked for",
        ))
}

/// The fault of a connection that ended before a complete head.
fn closed(connection: &mut Connection, error: Option<io::Error>) -> Fault {
    let kind = if connection.heard {
        FailureKind::Truncated
    } else {
        FailureKind::Reset
    };
    match error.or_else(|| connection.write_error.take()) {
        // With TLS 1.3 a server refuses our certificate only after the handshake.
        Some(error) if kind == FailureKind::Reset && is_tls(&error) => Fault::with(FailureKind::Tls, error),
        Some(error) => Fault::with(kind, error),
        None => kind.into(),
    }
}

/// The fault is one of TLS, not of the connection below.
fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|source| source.is::<rustls::Error>())
}
