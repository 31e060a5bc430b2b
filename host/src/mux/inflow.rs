//! What the peer sends on a stream. It refuses to know who reads it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};

use super::is_no_error;

/// A body that comes in on a stream. The peer may send as much more as was taken: what nobody takes fills the stream's
/// window and no more.
#[derive(Debug)]
pub struct Inflow {
    stream: RecvStream,
    /// What is left of the length that the peer announced.
    left: Option<u64>,
    data_ended: bool,
}

impl Inflow {
    /// The body of a message with these fields. Whether it keeps to its Content-Length is checked below.
    #[must_use]
    pub fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let left = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            stream,
            left,
            data_ended: false,
        }
    }
}

impl Body for Inflow {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        while !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only for a stream that has ended, which needs no window.
                    let released = this.stream.flow_control().release_capacity(data.len());
                    if let Err(error) = released {
                        tracing::trace!(%error, "a window was not opened again");
                    }
                    if let Some(left) = &mut this.left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    // An empty DATA frame carries nothing but its flags.
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                // RFC 9113 section 8.1: a server that has answered completely may ask for no more of the request.
                Some(Err(error)) if is_no_error(&error) && this.left.unwrap_or(0) == 0 => {
                    this.data_ended = true;
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.data_ended = true,
            }
        }
        Poll::Ready(match ready!(this.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|fields| Ok(Frame::trailers(fields))),
            Err(error) if is_no_error(&error) => None,
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
