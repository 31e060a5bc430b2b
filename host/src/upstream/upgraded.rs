//! A connection that has gone over to another protocol, or a stream of HTTP/2 that has: no more than a byte stream. It
//! refuses to know HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::Tunnel;
use super::pool::{Lease, Ticket};
use super::stream::Stream;

/// An upstream's side of a tunnel, after its 101 (RFC 9110 section 15.2.2) or its success to an extended CONNECT (RFC 8441).
/// It counts as an exchange in flight until it is dropped, which closes it.
#[derive(Debug)]
pub struct Upgraded(Wire);

#[derive(Debug)]
enum Wire {
    Connection(Connection),
    Tunnel(Tunnel),
}

/// A whole connection.
#[derive(Debug)]
struct Connection {
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
        Self(Wire::Connection(Connection {
            protocol,
            ahead,
            stream,
            _ticket: ticket,
        }))
    }

    pub(super) fn tunnel(tunnel: Tunnel) -> Self {
        Self(Wire::Tunnel(tunnel))
    }

    /// What the upstream named in `Upgrade`, or took in `:protocol`.
    #[must_use]
    pub fn protocol(&self) -> &HeaderValue {
        match &self.0 {
            Wire::Connection(connection) => &connection.protocol,
            Wire::Tunnel(tunnel) => tunnel.protocol(),
        }
    }
}

impl Connection {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Wire::Connection(connection) => connection.poll_read(cx, buf),
            Wire::Tunnel(tunnel) => Pin::new(tunnel.duplex()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Wire::Connection(connection) => Pin::new(&mut connection.stream).poll_write(cx, buf),
            Wire::Tunnel(tunnel) => Pin::new(tunnel.duplex()).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Wire::Connection(connection) => Pin::new(&mut connection.stream).poll_flush(cx),
            Wire::Tunnel(tunnel) => Pin::new(tunnel.duplex()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Wire::Connection(connection) => Pin::new(&mut connection.stream).poll_shutdown(cx),
            Wire::Tunnel(tunnel) => Pin::new(tunnel.duplex()).poll_shutdown(cx),
        }
    }
}
