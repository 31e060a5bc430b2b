//! One connection to an endpoint: its stream, the buffer in, the buffer out, and the one timer. It refuses to know
//! what the bytes mean.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

use super::stream::Stream;
use super::timer::Timer;

/// The size of the buffer in, and of a read whose length nothing tells.
pub(super) const USUAL_READ: usize = 8 * 1024;
/// The largest read.
pub(super) const MAX_READ: usize = 64 * 1024;
/// An idle connection keeps no buffer out that is larger.
const KEPT_WRITE: usize = 32 * 1024;

/// A connection. It is boxed and moves between the pool and the exchanges.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// What was read and not yet taken.
    pub(super) read: BytesMut,
    /// What is to be written: the head of the request, framing, small pieces of content.
    pub(super) write: Vec<u8>,
    written: usize,
    timer: Timer,
    /// The last progress that was looked at, in either direction.
    activity: Instant,
    /// There was progress since `activity`.
    progressed: bool,
    deadline: Option<Instant>,
    /// How much to read at a time while nothing tells.
    read_size: usize,
    /// The buffer in was made larger than an idle connection keeps.
    grown: bool,
    /// Something was read since `start`.
    pub(super) heard: bool,
    /// Why the upstream takes nothing more, if it does not.
    pub(super) write_error: Option<io::Error>,
    /// The message allows another one after it on this connection.
    pub(super) keep_alive: bool,
    /// When the connection was put into the pool, at most one sweep too early.
    pub(super) idle_since: Instant,
}

/// What is written from where it is, behind the buffer out.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) content: Bytes,
    /// Framing behind the content.
    pub(super) tail: &'static [u8],
}

impl Piece {
    pub(super) fn is_empty(&self) -> bool {
        self.content.is_empty() && self.tail.is_empty()
    }

    fn advance(&mut self, count: usize) {
        let of_content = count.min(self.content.len());
        self.content.advance(of_content);
        self.tail = self.tail.get(count - of_content..).unwrap_or_default();
    }
}

/// Which time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    Deadline,
    Timeout,
}

impl Connection {
    pub(super) fn new(stream: Stream, now: Instant) -> Box<Self> {
        Box::new(Self {
            stream,
            read: BytesMut::with_capacity(USUAL_READ),
            write: Vec::with_capacity(1024),
            written: 0,
            timer: Timer::default(),
            activity: now,
            progressed: true,
            deadline: None,
            read_size: USUAL_READ,
            grown: false,
            heard: false,
            write_error: None,
            keep_alive: false,
            idle_since: now,
        })
    }

    /// The stream and what was read ahead: the connection is one of HTTP no more.
    pub(super) fn into_stream(self) -> (Stream, BytesMut) {
        (self.stream, self.read)
    }

    /// Makes the connection ready for an exchange.
    pub(super) fn start(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.progressed = true;
        self.heard = false;
        self.keep_alive = false;
        self.read_size = USUAL_READ;
        self.write.clear();
        self.written = 0;
        if !self.read.try_reclaim(USUAL_READ) && self.read.capacity() < USUAL_READ / 2 {
            self.read.reserve(USUAL_READ);
        }
    }

