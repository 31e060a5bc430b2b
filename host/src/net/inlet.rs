//! The body of a request as it comes in, whichever protocol the client speaks. It refuses to know how much may come.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::http1::Content;
use crate::mux::Inflow;

/// A request's body as the client's connection gives it.
#[derive(Debug)]
pub enum Inlet {
    /// Of a connection that speaks HTTP/1.1.
    Http1(Content),
    /// Of a stream of one that speaks HTTP/2.
    Http2(Inflow),
    /// Of a request that has none, for what comes behind its head is tunnelled.
    Tunnelled,
}

impl Body for Inlet {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Tunnelled => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Tunnelled => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Tunnelled => SizeHint::with_exact(0),
        }
    }
}
