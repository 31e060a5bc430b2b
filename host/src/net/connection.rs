//! State of a client's connection, or of one stream of a connection that has many (HTTP/2), without a timer per request:
//! it notes what it waits for and since when, and a sweep of the worker ends those that took too long (exact to the
//! sweep's interval). It refuses to know the bytes.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Unparsed;
use super::http2::Streams;
use crate::message::capture::Capture;

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The client to go on with the handshake of TLS.
    Handshake,
    /// The next request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The gateway: a request is being served.
    Busy,
    /// More of a request's body.
    Body,
    /// The client to read what was written.
    Writing,
    /// Nothing that the sweep could judge: it carries another protocol.
    Tunnel,
}

/// How long each phase may last.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the connection to the end of the handshake of TLS.
    pub handshake: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// Between two pieces of a body, read or written.
    pub body: Duration,
}

/// State of one connection, shared by its stream, its requests and the sweep. A connection that speaks HTTP/2 has one
/// state for itself and one for each of its streams, which carries one request.
#[derive(Debug)]
pub struct Conn {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    expired: Cell<bool>,
    received: Cell<u64>,
    copy: RefCell<Option<Capture>>,
    unread: Cell<bool>,
    unparsed: Cell<Option<Unparsed>>,
    draining: Cell<bool>,
    task: RefCell<Option<Waker>>,
    streams: OnceCell<Rc<Streams>>,
}

impl Conn {
    /// A connection that was just accepted: it owes us a head.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Self::begin(Phase::Head)
    }

    /// A stream whose request's head has come.
    #[must_use]
    pub fn of_stream() -> Rc<Self> {
        Self::begin(Phase::Busy)
    }

    fn begin(phase: Phase) -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(phase),
            since: Cell::new(Instant::now()),
            expired: Cell::new(false),
            received: Cell::new(0),
            copy: RefCell::new(None),
            unread: Cell::new(false),
            unparsed: Cell::new(None),
            draining: Cell::new(false),
            task: RefCell::new(None),
            streams: OnceCell::new(),
        })
    }

    /// It has streams from now on, which are looked after with it.
    pub(super) fn multiplex(&self, streams: Rc<Streams>) {
        if self.streams.set(streams).is_err() {
            tracing::debug!("a connection became one of streams twice");
        }
    }

    /// Notes what it waits for from now on.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Notes the same with a time that is at hand.
    pub fn enter_at(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }

    /// What it waits for.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The task that drives the connection is polled: it is woken when something must end.
    pub fn driven_by(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// Has the task that drives it look again.
    pub(super) fn wake(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.wake_by_ref();
        }
    }

    /// Lets the exchange in flight end and takes no further one.
    pub fn drain(&self) {
        self.draining.set(true);
        self.wake();
    }

    /// It takes no further exchange.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// A read of the request body has to wait.
    pub fn wait_for_body(&self) {
        if self.phase.get() != Phase::Body {
            self.enter(Phase::Body);
        }
    }

    /// A piece of the request body has come.
    pub fn got_body(&self) {
        if self.phase.get() == Phase::Body {
            self.enter(Phase::Busy);
        }
    }

    /// Bytes of the current request's body have come.
    pub fn count(&self, bytes: u64) {
        self.received.set(self.received.get() + bytes);
    }

    /// Bytes of the current request's body so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Has the rest of the current request's body copied.
    pub fn begin_copy(&self, copy: Capture) {
        *self.copy.borrow_mut() = Some(copy);
    }

    /// A piece of the body has come.
    pub(super) fn copy(&self, piece: &[u8]) {
        if let Some(copy) = &mut *self.copy.borrow_mut() {
            copy.push(piece);
        }
    }

    /// The current request has a body.
    pub fn expect_body(&self) {
        self.unread.set(true);
    }

    /// The client has not been read to the end of the last request's body.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unread.get()
    }

    /// The body has ended as it should.
    pub(super) fn ended_body(&self) {
        self.unread.set(false);
        if let Some(copy) = &mut *self.copy.borrow_mut() {
            copy.complete();
        }
    }

    /// The copy of the current request's body, if one was wanted and it is whole.
    #[must_use]
    pub fn take_copy(&self) -> Option<Bytes> {
        self.copy.take().and_then(Capture::take)
    }

    /// A request's head is complete.
    pub fn begin_request(&self, now: Instant) {
        self.received.set(0);
        self.unread.set(false);
        self.enter_at(Phase::Busy, now);
    }

    /// The response to a request is complete, though perhaps not yet on its way: the next request may come.
    pub fn end_request(&self, now: Instant) {
        self.enter_at(Phase::Idle, now);
    }

    /// The parser could not read a head.
    pub(super) fn refuse(&self, unparsed: Unparsed) {
        self.unparsed.set(Some(unparsed));
    }

    /// The head that could not be read, if that ended the connection.
    #[must_use]
    pub fn unparsed(&self) -> Option<Unparsed> {
        self.unparsed.get()
    }

    /// Since when it waits for what it waits for.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since.get()
    }

    /// The body took too long.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expired.get()
    }

    /// Called by the sweep; true = end the connection now.
    #[must_use]
    pub fn sweep(&self, now: Instant, times: &Times) -> bool {
        let age = now.saturating_duration_since(self.since.get());
        if let Some(streams) = self.streams.get() {
            let stuck = match self.phase.get() {
                Phase::Writing => age > times.body,
                // It lingers after its end.
                Phase::Head => age > times.header,
                _ => false,
            };
            return stuck || streams.sweep(self, now, times);
        }
        match self.phase.get() {
            Phase::Handshake => age > times.handshake,
            Phase::Idle => age > times.keep_alive,
            Phase::Head => age > times.header,
            Phase::Writing => age > times.body,
            Phase::Busy | Phase::Tunnel => false,
            Phase::Body if age > times.body => {
                // First the exchange is told, so that it can answer 408; if that does not end it, the
                // next sweep does.
                if self.expired.replace(true) {
                    return age > times.body + times.header;
                }
                self.wake();
                false
            }
            Phase::Body => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        handshake: Duration::from_secs(5),
        keep_alive: Duration::from_secs(75),
        header: Duration::from_secs(10),
        body: Duration::from_secs(30),
    };

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_patience() {
        for (phase, patience) in [
            (Phase::Handshake, 5),
            (Phase::Idle, 75),
            (Phase::Head, 10),
            (Phase::Writing, 30),
        ] {
            let conn = Conn::new();
            conn.enter(phase);
            tokio::time::advance(Duration::from_secs(patience)).await;
            assert!(!conn.sweep(Instant::now(), &TIMES), "{phase:?}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(conn.sweep(Instant::now(), &TIMES), "{phase:?}");
        }
        let conn = Conn::new();
        conn.enter(Phase::Busy);
        tokio::time::advance(Duration::from_secs(100_000)).await;
        assert!(
            !conn.sweep(Instant::now(), &TIMES),
            "the gateway's own time has other bounds"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_reported_before_the_connection_is_cut() {
        let conn = Conn::new();
        conn.driven_by(Waker::noop());
        conn.wait_for_body();
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(!conn.sweep(Instant::now(), &TIMES));
        assert!(conn.is_expired());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(conn.sweep(Instant::now(), &TIMES), "nobody listened");
    }
}
