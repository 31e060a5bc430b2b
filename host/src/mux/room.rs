//! Room in the peer's windows for what is to be sent on a stream. It refuses to know what is sent.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};

/// How much of `wanted` bytes may be sent, at least one.
///
/// # Errors
/// When the stream takes no more.
pub(super) fn poll(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, h2::Error>> {
    stream.reserve_capacity(wanted);
    loop {
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        match stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(None) => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
            Poll::Pending => return Poll::Pending,
        }
    }
}
