//! The body of a response that comes over HTTP/2, and the rest of its request, which goes its own way: either may wait
//! for the client or the upstream while the other moves. It refuses to know how the response began.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;

use super::link::Use;
use super::patience::Patience;
use super::tunnel::Tunnel;
use super::{is_over, judge, judgement};
use crate::message::http1::trailers;
use crate::mux::{Inflow, Outflow, OutflowError};
use crate::upstream::care::Pass;
use crate::upstream::failure::{BoxError, Failure, FailureKind, Fault, RetrySafety};
use crate::upstream::shared::Outcome;

/// The body of a response. Dropping it before its end resets the stream; the connection stays.
#[derive(Debug)]
pub struct Http2Body {
    endpoint: Arc<str>,
    /// How the exchange went; none as long as the end has yet to say it.
    outcome: Option<Outcome>,
    rest: Option<Rest>,
    tunnel: Option<Tunnel>,
}

#[derive(Debug)]
struct Rest {
    used: Use,
    inflow: Inflow,
    upload: Option<Upload>,
    patience: Patience,
}

/// A request's body that is still being sent.
#[derive(Debug)]
struct Upload {
    task: AbortHandle,
    shared: Rc<RefCell<Shared>>,
}

/// What the two halves of an exchange tell each other.
#[derive(Debug, Default)]
struct Shared {
    fault: Option<Fault>,
    reader: Option<Waker>,
}

impl Http2Body {
    /// `outcome` is what the head says of it, if it says that.
    pub(super) fn new<B>(
        used: Use,
        outcome: Option<Outcome>,
        inflow: Inflow,
        upload: Option<Outflow<B>>,
        patience: Patience,
    ) -> Self
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Self {
            endpoint: Arc::clone(&used.slot().label),
            outcome,
            rest: None,
            tunnel: None,
        };
        let ended = inflow.is_end_stream();
        let rest = Rest {
            used,
            inflow,
            upload: upload.filter(|_| !ended).map(Upload::spawn),
            patience,
        };
        body.rest = Some(rest);
        if ended {
            body.end(None);
        }
        body
    }

    /// An answer without a body, behind which there is a tunnel.
    pub(super) fn tunnel(outcome: Option<Outcome>, tunnel: Tunnel, endpoint: &Arc<str>) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            outcome,
            rest: None,
            tunnel: Some(tunnel),
        }
    }

    /// The tunnel that was opened. Left there it is dropped with the body.
    pub(in crate::upstream) fn take_tunnel(&mut self) -> Option<Tunnel> {
        self.tunnel.take()
    }

    /// The endpoint that answered, as `host:port`.
    pub(in crate::upstream) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// Keeps the permission for the exchange as long as the upstream is at it, and tells it how the exchange goes.
    pub(in crate::upstream) fn hold(&mut self, mut pass: Pass) {
        match self.outcome {
            Some(outcome) => pass.heard(outcome),
            None => pass.head_came(),
        }
        match (&mut self.rest, &mut self.tunnel) {
            (Some(rest), _) => rest.used.hold(pass),
            (None, Some(tunnel)) => tunnel.hold(pass),
            (None, None) => {}
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(mut rest) = self.rest.take() {
            if self.outcome.is_none() {
                let outcome = judgement::of_end(trailers);
                self.outcome = Some(outcome);
                rest.used.heard(outcome);
            }
            let timer = rest.patience.into_timer();
            rest.used.slot().links.keep_timer(timer);
        }
    }

    fn fail(&mut self, fault: Fault) -> Failure {
        let endpoint = self.rest.take().map(|mut rest| {
            rest.used.heard(Outcome::Failed(fault.kind));
            let slot = rest.used.slot();
            if fault.kind.is_upstreams() {
                slot.count_failure();
            }
            if fault.kind == FailureKind::IdleTimeout {
                rest.used.spoil();
            }
            slot.label.clone()
        });
        fault.at(RetrySafety::Unsafe, endpoint)
    }
}

impl Rest {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Fault>> {
        let polled = Pin::new(&mut self.inflow).poll_frame(cx);
        if let Some(fault) = self.upload.as_ref().and_then(Upload::fault) {
            return Poll::Ready(Err(fault));
        }
        match polled {
            Poll::Ready(frame) => {
                self.patience.touch();
                if frame.is_some() && is_over(self.patience.deadline()) {
                    return Poll::Ready(Err(FailureKind::Deadline.into()));
                }
                let frame = frame.transpose();
                Poll::Ready(frame.map_err(|error| judge(error, FailureKind::Truncated).0))
            }
            Poll::Pending => {
                if let Some(upload) = &self.upload {
                    upload.read_by(cx.waker());
                }
                let timeout = self.used.slot().settings.idle_timeout;
                let kind = ready!(self.patience.poll_over(timeout, FailureKind::IdleTimeout, cx));
                Poll::Ready(Err(kind.into()))
            }
        }
    }
}

impl Upload {
    fn spawn<B>(mut outflow: Outflow<B>) -> Self
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let other = Rc::clone(&shared);
        let task = tokio::task::spawn_local(async move {
            // What ends the stream is seen by who reads the response; only the body's own failure is not.
            if let Err(OutflowError::Body(error)) = poll_fn(|cx| outflow.poll(cx)).await {
                outflow.reset(Reason::CANCEL);
                let mut shared = other.borrow_mut();
                shared.fault = Some(Fault::with(FailureKind::RequestBody, error));
                if let Some(reader) = shared.reader.take() {
                    reader.wake();
                }
            }
        });
        Self {
            task: task.abort_handle(),
            shared,
        }
    }

    fn fault(&self) -> Option<Fault> {
        self.shared.borrow_mut().fault.take()
    }

    fn read_by(&self, waker: &Waker) {
        let reader = &mut self.shared.borrow_mut().reader;
        if !reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            *reader = Some(waker.clone());
        }
    }
}

/// The response is over, or nobody wants it.
impl Drop for Upload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        Poll::Ready(match ready!(rest.poll_frame(cx)) {
            Ok(Some(frame)) => {
                if frame.is_trailers() || rest.inflow.is_end_stream() {
                    this.end(frame.trailers_ref());
                }
                Some(Ok(trailers::cleaned(frame)))
            }
            Ok(None) => {
                this.end(None);
                None
            }
            Err(fault) => Some(Err(this.fail(fault))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(0),
            Some(rest) => rest.inflow.size_hint(),
        }
    }
}
