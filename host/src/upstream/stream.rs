//! The byte stream below a connection. It refuses to know HTTP.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A byte stream to an endpoint.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    /// A stream without sockets: the only kind whose time can be paused.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

impl Stream {
    /// Whether an idle stream may still be used, as far as the runtime knows. Asks the kernel only if the runtime
    /// has seen an event that was not followed up.
    pub(super) fn seems_idle(&self) -> bool {
        match self {
            Self::Tcp(tcp) => is_would_block(&tcp.try_read(&mut [0])),
            #[cfg(test)]
            Self::Memory(_) => true,
        }
    }

    /// Whether an idle stream is open and has nothing to read, as the kernel knows: one system call.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Tcp(tcp) => is_would_block(&socket2::SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()])),
            #[cfg(test)]
            Self::Memory(_) => true,
        }
    }
}

fn is_would_block(result: &io::Result<usize>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            #[cfg(test)]
            Self::Memory(memory) => memory.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_shutdown(cx),
        }
    }
}
