//! The byte stream below a connection of HTTP/2, which is read to its end when the peer takes nothing more: what it said
//! last says why it went away. It refuses to know frames.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that outlives the failure of a write.
///
/// The crate `h2` gives a connection up at the first write that fails, and with it what waits to be read: the alert of
/// a server that refuses our certificate (with TLS 1.3 that is after the client's end of the handshake, RFC 8446 section
/// 4.4.2.4), a GOAWAY, an answer. Linux keeps it readable after a reset. So once the peer has closed the connection,
/// what is written is dropped, and the error of the write shows itself where nothing is left to read.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    broken: Option<io::Error>,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, broken: None }
    }

    /// What a write of `length` bytes comes to.
    fn written(&mut self, result: io::Result<usize>, length: usize) -> io::Result<usize> {
        match result {
            Err(error) if is_end(&error) => {
                self.broken = Some(error);
                Ok(length)
            }
            result => result,
        }
    }
}

/// The peer has closed the connection: an end of what it has sent is sure to come, so that reading on does not wait for
/// ever.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let is_end = room > 0 && buf.filled().len() == before;
        Poll::Ready(match this.broken.take_if(|_| is_end) {
            Some(error) => Err(error),
            None => Ok(()),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.broken.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = ready!(Pin::new(&mut this.stream).poll_write(cx, buf));
        Poll::Ready(this.written(result, buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = || bufs.iter().map(|buf| buf.len()).sum();
        if this.broken.is_some() {
            return Poll::Ready(Ok(length()));
        }
        let result = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(this.written(result, length()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        // TLS writes what it still holds.
        let result = ready!(Pin::new(&mut this.stream).poll_flush(cx));
        Poll::Ready(this.written(result.map(|()| 0), 0).map(|_| ()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::upstream::failure::FailureKind;
    use crate::upstream::http2::{Seen, judge};

    /// A stream whose peer takes so many bytes, or a flush, and then closes; what is read comes after that.
    struct Closed {
        takes: usize,
        write: ErrorKind,
        last: fn() -> io::Result<()>,
    }

    impl AsyncRead for Closed {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.takes > 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready((self.last)())
        }
    }

    impl AsyncWrite for Closed {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            if self.takes == 0 {
                return Poll::Ready(Err(self.write.into()));
            }
            let count = self.takes.min(buf.len());
            self.takes -= count;
            Poll::Ready(Ok(count))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.takes = 0;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn refusal() -> io::Result<()> {
        let alert = rustls::AlertDescription::CertificateRequired;
        let error = rustls::Error::AlertReceived(alert);
        Err(io::Error::new(ErrorKind::InvalidData, error))
    }

    /// What a request over HTTP/2 on this stream fails with.
    async fn failure(stream: Closed) -> (FailureKind, Seen) {
        let builder = h2::client::Builder::new();
        let (mut send, connection) = builder.handshake::<_, Bytes>(Wire::new(stream)).await.unwrap();
        let request = Request::get("https://site.example/").body(()).unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        let (response, _) = tokio::join!(response, connection);
        let (fault, seen) = judge(response.unwrap_err(), FailureKind::Reset);
        (fault.kind, seen)
    }

    #[tokio::test]
    async fn a_refusal_of_tls_is_seen_wherever_the_writes_begin_to_fail() {
        for takes in 0..100 {
            for write in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
                let stream = Closed {
                    takes,
                    write,
                    last: refusal,
                };
                let (kind, _) = failure(stream).await;
                assert_eq!(kind, FailureKind::Tls, "{write} after {takes} bytes");
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_without_a_word_is_lost() {
        for takes in [0, 24, 40] {
            let stream = Closed {
                takes,
                write: ErrorKind::ConnectionReset,
                last: || Ok(()),
            };
            assert_eq!(
                failure(stream).await,
                (FailureKind::Reset, Seen::Lost),
                "{takes} bytes"
            );
        }
    }

    #[tokio::test]
    async fn what_the_peer_sent_before_it_closed_is_read_before_the_error_of_the_write() {
        let (near, mut far) = duplex(64);
        far.write_all(b"last words").await.unwrap();
        drop(far);
        let mut wire = Wire::new(near);
        wire.write_all(b"one").await.unwrap();
        wire.write_all(b"two").await.unwrap();
        wire.flush().await.unwrap();
        let mut words = [0; 10];
        wire.read_exact(&mut words).await.unwrap();
        assert_eq!(&words, b"last words");
        let end = wire.read(&mut words).await.unwrap_err();
        assert_eq!(end.kind(), ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn other_errors_of_writes_are_not_waited_for() {
        let mut wire = Wire::new(Closed {
            takes: 0,
            write: ErrorKind::OutOfMemory,
            last: || Ok(()),
        });
        let error = wire.write_all(b"one").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    }
}
