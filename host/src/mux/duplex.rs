//! A stream of HTTP/2 as a byte stream, for what is tunnelled in it (RFC 9113 section 8.5). It refuses to know what that is.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{is_no_error, room};

/// Both directions of a stream: what is read opens the peer's window again, and what is written has to fit into its own.
/// A shutdown is the end of the stream in one direction. Dropping it before both have ended resets the stream.
#[derive(Debug)]
pub struct Duplex {
    inflow: RecvStream,
    /// Has come and was not read.
    ahead: Bytes,
    outflow: Rc<RefCell<SendStream<Bytes>>>,
}

/// Notices a reset of the stream, whatever is done with its [`Duplex`].
#[derive(Debug)]
pub struct Reset(Rc<RefCell<SendStream<Bytes>>>);

impl Duplex {
    /// The stream with these halves, both of which are open.
    #[must_use]
    pub fn new(inflow: RecvStream, outflow: SendStream<Bytes>) -> (Self, Reset) {
        let outflow = Rc::new(RefCell::new(outflow));
        let reset = Reset(Rc::clone(&outflow));
        let duplex = Self {
            inflow,
            ahead: Bytes::new(),
            outflow,
        };
        (duplex, reset)
    }
}

impl Reset {
    /// Ready when the peer, or the connection's end, has reset the stream.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.0.borrow_mut().poll_reset(cx)
    }
}

impl AsyncRead for Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ahead.is_empty() {
            match ready!(this.inflow.poll_data(cx)) {
                // RFC 9113 section 8.1: a server that has ended its direction may say so that it wants no more of the other.
                Some(Err(error)) if is_no_error(&error) => return Poll::Ready(Ok(())),
                Some(data) => this.ahead = data.map_err(io::Error::other)?,
                None => {
                    // In a tunnel there is nothing but data.
                    let trailers = ready!(this.inflow.poll_trailers(cx)).map_err(io::Error::other)?;
                    return Poll::Ready(match trailers {
                        None => Ok(()),
                        Some(_) => Err(io::ErrorKind::InvalidData.into()),
                    });
                }
            }
        }
        let count = this.ahead.len().min(buf.remaining());
        buf.put_slice(this.ahead.get(..count).unwrap_or_default());
        this.ahead.advance(count);
        let released = this.inflow.flow_control().release_capacity(count);
        if let Err(error) = released {
            // Fails only for a stream that has ended, which needs no window.
            tracing::trace!(%error, "a window was not opened again");
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut stream = self.outflow.borrow_mut();
        let sent = ready!(room::poll(&mut stream, buf.len(), cx)).and_then(|room| {
            let piece = buf.get(..room).unwrap_or(buf);
            stream.send_data(Bytes::copy_from_slice(piece), false)?;
            Ok(piece.len())
        });
        Poll::Ready(match sent {
            // It goes nowhere, and what the peer has sent can still be read.
            Err(_) if is_done(&mut stream, cx) => Ok(buf.len()),
            sent => sent.map_err(io::Error::other),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.outflow.borrow_mut();
        Poll::Ready(match stream.send_data(Bytes::new(), true) {
            Err(_) if is_done(&mut stream, cx) => Ok(()),
            ended => ended.map_err(io::Error::other),
        })
    }
}

/// The peer wants nothing more, and nothing was wrong (RFC 9113 section 8.1).
fn is_done(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> bool {
    matches!(stream.poll_reset(cx), Poll::Ready(Ok(Reason::NO_ERROR)))
}
