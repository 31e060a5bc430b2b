//! A connection that has gone over to another protocol: no more than a byte stream. It refuses to know HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pool::{Lease, Ticket};
use super::stream::Stream;

/// An upstream's connection after its 101 (RFC 9110 section 15.2.2). It counts as an exchange in flight until it is
/// dropped, which closes it.
#[derive(Debug)]
pub struct Upgraded {
    protocol: HeaderValue,
    /// Came right behind the head.
    ahead: BytesMut,
    stream: Stream,
    _ticket: Ticket,
}

impl Upgraded {
    pub(super) fn new(lease: Lease, protocol: HeaderValue) -> Self {
        let (connection, ticket) = lease.give_up();
        let (stream, mut ahead) = connection.into_stream();
        if ahead.is_empty() {
            // Not even its memory is needed.
            ahead = BytesMut::new();
        }
        Self {
            protocol,
            ahead,
            stream,
            _ticket: ticket,
        }
    }

    /// What the upstream named in `Upgrade`.
    #[must_use]
    pub fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(self.ahead.get(..count).unwrap_or_default());
        self.ahead.advance(count);
        if self.ahead.is_empty() {
            // Its memory is not needed any more.
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
