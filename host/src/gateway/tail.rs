//! A response's body on its way to the client: counted, copied for those who asked, and the end of its exchange. It
//! refuses to know what was answered.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::ending::Ending;
use crate::exchange::{CaptureOrder, Side, WhenClientLeaves};
use crate::message::capture::Capture;
use crate::pipeline::Payload;
use crate::upstream::Failure;

/// A response's body; the exchange ends with it.
#[derive(Debug)]
pub(super) struct Tail {
    payload: Payload,
    ending: Option<Box<Ending>>,
    copy: Option<Box<Copying>>,
}

/// A copy that is being made.
#[derive(Debug)]
struct Copying {
    capture: Capture,
    when_client_leaves: WhenClientLeaves,
}

impl Tail {
    /// The body of `ending`'s exchange, copied for the stages that asked.
    #[must_use]
    pub(super) fn new(payload: Payload, mut ending: Box<Ending>, order: Option<CaptureOrder>) -> Self {
        let copy = order.and_then(|order| {
            if let Payload::Full(bytes) = &payload {
                // Bytes at hand need no copy.
                ending.run().captured(Side::Response, bytes.clone());
                return None;
            }
            Some(Box::new(Copying {
                capture: Capture::new(order.max),
                when_client_leaves: order.when_client_leaves,
            }))
        });
        let mut tail = Self {
            payload,
            ending: Some(ending),
            copy,
        };
        if tail.is_end_stream() {
            tail.end();
        }
        tail
    }

    /// No body, and no exchange that would end with it.
    #[must_use]
    pub(super) fn empty() -> Self {
        Self {
            payload: Payload::default(),
            ending: None,
            copy: None,
        }
    }

    fn end(&mut self) {
        let Some(mut ending) = self.ending.take() else {
            return;
        };
        ending.complete = true;
        if let Some(copy) = self.copy.take() {
            whole(&mut ending, copy.capture);
        }
    }

    fn sent(&mut self, frame: &Frame<Bytes>) {
        if let (Some(ending), Some(data)) = (&mut self.ending, frame.data_ref()) {
            ending.sent += data.len() as u64;
            if let Some(copy) = &mut self.copy {
                copy.capture.push(data);
            }
        }
    }
}

/// The client left, or it wants no more than a head: a copy may still want it.
impl Drop for Tail {
    fn drop(&mut self) {
        let wanted = |copy: &mut Box<Copying>| {
            copy.when_client_leaves == WhenClientLeaves::Finish && !copy.capture.is_given_up()
        };
        if let (Some(copy), Some(ending)) = (self.copy.take_if(wanted), self.ending.take()) {
            let payload = std::mem::take(&mut self.payload);
            let worker = std::rc::Rc::clone(&ending.worker);
            worker.afterwards(read_on(payload, copy.capture, ending));
        }
    }
}

impl Body for Tail {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.payload).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.sent(frame);
                if this.is_end_stream() {
                    this.end();
                }
            }
            Poll::Ready(Some(Err(failure))) => {
                if let Some(mut ending) = this.ending.take() {
                    broke_off(&mut ending, failure);
                }
            }
            Poll::Ready(None) => this.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}

/// Reads the rest of a body that only a copy wants. The upstream's time-outs and the exchange's deadline bound it.
async fn read_on(mut payload: Payload, mut capture: Capture, mut ending: Box<Ending>) {
    while !capture.is_given_up() {
        match poll_fn(|cx| Pin::new(&mut payload).poll_frame(cx)).await {
            Some(Ok(frame)) => capture.push(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(failure)) => return broke_off(&mut ending, &failure),
            None => break,
        }
    }
    whole(&mut ending, capture);
}

/// The body has ended as it should, and the copy with it.
fn whole(ending: &mut Ending, mut capture: Capture) {
    capture.complete();
    if let Some(bytes) = capture.take() {
        ending.run().captured(Side::Response, bytes);
    }
}

fn broke_off(ending: &mut Ending, failure: &Failure) {
    tracing::debug!(error = %failure, "the response broke off");
    if let Some(run) = &mut ending.run {
        run.broke_off(failure);
    }
}