    /// The exchange may go on until another time.
    pub(super) fn extend(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Makes the connection ready for the pool: it keeps only small buffers.
    pub(super) fn park(&mut self, now: Instant) {
        self.idle_since = now;
        if self.grown {
            self.read = BytesMut::new();
            self.grown = false;
        }
        if self.write.capacity() > KEPT_WRITE {
            self.write = Vec::new();
        }
    }

    /// Whether an idle connection may still be used, as far as the runtime knows.
    pub(super) fn seems_idle(&mut self) -> bool {
        self.stream.seems_idle()
    }

    /// Whether an idle connection may still be used, as the kernel knows: one system call.
    pub(super) fn is_idle(&mut self) -> bool {
        self.stream.is_idle()
    }

    /// Counts what just happened as progress, for the timeouts.
    pub(super) fn touch(&mut self) {
        self.progressed = true;
    }

    /// Reads once into `self.read`; `expected` is the number of bytes that are known to come, at least. Zero is
    /// the end of the stream. Never reads more than one buffer ahead of what is taken. Whether it is progress is
    /// for the caller to say.
    pub(super) fn poll_fill(&mut self, expected: u64, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // One byte more than expected: a read that does not fill the buffer tells the runtime that the socket is
        // drained, and saves a read that finds nothing.
        let expected = usize::try_from(expected)
            .unwrap_or(MAX_READ)
            .saturating_add(1)
            .min(MAX_READ);
        let want = expected.max(self.read_size);
        if self.read.capacity() - self.read.len() < want / 2 {
            self.read.reserve(want);
            self.grown |= want > USUAL_READ;
        }
        let room = self.read.capacity() - self.read.len();
        let count = ready!(pin!(self.stream.read_buf(&mut self.read)).poll(cx))?;
        if count == room {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        }
        self.heard |= count > 0;
        Poll::Ready(Ok(count))
    }

    /// Writes `self.write`, then `piece`, until nothing is left of them.
    pub(super) fn poll_flush(&mut self, piece: &mut Piece, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let first = self.write.get(self.written..).unwrap_or_default();
            let stream = Pin::new(&mut self.stream);
            let count = match (
                first.is_empty(),
                piece.content.is_empty() && piece.tail.is_empty(),
            ) {
                (true, true) => {
                    self.write.clear();
                    self.written = 0;
                    // TLS may still hold some of it; TCP has nothing to do.
                    return stream.poll_flush(cx);
                }
                (false, true) => ready!(stream.poll_write(cx, first))?,
                _ => {
                    let slices = [first, &piece.content, piece.tail].map(IoSlice::new);
                    ready!(stream.poll_write_vectored(cx, &slices))?
                }
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_first = count.min(first.len());
            self.written += of_first;
            piece.advance(count - of_first);
            self.progressed = true;
        }
    }

    /// Ready when nothing has happened for `timeout`, or the deadline has passed. To be called last, when the task
    /// is about to wait: it looks at the clock.
    pub(super) fn poll_expired(&mut self, timeout: Duration, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.progressed {
            self.activity = Instant::now();
            self.progressed = false;
        }
        let quiet = self.activity.checked_add(timeout);
        let (due, expired) = match (quiet, self.deadline) {
            (Some(quiet), Some(deadline)) if quiet < deadline => (quiet, Expired::Timeout),
            (_, Some(deadline)) => (deadline, Expired::Deadline),
            (Some(quiet), None) => (quiet, Expired::Timeout),
            (None, None) => return Poll::Pending,
        };
        self.timer.poll_until(due, cx).map(|()| expired)
    }

    /// Whether the deadline has passed. Looks at the clock only if there is one.
    pub(super) fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn pair(capacity: usize) -> (Box<Connection>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(capacity);
        (Connection::new(Stream::Memory(near), Instant::now()), far)
    }

    #[tokio::test]
    async fn flush_writes_head_and_piece_in_order_through_a_narrow_pipe() {
        let (mut connection, mut far) = pair(3);
        connection.write.extend_from_slice(b"head:");
        let mut piece = Piece {
            content: Bytes::from_static(b"0123456789"),
            tail: b":tail",
        };
        let mut got = [0; 20];
        let (sent, read) = tokio::join!(
            poll_fn(|cx| connection.poll_flush(&mut piece, cx)),
            far.read_exact(&mut got)
        );
        sent.unwrap();
        read.unwrap();
        assert_eq!(&got, b"head:0123456789:tail");
        assert!(connection.write.is_empty());
    }

    #[tokio::test]
    async fn a_read_stays_within_one_buffer_and_an_idle_connection_keeps_a_small_one() {
        let (mut connection, mut far) = pair(1 << 20);
        far.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
        let mut left = 1 << 20;
        while left > 0 {
            let count = poll_fn(|cx| connection.poll_fill(left as u64, cx)).await.unwrap();
            assert!(count <= 2 * MAX_READ, "{count}");
            left -= count;
            connection.read.clear();
        }
        connection.park(Instant::now());
        connection.start(None);
        assert!(connection.read.capacity() <= 2 * USUAL_READ);
    }
}
