//! A client's stream: it keeps the state of its connection up to date, and what the parser answers by itself it sends in
//! the form of the gateway's errors. It refuses to know requests.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::protocol::{Choice, Protocol, Spoken, choose};
use super::{ClientStream, Conn, Phase, unparsed};

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
    /// What is sent in place of what the parser wrote.
    own: Bytes,
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
            own: Bytes::new(),
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

    /// Takes the parser's own answer out of what is written; true when `bytes` are one.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if !self.conn.is_between_requests() {
            return false;
        }
        let Some((unparsed, answer)) = unparsed::answer(bytes) else {
            return false;
        };
        self.conn.refuse(unparsed);
        self.own = answer;
        true
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

    /// Writes what stands in for the parser's answer.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.own.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.own);
            match ready!(self.wrote(written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.own.advance(count),
            }
        }
        Poll::Ready(Ok(()))
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
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.conn.phase() == Phase::Idle && result.is_ready() && buf.filled().len() > before {
            self.conn.enter(Phase::Head);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_own(cx))?;
        if self.replaces(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_own(cx))?;
        if let [only] = bufs
            && self.replaces(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(cx))?;
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        if result.is_ready() {
            self.conn.flushed();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(cx))?;
        if !self.lingers {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }
}
