//! A response on its way: its head, then its body as it comes, and what the connection can do behind it. It refuses to know
//! how either is written.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response;
use http_body::Body;

use super::content::{Drained, Line};
use super::head::{Manner, Persistence};
use super::reply::{self, Ended, Sending, Size, Unfit};
use crate::net::Conn;

/// Bytes of a body that nobody wants which are read over, so that another request may follow.
const DRAINED: usize = 64 << 10;

/// A response on its way.
pub(super) struct Sender {
    sending: Sending,
    /// Whether another request may follow.
    pub(super) persistence: Persistence,
    rest: Rest,
    /// The body was waited for.
    waits: bool,
}

/// What is left of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Body,
    Nothing,
}

impl Sender {
    /// Writes the head.
    pub(super) fn begin(
        line: &mut Line,
        head: &response::Parts,
        body: &impl Body,
        asked: Manner,
        conn: &Conn,
    ) -> Result<Self, Unfit> {
        if head.status.is_informational() {
            return Err(Unfit::Interim);
        }
        let size = match body.size_hint().exact() {
            Some(length) => Size::Known(length),
            None if body.is_end_stream() => Size::Known(0),
            None => Size::Unknown,
        };
        let persistence = match (line.withhold_leave(), conn.is_draining()) {
            (Persistence::Keep, false) => asked.persistence,
            _ => Persistence::Close,
        };
        let asked = Manner { persistence, ..asked };
        let (sending, persistence) = reply::write(head, size, asked, line.wire.head());
        let rest = if sending == Sending::Nothing || body.is_end_stream() {
            sending.finish(None, &mut line.wire)?;
            Rest::Nothing
        } else {
            Rest::Body
        };
        Ok(Self {
            sending,
            persistence,
            rest,
            waits: false,
        })
    }

    /// Writes the body as it comes: what there is is on its way before more is waited for.
    pub(super) fn poll<B>(
        &mut self,
        line: &RefCell<Line>,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Box<dyn Error + Send + Sync>>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if self.waits {
            // Before more is taken: what comes now would be read for nobody.
            still_there(&mut line.borrow_mut(), cx)?;
            self.waits = false;
        }
        loop {
            // The body may read the request's, and so the same connection.
            let gathered = self.gather(line, body.as_mut(), cx);
            let mut line = line.borrow_mut();
            let flushed = line.wire.poll_flush(cx);
            // One that has broken off ends the connection before its own end, so that it cannot be taken for whole.
            let gathered = gathered?;
            ready!(flushed)?;
            if self.rest == Rest::Nothing {
                self.end(&mut line, cx);
                return Poll::Ready(Ok(()));
            }
            if gathered.is_pending() {
                still_there(&mut line, cx)?;
                self.waits = true;
                return Poll::Pending;
            }
        }
    }

    /// Takes pieces of the body until there are enough for a write. Pending: the next one has not come.
    fn gather<B>(
        &mut self,
        line: &RefCell<Line>,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Box<dyn Error + Send + Sync>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        while self.rest == Rest::Body && line.borrow().wire.takes_more() {
            let frame = match body.as_mut().poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(frame) => frame.transpose().map_err(Into::into)?,
            };
            let wire = &mut line.borrow_mut().wire;
            let ended = match frame {
                Some(frame) => self.sending.push(frame, wire)?,
                None => {
                    self.sending.finish(None, wire)?;
                    Ended::Body
                }
            };
            if ended == Ended::Body {
                self.rest = Rest::Nothing;
            } else if body.is_end_stream() {
                self.sending.finish(None, wire)?;
                self.rest = Rest::Nothing;
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Everything is written: what is left of the request is in the way of the next one.
    fn end(&mut self, line: &mut Line, cx: &mut Context<'_>) {
        if self.persistence == Persistence::Keep
            && !line.has_ended()
            && line.drain(DRAINED, cx) == Drained::Unread
        {
            self.persistence = Persistence::Close;
        }
        line.wire.rest();
    }
}

/// An error when the client has left; otherwise the task is woken when it does.
fn still_there(line: &mut Line, cx: &mut Context<'_>) -> io::Result<()> {
    match line.poll_gone(cx) {
        Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
        Poll::Pending => Ok(()),
    }
}
