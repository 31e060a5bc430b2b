//! The bytes of one connection: what was read and not yet taken, and what is to be written. Its driver and the body of the
//! current request share it. An idle connection holds no buffer. It refuses to know what the bytes mean.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::net::Watched;

/// What is read at once as long as nothing tells how much comes.
const USUAL_READ: usize = 8 << 10;
/// The largest read.
const MAX_READ: usize = 64 << 10;
/// Content up to this size is copied behind the head: one plain write costs less than one of several pieces.
const COPIED: usize = 4 << 10;
/// Pieces are gathered into one write up to this many bytes.
const GATHERED: usize = 16 << 10;

thread_local! {
    /// The buffer of the last write that ended: connections that are answered at once need none of their own.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    /// None once the connection carries another protocol.
    stream: Option<Watched>,
    /// What was read and not yet taken.
    pub(super) read: BytesMut,
    /// How much to read at a time while nothing tells.
    read_size: usize,
    /// What is to be written: heads, framing, small pieces of content.
    write: Vec<u8>,
    written: usize,
    /// What is written behind it from where it is.
    piece: Bytes,
    /// Framing behind the piece.
    tail: &'static [u8],
}

impl Wire {
    pub(super) fn new(stream: Watched) -> Self {
        Self {
            stream: Some(stream),
            read: BytesMut::new(),
            read_size: USUAL_READ,
            write: Vec::new(),
            written: 0,
            piece: Bytes::new(),
            tail: b"",
        }
    }

    /// The stream: from here on it is somebody else's.
    pub(super) fn take_stream(&mut self) -> Option<Watched> {
        self.stream.take()
    }

    /// Reads into a space on the stack what has come, and gives it to `take`, which keeps what it needs. No bytes are the
    /// end of the stream.
    pub(super) fn poll_glance<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Self, &[u8]) -> R,
    ) -> Poll<io::Result<R>> {
        let mut space = [MaybeUninit::uninit(); USUAL_READ];
        let mut read = ReadBuf::uninit(&mut space);
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(gone()));
        };
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(take(self, read.filled())))
    }

    /// Reads once into `read`; `expected` is the number of bytes that are known to come, at least. Zero is the end of the
    /// stream. Never reads more than one buffer ahead of what is taken.
    pub(super) fn poll_fill(&mut self, expected: u64, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // One byte more than expected: a read that does not fill the buffer tells the runtime that the socket is drained,
        // and saves a read that finds nothing.
        let expected = usize::try_from(expected)
            .unwrap_or(MAX_READ)
            .saturating_add(1)
            .min(MAX_READ);
        let want = expected.max(self.read_size);
        if self.read.capacity() - self.read.len() < want / 2 {
            self.read.reserve(want);
        }
        let room = self.read.capacity() - self.read.len();
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(gone()));
        };
        let count = ready!(pin!(stream.read_buf(&mut self.read)).poll(cx))?;
        if count == room {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        }
        Poll::Ready(Ok(count))
    }

    /// The buffer that heads and framing are appended to; to be used only where [`Wire::takes_more`].
    pub(super) fn head(&mut self) -> &mut Vec<u8> {
        if self.write.capacity() == 0 {
            self.write = SPARE.take();
        }
        &mut self.write
    }

    /// There is room for another piece.
    pub(super) fn takes_more(&self) -> bool {
        self.piece.is_empty() && self.tail.is_empty() && self.write.len() < GATHERED
    }

    /// Appends content and the framing behind it.
    pub(super) fn push(&mut self, content: Bytes, tail: &'static [u8]) {
        if content.len() <= COPIED {
            let write = self.head();
            write.extend_from_slice(&content);
            write.extend_from_slice(tail);
        } else {
            self.piece = content;
            self.tail = tail;
        }
    }

    /// Appends framing, behind the piece if there is one.
    pub(super) fn push_tail(&mut self, usual: &'static [u8], behind_piece: &'static [u8]) {
        if self.piece.is_empty() && self.tail.is_empty() {
            self.head().extend_from_slice(usual);
        } else {
            self.tail = behind_piece;
        }
    }

    /// Writes until nothing is left to be written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(gone()));
        };
        let mut stream = Pin::new(stream);
        loop {
            let first = self.write.get(self.written..).unwrap_or_default();
            let count = match (first.is_empty(), self.piece.is_empty() && self.tail.is_empty()) {
                (true, true) => break,
                (false, true) => ready!(stream.as_mut().poll_write(cx, first))?,
                _ => {
                    let slices = [first, &self.piece, self.tail].map(IoSlice::new);
                    ready!(stream.as_mut().poll_write_vectored(cx, &slices))?
                }
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_first = count.min(first.len());
            self.written += of_first;
            let of_piece = (count - of_first).min(self.piece.len());
            self.piece.advance(of_piece);
            self.tail = self.tail.get(count - of_first - of_piece..).unwrap_or_default();
        }
        self.written = 0;
        self.piece = Bytes::new();
        let mut write = std::mem::take(&mut self.write);
        if write.capacity() > 0 && write.capacity() <= 2 * GATHERED {
            write.clear();
            SPARE.set(write);
        }
        // TLS may still hold some of it; TCP has nothing to do.
        stream.poll_flush(cx)
    }

    /// Nothing of a body follows: no buffer is kept for it.
    pub(super) fn rest(&mut self) {
        self.read_size = USUAL_READ;
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
    }

    /// Ends the sending side and reads over what the client still sends.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
