//! The body of a response, which carries the rest of the exchange: it reads, and sends what is left of the request.
//! It refuses to know how the response began.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};

use super::care::Pass;
use super::connection::Expired;
use super::failure::{BoxError, Failure, FailureKind, Fault, RetrySafety};
use super::pool::Lease;
use super::response::Framing;
use super::shared::Outcome;
use super::upgraded::Upgraded;
use super::upload::{Step, Upload};
use crate::message::http1::chunked::{Decoded, Decoder};

/// The body of a response. `B` is the request body, which may still be on its way.
///
/// Once the body has ended well and the request was sent completely, the connection is kept for the next exchange;
/// in every other case, dropping included, it is closed. It reads one buffer at a time and only when it is polled.
#[derive(Debug)]
pub struct ResponseBody<B> {
    /// The endpoint that answered.
    endpoint: Arc<str>,
    /// Content that came together with the head, when that is all.
    ready: Bytes,
    /// What is still to be done; boxed, for a body is moved from hand to hand before it is read.
    rest: Option<Box<Rest<B>>>,
}

#[derive(Debug)]
struct Rest<B> {
    lease: Lease,
    upload: Upload<B>,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    Length(u64),
    Chunked(Decoder),
    Close,
    /// There is none: the connection speaks this protocol now.
    Upgraded(HeaderValue),
}

/// One thing read from the connection.
enum Element {
    Data { data: Bytes, last: bool },
    Trailers(http::HeaderMap),
    End,
}

impl<B> ResponseBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(mut lease: Lease, upload: Upload<B>, framing: Framing) -> Self {
        let settings = &lease.slot().settings;
        let endpoint = Arc::clone(&lease.slot().label);
        let reading = match framing {
            Framing::Length(0) => {
                finish(lease, &upload);
                return Self {
                    endpoint,
                    ready: Bytes::new(),
                    rest: None,
                };
            }
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= lease.connection.read.len() => {
                    let ready = lease.connection.read.split_to(length).freeze();
                    finish(lease, &upload);
                    return Self {
                        endpoint,
                        ready,
                        rest: None,
                    };
                }
                _ => Reading::Length(length),
            },
            Framing::Chunked => {
                Reading::Chunked(Decoder::new(settings.max_header_bytes, settings.max_headers))
            }
            Framing::Close => Reading::Close,
            Framing::Upgraded(protocol) => Reading::Upgraded(protocol),
        };
        Self {
            endpoint,
            ready: Bytes::new(),
            rest: Some(Box::new(Rest {
                lease,
                upload,
                reading,
            })),
        }
    }

    /// The endpoint that answered, as `host:port`.
    pub fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// The connection, if it has gone over to another protocol; there is no body then.
    pub fn take_upgraded(&mut self) -> Option<Upgraded> {
        let rest = *self.rest.take_if(|rest| rest.is_upgraded())?;
        match rest.reading {
            Reading::Upgraded(protocol) => Some(Upgraded::new(rest.lease, protocol)),
            _ => None,
        }
    }

    /// Keeps the permission for the exchange as long as the upstream is at it.
    pub(super) fn hold(&mut self, pass: Pass) {
        if let Some(rest) = &mut self.rest {
            rest.lease.hold(pass);
        }
    }

    /// Closes the connection and reports why.
    fn fail(&mut self, fault: Fault) -> Failure {
        let endpoint = self.rest.take().map(|mut rest| {
            rest.lease.heard(Outcome::Failed(fault.kind));
            let slot = rest.lease.slot();
            if fault.kind.is_upstreams() {
                slot.count_failure();
            }
            slot.label.clone()
        });
        fault.at(RetrySafety::Unsafe, endpoint)
    }

    fn end(&mut self) {
        if let Some(rest) = self.rest.take() {
            let Rest { lease, upload, .. } = *rest;
            finish(lease, &upload);
        }
    }
}

