//! A body on its way to the peer. It refuses to know where the body comes from.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

use super::room;

/// Sends a body on a stream. Nothing is handed to the connection that the peer's window has no room for, so a peer that
/// does not read holds one piece of the body and nothing behind it.
#[derive(Debug)]
pub struct Outflow<B> {
    stream: SendStream<Bytes>,
    /// The body, until it has ended.
    body: Option<B>,
    /// What was taken from the body and not yet sent.
    piece: Bytes,
    /// Bytes that were handed to the connection.
    taken: u64,
    waits: Waits,
}

/// What a body on its way waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// More of the body.
    Body,
    /// Room in the windows of the peer, or on the connection.
    Peer,
}

/// Why a body was not sent to its end.
#[derive(Debug)]
pub enum OutflowError<E> {
    /// The body failed. The stream is still open: [`Outflow::reset`] ends it.
    Body(E),
    /// The peer wants nothing more of it.
    Reset(Reason),
    /// The stream or its connection broke.
    Stream(h2::Error),
}

impl<E> From<h2::Error> for OutflowError<E> {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason),
            _ => Self::Stream(error),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Outflow<B> {
    /// Sends `body` on `stream`, whose head was sent without the end of the stream.
    #[must_use]
    pub fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self {
            stream,
            body: Some(body),
            piece: Bytes::new(),
            taken: 0,
            waits: Waits::Body,
        }
    }

    /// What it waited for when it was polled last.
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.waits
    }

    /// Bytes of the body that the peer had room for.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Ends the stream before the body has ended.
    pub fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Sends what can be sent; ready when the body was sent to its end.
    ///
    /// # Errors
    /// [`OutflowError`]; it is not polled again then.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OutflowError<B::Error>>> {
        loop {
            if !self.piece.is_empty() {
                match room::poll(&mut self.stream, self.piece.len(), cx) {
                    Poll::Ready(Ok(room)) => self.send(room)?,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Pending => {
                        self.waits = Waits::Peer;
                        return Poll::Pending;
                    }
                }
                continue;
            }
            let Some(body) = &mut self.body else {
                return Poll::Ready(Ok(()));
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {
                        if self.ends() {
                            self.finish()?;
                        }
                    }
                    Ok(data) => self.piece = data,
                    Err(frame) => {
                        // There is no third kind of frame.
                        if let Ok(trailers) = frame.into_trailers() {
                            self.body = None;
                            self.stream.send_trailers(trailers)?;
                        }
                    }
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(OutflowError::Body(error))),
                Poll::Ready(None) => self.finish()?,
                Poll::Pending => {
                    self.waits = Waits::Body;
                    return match self.stream.poll_reset(cx) {
                        Poll::Ready(Ok(reason)) => Poll::Ready(Err(OutflowError::Reset(reason))),
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Sends `room` bytes of the piece.
    fn send(&mut self, room: usize) -> Result<(), h2::Error> {
        self.taken += room.min(self.piece.len()) as u64;
        if room < self.piece.len() {
            let part = self.piece.split_to(room);
            return self.stream.send_data(part, false);
        }
        let ends = self.ends();
        let piece = std::mem::take(&mut self.piece);
        self.stream.send_data(piece, ends)?;
        if ends {
            self.body = None;
        }
        Ok(())
    }

    /// Ends the stream behind what was sent.
    fn finish(&mut self) -> Result<(), h2::Error> {
        self.body = None;
        self.stream.send_data(Bytes::new(), true)
    }

    /// Whether nothing comes behind what was taken from the body.
    fn ends(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}
