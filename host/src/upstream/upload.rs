//! Sends a request's body while the caller reads the response. It refuses to know what the response is.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;

use super::connection::{Connection, Piece};
use super::failure::{BodyLength, BoxError};
use super::request::Framing;
use crate::message::http1::trailers;
use crate::message::http1::write::push_hex;

/// The buffer out takes pieces until it holds this much.
const GATHERED: usize = 16 * 1024;
/// Pieces up to this size are copied behind the head or the framing; larger ones are written from where they are.
const COPIED: usize = 2 * 1024;
/// How many times one step writes before the response is looked at.
const ROUNDS: usize = 16;

/// The sending half of an exchange.
#[derive(Debug)]
pub(super) struct Upload<B> {
    /// The body, until it has ended.
    body: Option<B>,
    framing: Framing,
    /// Bytes that a body of known length still owes.
    left: u64,
    /// A large piece that is being written.
    piece: Piece,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    Sent,
    /// The upstream takes nothing more.
    Broken,
}

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing more to send.
    Done,
    /// The body has nothing for now.
    AwaitsBody,
    /// The upstream takes nothing for now.
    AwaitsUpstream,
    /// It could go on at once: the response comes first.
    Again,
}

impl<B> Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B) -> Self {
        let framing = match body.size_hint().exact() {
            Some(0) => Framing::None,
            _ if body.is_end_stream() => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let left = if let Framing::Length(length) = framing {
            length
        } else {
            0
        };
        let body = (framing != Framing::None).then_some(body);
        Self {
            body,
            framing,
            left,
            piece: Piece::default(),
            state: State::Sending,
        }
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the whole request was written.
    pub(super) fn is_sent(&self) -> bool {
        self.state == State::Sent
    }

    /// Makes a request without a body, which another connection failed to carry, ready to be sent again.
    pub(super) fn rewind(&mut self) {
        self.state = State::Sending;
    }

    /// Writes what can be written. An error is one of the body, after which the connection must be closed; when
    /// the upstream refuses to take more, that is noted in the connection and the step is done.
    pub(super) fn step(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Result<Step, BoxError> {
        if self.state != State::Sending {
            return Ok(Step::Done);
        }
        for _ in 0..ROUNDS {
            let gathered = self.gather(connection, cx)?;
            match connection.poll_flush(&mut self.piece, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    connection.write_error = Some(error);
                    self.body = None;
                    self.piece = Piece::default();
                    self.state = State::Broken;
                    return Ok(Step::Done);
                }
                Poll::Pending => return Ok(Step::AwaitsUpstream),
            }
            if self.body.is_none() {
                self.state = State::Sent;
                return Ok(Step::Done);
            }
            if gathered.is_pending() {
                return Ok(Step::AwaitsBody);
            }
        }
        Ok(Step::Again)
    }

    /// Moves pieces of the body to the buffer out until it has enough. Pending: the body has nothing for now.
    fn gather(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Result<Poll<()>, BoxError> {
        while self.piece.is_empty() && connection.write.len() < GATHERED {
            let Some(body) = &mut self.body else { break };
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(None) => self.finish(None, connection)?,
                Poll::Ready(Some(Err(error))) => return Err(error.into()),
                Poll::Ready(Some(Ok(frame))) => {
                    let last = body.is_end_stream();
                    match frame.into_data() {
                        Ok(data) => {
                            self.take(data, connection)?;
                            if last {
                                self.finish(None, connection)?;
                            }
                        }
                        Err(frame) => self.finish(frame.trailers_ref(), connection)?,
                    }
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    fn take(&mut self, data: Bytes, connection: &mut Connection) -> Result<(), BodyLength> {
        if data.is_empty() {
            return Ok(());
        }
        let length = data.len() as u64;
        let mut tail: &'static [u8] = b"";
        if self.framing == Framing::Chunked {
            push_hex(&mut connection.write, length);
            connection.write.extend_from_slice(b"\r\n");
            tail = b"\r\n";
        } else {
            self.left = self.left.checked_sub(length).ok_or(BodyLength::Long)?;
        }
        if data.len() <= COPIED {
            connection.write.extend_from_slice(&data);
            connection.write.extend_from_slice(tail);
        } else {
            self.piece = Piece { content: data, tail };
        }
        Ok(())
    }

    /// The body has ended. Trailers are sent only behind chunks.
    fn finish(
        &mut self,
        trailers: Option<&HeaderMap>,
        connection: &mut Connection,
    ) -> Result<(), BodyLength> {
        self.body = None;
        if self.left > 0 {
            return Err(BodyLength::Short { missing: self.left });
        }
        if self.framing != Framing::Chunked {
            return Ok(());
        }
        if self.piece.is_empty() {
            connection.write.extend_from_slice(b"0\r\n");
            if let Some(trailers) = trailers {
                trailers::write(&mut connection.write, trailers);
            }
            connection.write.extend_from_slice(b"\r\n");
        } else {
            self.piece.tail = b"\r\n0\r\n\r\n";
        }
        Ok(())
    }
}
