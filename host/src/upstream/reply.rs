//! The body of a response, whichever protocol the upstream speaks. It refuses to know either.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use super::body::ResponseBody;
use super::care::Pass;
use super::failure::{BoxError, Failure};
use super::http2::Http2Body;
use super::shared::Outcome;
use super::upgraded::Upgraded;

/// The body of a response. `B` is the request body, which may still be on its way.
#[derive(Debug)]
pub enum Reply<B> {
    /// Over HTTP/1.1.
    Http1(ResponseBody<B>),
    /// Over HTTP/2; boxed, for it is moved from hand to hand before it is read.
    Http2(Box<Http2Body>),
}

impl<B> Reply<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The endpoint that answered, as `host:port`.
    pub fn endpoint(&self) -> &Arc<str> {
        match self {
            Self::Http1(body) => body.endpoint(),
            Self::Http2(body) => body.endpoint(),
        }
    }

    /// Keeps the permission for the exchange as long as the upstream is at it, and tells it how the exchange goes: by
    /// `status`, or as the body knows better.
    pub(super) fn hold(&mut self, mut pass: Pass, status: StatusCode) {
        match self {
            Self::Http1(body) => {
                pass.heard(Outcome::Answered(status));
                body.hold(pass);
            }
            Self::Http2(body) => body.hold(pass),
        }
    }

    /// The connection of a response that goes over to another protocol, or the stream that has become a tunnel.
    pub fn take_upgraded(&mut self) -> Option<Upgraded> {
        match self {
            Self::Http1(body) => body.take_upgraded(),
            Self::Http2(body) => body.take_tunnel().map(Upgraded::tunnel),
        }
    }
}

impl<B> Body for Reply<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => Pin::new(&mut **body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
