//! The end of an exchange, however it ends: the last byte was sent, the client left, or the upstream broke
//! off. Counts it, writes its access line, and starts its `on-finish` hooks. It refuses to know the response's body.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::routes::RouteView;
use super::view::{RouteAt, View};
use super::worker::Worker;
use crate::abi::Outcome;
use crate::exchange::Side;
use crate::net::Conn;
use crate::pipeline::{Payload, Run};
use crate::telemetry::stats::End;
use crate::telemetry::{Finished, RouteStats};

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
    /// What follows on the connection is not to be read as a request.
    pub closes: bool,
    /// The client sends its body only when it is told to.
    pub awaits_leave: bool,
    /// The request may not be forwarded.
    pub last_hop: bool,
    /// The client asked by extended CONNECT: a success is an open tunnel to it.
    pub by_connect: bool,
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
            closes: false,
            awaits_leave: false,
            last_hop: false,
            by_connect: false,
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

impl Ending {
    /// When the request's head was complete.
    #[must_use]
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// An answer of the gateway's own comes in place of leave to send the body: nobody knows whether the client sends it
    /// nevertheless (RFC 9110 section 10.1.1).
    #[must_use]
    pub(super) fn withholds_leave(&self, payload: &Payload) -> bool {
        self.awaits_leave && self.conn.is_unread() && matches!(payload, Payload::Full(_))
    }

    /// Takes the exchange out, to be ended elsewhere by [`over`].
    pub(super) fn detach(&mut self) -> Option<Run> {
        self.answered = true;
        self.run.take()
    }
}

/// What came of an exchange.
pub(super) struct Account {
    /// Status that was sent.
    pub status: u16,
    /// From its head to its end.
    pub took: Duration,
    /// From its head to what its latency is measured by.
    pub answered_after: Duration,
    /// Bytes from the client behind the head.
    pub received: u64,
    /// Bytes to the client behind the head.
    pub sent: u64,
    /// It ended as it should.
    pub complete: bool,
}

/// Ends an exchange: counts it, writes its access line, and starts its `on-finish` hooks.
pub(super) fn over(worker: &Rc<Worker>, run: Run, stats: Option<&RouteStats>, account: &Account) {
    worker.end();
    let &Account {
        status,
        took,
        received,
        sent,
        complete,
        ..
    } = account;
    if let Some(stats) = stats {
        stats.record(&Finished {
            status,
            took: account.answered_after,
            bytes_in: received,
            bytes_out: sent,
            end: if complete { End::Complete } else { End::Aborted },
        });
    }
    if let Some(error) = run.exchange().and_then(|x| x.error.as_ref()) {
        worker.count_error(&error.code, error.origin);
    }
    if let Some(x) = run.exchange() {
        worker.log_access(x, status, received, sent, took, complete);
    }
    if run.has_finish() {
        let upstream_us = run.exchange().map_or(0, |x| x.answered_by.first_byte_us);
        let outcome = Outcome {
            status,
            bytes_in: received,
            bytes_out: sent,
            total_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            upstream_us,
            aborted: !complete,
        };
        worker.finish(run, outcome);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some(mut run) = self.run.take() else { return };
        run.retire();
        let now = Instant::now();
        let took = now.saturating_duration_since(self.started);
        if self.complete {
            self.conn.end_request(now);
        }
        let response = run.exchange().and_then(|x| x.response.as_ref());
        // A hook may have held back the response that the upstream sent.
        let answered = response
            .filter(|_| self.answered)
            .map(|response| response.status.as_u16());
        if run.has_finish()
            && let Some(copy) = self.conn.take_copy()
        {
            run.captured(Side::Request, copy);
        }
        let account = Account {
            status: answered.unwrap_or(if self.complete { 0 } else { CLIENT_LEFT }),
            took,
            answered_after: took,
            received: self.conn.received(),
            sent: self.sent,
            complete: self.complete,
        };
        let stats = self.view.route(self.at).map(|route| &*route.stats);
        over(&self.worker, run, stats, &account);
    }
}
