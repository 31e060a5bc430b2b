//! The body of a response on its way to the client. It refuses to know the client and the pipeline.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::filter::Chain;
use crate::net::RequestBody;
use crate::upstream::{Failure, Reply};

/// The body of a response.
#[derive(Debug)]
pub enum Payload {
    /// Bytes at hand.
    Full(Bytes),
    /// What the upstream sends, as it comes.
    Upstream(Reply<RequestBody>),
    /// What was read of it already, then the rest.
    Chained(Bytes, Box<Reply<RequestBody>>),
    /// One of the above, through filters.
    Filtered(Box<Chain<Self>>),
}

/// An empty answer for when there is nothing else.
impl Default for Payload {
    fn default() -> Self {
        Self::Full(Bytes::new())
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut *self {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Chained(first, _) if !first.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(first)))))
            }
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Chained(_, body) => Pin::new(&mut **body).poll_frame(cx),
            Self::Filtered(body) => Pin::new(&mut **body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Chained(first, body) => first.is_empty() && body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Filtered(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Chained(first, body) => match body.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(first.len() as u64 + rest),
                None => SizeHint::new(),
            },
            Self::Upstream(body) => body.size_hint(),
            Self::Filtered(body) => body.size_hint(),
        }
    }
}