/// Keeps the connection if the next exchange can begin on it.
fn finish<B>(lease: Lease, upload: &Upload<B>)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let connection = &lease.connection;
    if connection.keep_alive && upload.is_sent() && connection.read.is_empty() {
        lease.keep();
    }
}

impl<B> Rest<B> {
    fn is_upgraded(&self) -> bool {
        matches!(self.reading, Reading::Upgraded(_))
    }
}

impl<B> Rest<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn poll_element(&mut self, cx: &mut Context<'_>) -> Poll<Result<Element, Fault>> {
        loop {
            let connection = &mut *self.lease.connection;
            let step = self
                .upload
                .step(connection, cx)
                .map_err(|error| Fault::with(FailureKind::RequestBody, error))?;
            if let Some(element) = self.reading.take(&mut connection.read)? {
                return Poll::Ready(Ok(element));
            }
            match connection.poll_fill(self.reading.expected(), cx) {
                Poll::Ready(Ok(0)) if matches!(self.reading, Reading::Close) => {
                    return Poll::Ready(Ok(Element::End));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(FailureKind::Truncated.into())),
                Poll::Ready(Ok(_)) if connection.is_overdue() => {
                    return Poll::Ready(Err(FailureKind::Deadline.into()));
                }
                Poll::Ready(Ok(_)) => connection.touch(),
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Fault::with(FailureKind::Truncated, error)));
                }
                Poll::Pending if step == Step::Again => {}
                Poll::Pending => {
                    let timeout = self.lease.slot().settings.idle_timeout;
                    let kind = match ready!(self.lease.connection.poll_expired(timeout, cx)) {
                        Expired::Timeout => FailureKind::IdleTimeout,
                        Expired::Deadline => FailureKind::Deadline,
                    };
                    return Poll::Ready(Err(kind.into()));
                }
            }
        }
    }
}

impl Reading {
    /// The next element, if the buffer holds one.
    fn take(&mut self, buffer: &mut bytes::BytesMut) -> Result<Option<Element>, Fault> {
        match self {
            Self::Chunked(decoder) => {
                let decoded = decoder
                    .decode(buffer)
                    .map_err(|error| Fault::malformed(error.reason()))?;
                Ok(match decoded {
                    Decoded::More => None,
                    Decoded::Data(data) => Some(Element::Data {
                        data,
                        last: decoder.try_end(buffer),
                    }),
                    Decoded::Trailers(trailers) => Some(Element::Trailers(trailers)),
                    Decoded::End => Some(Element::End),
                })
            }
            Self::Upgraded(_) => Ok(Some(Element::End)),
            _ if buffer.is_empty() => Ok(None),
            Self::Close => Ok(Some(Element::Data {
                data: buffer.split().freeze(),
                last: false,
            })),
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= here as u64;
                Ok(Some(Element::Data {
                    data: buffer.split_to(here).freeze(),
                    last: *left == 0,
                }))
            }
        }
    }

    /// How many bytes are known to come.
    fn expected(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(decoder) => decoder.left_in_chunk(),
            Self::Close | Self::Upgraded(_) => 0,
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        if !this.ready.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.ready)))));
        }
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        Poll::Ready(match ready!(rest.poll_element(cx)) {
            Ok(Element::Data { data, last }) => {
                if last {
                    this.end();
                }
                Some(Ok(Frame::data(data)))
            }
            Ok(Element::Trailers(trailers)) => {
                this.end();
                Some(Ok(Frame::trailers(trailers)))
            }
            Ok(Element::End) => {
                this.end();
                None
            }
            Err(fault) => Some(Err(this.fail(fault))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.rest.as_ref().is_none_or(|rest| rest.is_upgraded())
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest.as_deref() {
            None => SizeHint::with_exact(self.ready.len() as u64),
            Some(Rest {
                reading: Reading::Length(left),
                ..
            }) => SizeHint::with_exact(*left),
            Some(rest) if rest.is_upgraded() => SizeHint::with_exact(0),
            Some(_) => SizeHint::default(),
        }
    }
}
