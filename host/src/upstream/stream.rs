//! The byte stream below a connection. It refuses to know HTTP.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Most reads of what has come to an idle connection with TLS.
const MAX_QUIET_READS: usize = 16;

/// A byte stream to an endpoint.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A stream without sockets: the only kind whose time can be paused.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

impl Stream {
    /// Whether an idle stream may still be used, as far as the runtime knows. Asks the kernel only if the runtime
    /// has seen an event that was not followed up.
    pub(super) fn seems_idle(&mut self) -> bool {
        match self {
            Self::Tcp(tcp) => is_would_block(&tcp.try_read(&mut [0])),
            Self::Tls(tls) => is_quiet(tls, TcpStream::try_read),
            #[cfg(test)]
            Self::Memory(_) => true,
        }
    }

    /// Whether an idle stream is open and has nothing to read, as the kernel knows: one system call.
    pub(super) fn is_idle(&mut self) -> bool {
        match self {
            Self::Tcp(tcp) => {
                is_would_block(&socket2::SockRef::from(&*tcp).peek(&mut [MaybeUninit::uninit()]))
            }
            Self::Tls(tls) => is_quiet(tls, |tcp, bytes| (&*socket2::SockRef::from(tcp)).read(bytes)),
            #[cfg(test)]
            Self::Memory(_) => true,
        }
    }
}

/// Whether TLS has nothing for HTTP and is open. What is for TLS alone, such as a ticket (RFC 8446 section 4.6), is
/// taken; `read` gives what has come.
fn is_quiet(
    tls: &mut TlsStream<TcpStream>,
    read: impl Fn(&TcpStream, &mut [u8]) -> io::Result<usize>,
) -> bool {
    let (tcp, session) = tls.get_mut();
    // Each turn takes bytes from the system; a peer that never stops sending tickets is not waited for.
    for _ in 0..MAX_QUIET_READS {
        let mut input = Waiting { tcp, read: &read };
        match session.read_tls(&mut input) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
        match session.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
            _ => return false,
        }
    }
    false
}

/// What has come to a socket.
struct Waiting<'a, R> {
    tcp: &'a TcpStream,
    read: &'a R,
}

impl<R: Fn(&TcpStream, &mut [u8]) -> io::Result<usize>> Read for Waiting<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (self.read)(self.tcp, bytes)
    }
}

fn is_would_block(result: &io::Result<usize>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
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
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
            #[cfg(test)]
            Self::Memory(memory) => memory.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            #[cfg(test)]
            Self::Memory(memory) => Pin::new(memory).poll_shutdown(cx),
        }
    }
}
