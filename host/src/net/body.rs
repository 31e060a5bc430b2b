//! A client's request body: counted, capped, and watched so that one that stalls ends in an answer.

use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{Conn, Inlet, Kept};
use crate::message::capture::Capture;
use crate::message::problem::ErrorKind;

/// Why a request body ended early.
#[derive(Debug, thiserror::Error)]
pub enum ClientBodyError {
    /// Longer than the listener or the route takes.
    #[error("the request body is longer than {max} bytes")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// Nothing came for too long.
    #[error("the client sent nothing of its body for too long")]
    Stalled,
    /// The connection or its framing broke.
    #[error("the request body broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The gateway broke it off.
    #[error("the request body was broken off")]
    Cut(#[from] CutOff),
}

/// Why a body was broken off by the gateway itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {detail}", kind.code())]
pub struct CutOff {
    /// What it is answered with, where it still can be.
    pub kind: ErrorKind,
    /// What the client may learn of it; may be empty.
    pub detail: String,
}

/// A body that comes from somewhere else, or was changed on its way.
pub struct Changed(Pin<Box<dyn Body<Data = Bytes, Error = ClientBodyError>>>);

impl Changed {
    /// Any body.
    #[must_use]
    pub fn new(body: impl Body<Data = Bytes, Error = ClientBodyError> + 'static) -> Self {
        Self(Box::pin(body))
    }
}

impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}

/// The body as it streams from the client.
#[derive(Debug)]
pub struct ClientBody {
    inner: Inlet,
    conn: Rc<Conn>,
    max: u64,
    left: u64,
}

impl ClientBody {
    /// Reads `inner`, at most `max` bytes.
    #[must_use]
    pub fn new(inner: Inlet, conn: Rc<Conn>, max: u64) -> Self {
        Self {
            inner,
            conn,
            max,
            left: max,
        }
    }

    /// A body that announces more than it may have.
    #[must_use]
    pub fn announces_too_much(&self) -> bool {
        self.inner.size_hint().lower() > self.max
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.conn.got_body();
                if let Some(data) = frame.data_ref() {
                    let size = data.len() as u64;
                    self.conn.count(size);
                    self.conn.copy(data);
                    match self.left.checked_sub(size) {
                        Some(left) => self.left = left,
                        None => {
                            return Poll::Ready(Some(Err(ClientBodyError::TooLarge { max: self.max })));
                        }
                    }
                }
                if self.inner.is_end_stream() {
                    self.conn.ended_body();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(ClientBodyError::Broken(error)))),
            Poll::Ready(None) => {
                self.conn.got_body();
                self.conn.ended_body();
                Poll::Ready(None)
            }
            Poll::Pending if self.conn.is_expired() => Poll::Ready(Some(Err(ClientBodyError::Stalled))),
            Poll::Pending => {
                self.conn.wait_for_body();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What is sent to an upstream.
#[derive(Debug)]
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// Bytes at hand, and the fields behind them.
    Full(Option<Bytes>, Option<Box<HeaderMap>>),
    /// What the client sends, as it comes.
    Stream(ClientBody),
    /// What was read already, then the rest as it comes.
    Chained(Option<Bytes>, ClientBody),
    /// What the gateway makes of it, as it comes.
    Changed(Changed),
    /// One of the above, kept for another reading.
    Kept(Kept),
}

impl RequestBody {
    /// Bytes at hand.
    #[must_use]
    pub fn full(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        if bytes.is_empty() && trailers.is_none() {
            return Self::Empty;
        }
        Self::Full(Some(bytes).filter(|b| !b.is_empty()), trailers.map(Box::new))
    }

    /// Has the body copied, up to `max` bytes, while it is sent. Gives what is at hand; the copy of what still comes
    /// is in the end with the connection ([`Conn::take_copy`]).
    #[must_use]
    pub fn capture(&self, max: u64) -> Option<Bytes> {
        match self {
            Self::Empty => Some(Bytes::new()),
            Self::Full(bytes, _) => Some(bytes.clone().unwrap_or_default()),
            Self::Stream(body) => {
                body.conn.begin_copy(Capture::new(max));
                None
            }
            Self::Chained(first, rest) => {
                let mut copy = Capture::new(max);
                copy.push(first.as_deref().unwrap_or_default());
                rest.conn.begin_copy(copy);
                None
            }
            // Copies are ordered before it is known who may want to send the body again.
            Self::Changed(_) | Self::Kept(_) => None,
        }
    }

    /// It could be sent a second time.
    #[must_use]
    pub fn replay(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Full(bytes, trailers) => Some(Self::Full(bytes.clone(), trailers.clone())),
            Self::Stream(_) | Self::Chained(..) | Self::Changed(_) => None,
            Self::Kept(body) => body.again().map(Self::Kept),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes, trailers) => Poll::Ready(
                bytes
                    .take()
                    .map(Frame::data)
                    .or_else(|| trailers.take().map(|fields| Frame::trailers(*fields)))
                    .map(Ok),
            ),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
            Self::Chained(first, rest) => match first.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => Pin::new(rest).poll_frame(cx),
            },
            Self::Changed(Changed(body)) => body.as_mut().poll_frame(cx),
            Self::Kept(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes, trailers) => bytes.is_none() && trailers.is_none(),
            Self::Stream(body) => body.is_end_stream(),
            Self::Chained(first, rest) => first.is_none() && rest.is_end_stream(),
            Self::Changed(Changed(body)) => body.is_end_stream(),
            Self::Kept(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            // Trailers need the chunked framing.
            Self::Full(_, Some(_)) => SizeHint::new(),
            Self::Full(bytes, None) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(body) => body.size_hint(),
            Self::Chained(first, rest) => {
                let first = first.as_ref().map_or(0, Bytes::len) as u64;
                match rest.size_hint().exact() {
                    Some(rest) => SizeHint::with_exact(first + rest),
                    None => SizeHint::new(),
                }
            }
            Self::Changed(Changed(body)) => body.size_hint(),
            Self::Kept(body) => body.size_hint(),
        }
    }
}
