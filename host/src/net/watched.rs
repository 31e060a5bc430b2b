//! A client's stream: it keeps the state of its connection up to date, and is read to its end where an answer would be lost
//! otherwise. It refuses to know requests.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::protocol::{Choice, Protocol, Spoken, choose};
use super::{ClientStream, Conn, Phase};

/// Reads between two turns of other connections.
const LINGER_READS: usize = 64;

/// What is read at once of the beginning of a connection.
const OPENING: usize = 4 << 10;

/// A client's stream that keeps its [`Conn`] up to date.
#[derive(Debug)]
pub struct Watched {
    stream: ClientStream,
    conn: Rc<Conn>,
    blocked: Option<Phase>,
    /// The sending side has ended, and the client is read to its end.
    lingers: bool,
    /// What was read to learn the protocol, until its parser takes it.
    early: Bytes,
}

impl Watched {
    /// Watches `stream`.
    #[must_use]
    pub fn new(stream: ClientStream, conn: Rc<Conn>) -> Self {
        Self {
            stream,
            conn,
            blocked: None,
            lingers: false,
            early: Bytes::new(),
        }
    }

    /// Reads until it is known which protocol the connection speaks; what was read is still there for its parser.
    /// `negotiated` is what TLS agreed on, if there is TLS. None: the client left before it said so.
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_protocol(
        &mut self,
        spoken: Spoken,
        negotiated: Option<&[u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Protocol>>> {
        loop {
            if let Choice::Made(protocol) = choose(spoken, negotiated, &self.early) {
                return Poll::Ready(Ok(Some(protocol)));
            }
            let mut room = [MaybeUninit::uninit(); OPENING];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(None));
            }
            self.early = if self.early.is_empty() {
                Bytes::copy_from_slice(read.filled())
            } else {
                [&*self.early, read.filled()].concat().into()
            };
        }
    }

    /// What it keeps up to date.
    #[must_use]
    pub fn conn(&self) -> &Rc<Conn> {
        &self.conn
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match (&result, self.blocked) {
            (Poll::Pending, None) if self.conn.phase() != Phase::Tunnel => {
                self.blocked = Some(self.conn.phase());
                self.conn.enter(Phase::Writing);
            }
            (Poll::Ready(_), Some(before)) => {
                self.blocked = None;
                if self.conn.phase() == Phase::Writing {
                    self.conn.enter(before);
                }
            }
            _ => {}
        }
        result
    }

    /// Reads over what the client is still sending behind the last answer: closed with unread bytes, the connection would
    /// be reset, and the answer perhaps be lost with it (RFC 9112 section 9.6). Ready when the client has ended, or at once
    /// when nothing is owed; one that goes on has as long as for a head.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [MaybeUninit::uninit(); 4 << 10];
        for _ in 0..LINGER_READS {
            let mut unread = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut unread) {
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => self.linger(),
                Poll::Pending if self.conn.is_draining() => return Poll::Ready(()),
                Poll::Pending if self.conn.is_unread() => {
                    self.linger();
                    return Poll::Pending;
                }
                Poll::Pending if self.lingers => return Poll::Pending,
                Poll::Ready(_) | Poll::Pending => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn linger(&mut self) {
        if !std::mem::replace(&mut self.lingers, true) {
            self.conn.enter(Phase::Head);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.lingers {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }
}
