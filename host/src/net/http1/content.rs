//! The body of the current request, read from the connection as somebody asks for it. It refuses to know how much may come.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::head::{Framing, Leave, Persistence};
use super::wire::Wire;
use crate::message::http1::chunked::{ChunkError, Decoded, Decoder};

/// What asks a client for its body (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Bounds of a trailer section.
const MAX_TRAILER_BYTES: usize = 16 << 10;
const MAX_TRAILERS: usize = 100;

/// A connection with the state of the current request's body.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) wire: Wire,
    /// Which request this is about: the body of another one reads nothing.
    turn: u64,
    incoming: Incoming,
    asking: Asking,
}

/// Whether the client is to be asked for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// When somebody wants it.
    Due,
    /// The question is on its way.
    Sending,
    /// It was, or there is no need to.
    Over,
}

/// What is left of the current request's body.
#[derive(Debug)]
enum Incoming {
    Length(u64),
    Chunked(Box<Decoder>),
    Ended,
    /// It cannot be read on.
    Broken,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The client left in the middle.
    #[error("the client left before the end of its body")]
    Incomplete,
    /// The chunks are none.
    #[error("{0}")]
    Chunks(&'static str),
    /// The connection has gone on without it.
    #[error("the answer came before the end of the body was read")]
    PassedOver,
}

impl Line {
    pub(super) fn new(wire: Wire) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            wire,
            turn: 0,
            incoming: Incoming::Ended,
            asking: Asking::Over,
        }))
    }

    /// Begins a request; gives its body.
    pub(super) fn begin(line: &Rc<RefCell<Self>>, framing: Framing, leave: Leave) -> Content {
        let mut this = line.borrow_mut();
        this.turn += 1;
        this.asking = match leave {
            Leave::Awaited if framing != Framing::None => Asking::Due,
            Leave::Awaited | Leave::Taken => Asking::Over,
        };
        let (incoming, size) = match framing {
            Framing::None => (Incoming::Ended, SizeHint::with_exact(0)),
            Framing::Length(length) => (Incoming::Length(length), SizeHint::with_exact(length)),
            Framing::Chunked => {
                let decoder = Decoder::new(MAX_TRAILER_BYTES, MAX_TRAILERS);
                (Incoming::Chunked(Box::new(decoder)), SizeHint::new())
            }
        };
        this.incoming = incoming;
        let ended = framing == Framing::None;
        Content {
            line: (!ended).then(|| Rc::clone(line)),
            turn: this.turn,
            size,
        }
    }

    /// The current request has come whole.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.incoming, Incoming::Ended)
    }

    /// The connection goes on, or ends, without what is left of the current request's body: whoever still holds that finds it
    /// gone.
    pub(super) fn pass_over(&mut self) {
        self.turn += 1;
    }

    /// Ready when the client has left: to be asked while the gateway is at work. Nothing is read ahead of a body that nobody
    /// takes, and of what follows it at most one buffer.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_ended() || !self.wire.read.is_empty() {
            return Poll::Pending;
        }
        let seen = self.wire.poll_glance(cx, |wire, bytes| {
            wire.read.extend_from_slice(bytes);
            bytes.is_empty()
        });
        match seen {
            Poll::Ready(Ok(false)) | Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(true) | Err(_)) => Poll::Ready(()),
        }
    }

    /// Reads over what is left of a body that nobody wants, as far as it has come and at most `max` bytes.
    pub(super) fn drain(&mut self, max: usize, cx: &mut Context<'_>) -> Drained {
        self.pass_over();
        let mut left = max;
        loop {
            match self.poll_frame(cx) {
                Poll::Ready(None) => return Drained::Whole,
                Poll::Ready(Some(Ok(frame))) => {
                    let size = frame.data_ref().map_or(0, Bytes::len);
                    match left.checked_sub(size) {
                        Some(rest) => left = rest,
                        None => return Drained::Unread,
                    }
                }
                Poll::Ready(Some(Err(_))) | Poll::Pending => return Drained::Unread,
            }
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentError>>> {
        let step = ready!(self.poll_step(cx));
        Poll::Ready(
            step.transpose()
                .map(|step| step.inspect_err(|_| self.incoming = Incoming::Broken)),
        )
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, ContentError>> {
        loop {
            let expected = match &mut self.incoming {
                Incoming::Ended => return Poll::Ready(Ok(None)),
                Incoming::Broken => return Poll::Ready(Err(ContentError::Incomplete)),
                Incoming::Length(left) => {
                    let here = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(self.wire.read.len());
                    if here > 0 {
                        let data = self.wire.read.split_to(here).freeze();
                        *left -= here as u64;
                        if *left == 0 {
                            self.incoming = Incoming::Ended;
                        }
                        return Poll::Ready(Ok(Some(Frame::data(data))));
                    }
                    *left
                }
                Incoming::Chunked(decoder) => match decoder.decode(&mut self.wire.read)? {
                    Decoded::More => decoder.left_in_chunk(),
                    Decoded::Data(data) => {
                        if decoder.try_end(&mut self.wire.read) {
                            self.incoming = Incoming::Ended;
                        }
                        return Poll::Ready(Ok(Some(Frame::data(data))));
                    }
                    Decoded::Trailers(trailers) => {
                        self.incoming = Incoming::Ended;
                        return Poll::Ready(Ok(Some(Frame::trailers(trailers))));
                    }
                    Decoded::End => {
                        self.incoming = Incoming::Ended;
                        return Poll::Ready(Ok(None));
                    }
                },
            };
            self.ask(cx)?;
            if ready!(self.wire.poll_fill(expected, cx))? == 0 {
                return Poll::Ready(Err(ContentError::Incomplete));
            }
        }
    }
}

impl Line {
    /// Asks the client for its body, if it waits for that. One that has begun to send it needs no leave.
    fn ask(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.asking == Asking::Due {
            self.asking = Asking::Over;
            if self.wire.read.is_empty() && self.wire.takes_more() {
                self.wire.head().extend_from_slice(CONTINUE);
                self.asking = Asking::Sending;
            }
        }
        if self.asking == Asking::Sending
            && let Poll::Ready(sent) = self.wire.poll_flush(cx)
        {
            self.asking = Asking::Over;
            return sent;
        }
        Ok(())
    }

    /// An answer is about to be written: a client that was not asked until now is not asked any more. Whether it sends its
    /// body nevertheless is then known to nobody, and another request cannot follow.
    pub(super) fn withhold_leave(&mut self) -> Persistence {
        match std::mem::replace(&mut self.asking, Asking::Over) {
            Asking::Due if !self.has_ended() => Persistence::Close,
            Asking::Due | Asking::Sending | Asking::Over => Persistence::Keep,
        }
    }
}

impl From<ChunkError> for ContentError {
    fn from(error: ChunkError) -> Self {
        Self::Chunks(error.reason())
    }
}

/// What became of the rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// It was read to its end.
    Whole,
    /// There is more, or nobody knows.
    Unread,
}

/// The body of a request. Dropping it leaves the rest to the connection.
#[derive(Debug)]
pub struct Content {
    /// None where there is nothing to read.
    line: Option<Rc<RefCell<Line>>>,
    turn: u64,
    size: SizeHint,
}

impl Body for Content {
    type Data = Bytes;
    type Error = ContentError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ContentError>>> {
        let Some(line) = &self.line else {
            return Poll::Ready(None);
        };
        let mut this = line.borrow_mut();
        if this.turn != self.turn {
            drop(this);
            self.line = None;
            return Poll::Ready(Some(Err(ContentError::PassedOver)));
        }
        let polled = ready!(this.poll_frame(cx));
        let over = this.has_ended();
        drop(this);
        if let Some(Ok(frame)) = &polled
            && let (Some(data), Some(left)) = (frame.data_ref(), self.size.exact())
        {
            self.size = SizeHint::with_exact(left.saturating_sub(data.len() as u64));
        }
        if over || polled.is_none() {
            self.line = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.line.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.line.is_none() {
            return SizeHint::with_exact(0);
        }
        self.size
    }
}
