//! The end of an exchange, however it ends: the last byte was sent, the client left, or the upstream broke
//! off. Counts it, writes its access line, and starts its `on-finish` hooks.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::view::{RouteView, View};
use super::worker::Worker;
use crate::abi::Outcome;
use crate::net::{Conn, Phase};
use crate::pipeline::{Payload, Run};
use crate::telemetry::Finished;
use crate::telemetry::stats::End;
use crate::upstream::Failure;

/// Status that the access log shows for a client that left before its answer.
const CLIENT_LEFT: u16 = 499;

/// Place of a route in a view.
#[derive(Debug, Clone, Copy)]
pub(super) struct RouteAt {
    /// Index of the listener.
    pub listener: usize,
    /// Index in its routes; none for "no route".
    pub route: Option<usize>,
}

impl RouteAt {
    /// The route.
    #[must_use]
    pub(super) fn of(self, view: &View) -> Option<&RouteView> {
        let listener = view.listeners.get(self.listener)?;
        match self.route {
            Some(route) => listener.routes.get(route),
            None => Some(&listener.none),
        }
    }
}

/// Ends the exchange when dropped, at the latest.
pub(super) struct Ending {
    /// The exchange in its pipeline.
    pub run: Option<Run>,
    /// The view that it began with.
    pub view: Rc<View>,
    /// Its route.
    pub at: RouteAt,
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    started: Instant,
    sent: u64,
    complete: bool,
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl Ending {
    /// Watches over an exchange that has just begun.
    #[must_use]
    pub(super) fn new(
        worker: Rc<Worker>,
        conn: Rc<Conn>,
        view: Rc<View>,
        at: RouteAt,
        started: Instant,
        run: Run,
    ) -> Self {
        worker.begin();
        Self {
            run: Some(run),
            view,
            at,
            worker,
            conn,
            started,
            sent: 0,
            complete: false,
        }
    }

    /// The exchange in its pipeline.
    #[expect(clippy::expect_used, reason = "taken only by drop")]
    pub(super) fn run(&mut self) -> &mut Run {
        self.run.as_mut().expect("an exchange has its run until it ends")
    }

    /// The route.
    #[must_use]
    pub(super) fn route(&self) -> Option<&RouteView> {
        self.at.of(&self.view)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.started);
        let received = self.conn.received();
        if self.complete {
            self.conn.enter_at(Phase::Idle, now);
        }
        self.worker.end();
        let Some(run) = self.run.take() else { return };
        let answered = run
            .exchange()
            .and_then(|x| x.response.as_ref())
            .map(|r| r.status.as_u16());
        let status = answered.unwrap_or(if self.complete { 0 } else { CLIENT_LEFT });
        if let Some(route) = self.at.of(&self.view) {
            let end = if self.complete {
                End::Complete
            } else {
                End::Aborted
            };
            route.stats.record(&Finished {
                status,
                took,
                bytes_in: received,
                bytes_out: self.sent,
                end,
            });
        }
        if let Some(error) = run.exchange().and_then(|x| x.error.as_ref()) {
            self.worker.count_error(&error.code, error.origin);
        }
        if let Some(x) = run.exchange() {
            self.worker
                .log_access(x, status, received, self.sent, took, self.complete);
        }
        if run.has_finish() {
            let upstream_us = run.exchange().map_or(0, |x| x.answered_by.first_byte_us);
            let outcome = Outcome {
                status,
                bytes_in: received,
                bytes_out: self.sent,
                total_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                upstream_us,
                aborted: !self.complete,
            };
            self.worker.finish(run, outcome);
        }
    }
}

/// A response's body on its way to the client; the exchange ends with it.
#[derive(Debug)]
pub(super) struct Tail {
    payload: Payload,
    ending: Option<Box<Ending>>,
}

impl Tail {
    /// The body of `ending`'s exchange.
    #[must_use]
    pub(super) fn new(payload: Payload, ending: Box<Ending>) -> Self {
        let mut tail = Self {
            payload,
            ending: Some(ending),
        };
        if tail.is_end_stream() {
            tail.end();
        }
        tail
    }

    fn end(&mut self) {
        if let Some(mut ending) = self.ending.take() {
            ending.complete = true;
        }
    }

    fn sent(&mut self, frame: &Frame<Bytes>) {
        if let (Some(ending), Some(data)) = (&mut self.ending, frame.data_ref()) {
            ending.sent += data.len() as u64;
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
        let polled = match &mut this.payload {
            Payload::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Payload::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Payload::Chained(first, _) if !first.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(first)))))
            }
            Payload::Upstream(body) | Payload::Chained(_, body) => Pin::new(&mut **body).poll_frame(cx),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.sent(frame);
                if this.is_end_stream() {
                    this.end();
                }
            }
            Poll::Ready(Some(Err(failure))) => {
                if let Some(run) = this.ending.as_mut().and_then(|ending| ending.run.as_mut()) {
                    tracing::debug!(error = %failure, "the response broke off");
                    run.broke_off(failure);
                }
                this.ending = None;
            }
            Poll::Ready(None) => this.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Full(bytes) => bytes.is_empty(),
            Payload::Chained(first, body) => first.is_empty() && body.is_end_stream(),
            Payload::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Chained(first, body) => match body.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(first.len() as u64 + rest),
                None => SizeHint::new(),
            },
            Payload::Upstream(body) => body.size_hint(),
        }
    }
}
