//! The end of an exchange, however it ends: the last byte was sent, the client left, or the upstream broke
//! off. Counts it, writes its access line, and starts its `on-finish` hooks. It refuses to know the response's body.

use std::rc::Rc;

use tokio::time::Instant;

use super::routes::RouteView;
use super::view::{RouteAt, View};
use super::worker::Worker;
use crate::abi::Outcome;
use crate::exchange::Side;
use crate::net::Conn;
use crate::pipeline::Run;
use crate::telemetry::Finished;
use crate::telemetry::stats::End;

/// Status that the access log shows for a client that left before its answer.
const CLIENT_LEFT: u16 = 499;

/// Ends the exchange when dropped, at the latest.
pub(super) struct Ending {
    /// The exchange in its pipeline.
    pub run: Option<Run>,
    /// The view that it began with.
    pub view: Rc<View>,
    /// Its route.
    pub at: RouteAt,
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    conn: Rc<Conn>,
    started: Instant,
    /// The head of a response was handed over.
    pub answered: bool,
    /// The client wants no body.
    pub asked_for_head: bool,
    /// Bytes of the response's body that were sent.
    pub sent: u64,
    /// The whole response was sent.
    pub complete: bool,
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
            answered: false,
            asked_for_head: false,
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
        self.view.route(self.at)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.started);
        let received = self.conn.received();
        if self.complete {
            self.conn.end_request(now);
        }
        self.worker.end();
        let Some(mut run) = self.run.take() else { return };
        let response = run.exchange().and_then(|x| x.response.as_ref());
        // A hook may have held back the response that the upstream sent.
        let answered = response
            .filter(|_| self.answered)
            .map(|response| response.status.as_u16());
        let status = answered.unwrap_or(if self.complete { 0 } else { CLIENT_LEFT });
        if let Some(route) = self.view.route(self.at) {
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
            if let Some(copy) = self.conn.take_copy() {
                run.captured(Side::Request, copy);
            }
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
