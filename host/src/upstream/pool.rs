//! The idle connections and the counters of one endpoint. It refuses to know other endpoints and how connections
//! are made.

mod ticket;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Passage, Refused};
use super::care::Pass;
use super::connection::Connection;
use super::http2::Links;
use super::member::Member;
use super::settings::Settings;
use super::shared::{Outcome, Shared, Watch};
pub(super) use ticket::Ticket;

/// The counters of one endpoint in one worker, as they stood when they were read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct EndpointStats {
    /// Connections that were opened.
    pub connects: u64,
    /// Exchanges that began on a connection that was kept.
    pub reuses: u64,
    /// Connects and exchanges that failed by the upstream's doing; see
    /// [`FailureKind::is_upstreams`](super::FailureKind::is_upstreams).
    pub failures: u64,
    /// Idle connections that are kept now.
    pub idle: usize,
    /// Exchanges that use the endpoint now, from connecting to the end of the response body.
    pub in_flight: usize,
}

/// One endpoint of a cluster.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) settings: Arc<Settings>,
    pub(super) member: Arc<Member>,
    /// Who hears of exchanges; none where nobody wants to.
    watcher: Option<Arc<Shared>>,
    /// `host:port`, for failures.
    pub(super) label: Arc<str>,
    #[expect(
        clippy::vec_box,
        reason = "a connection moves between pool and exchange as a pointer, not as a copy"
    )]
    idle: RefCell<Vec<Box<Connection>>>,
    /// Connections that speak HTTP/2.
    pub(super) links: Links,
    swept_at: Cell<Instant>,
    /// For the next ticket.
    passage: Cell<Option<Passage>>,
    connects: Cell<u64>,
    reuses: Cell<u64>,
    failures: Cell<u64>,
    in_flight: Cell<usize>,
}

/// How sure a kept connection must be open before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// As far as the runtime knows: the request can be repeated.
    Cheap,
    /// As the kernel knows: the request cannot be repeated.
    Thorough,
}

impl Slot {
    pub(super) fn new(member: Arc<Member>, shared: &Arc<Shared>, now: Instant) -> Rc<Self> {
        Rc::new(Self {
            label: Arc::clone(member.label()),
            member,
            watcher: (shared.watch() == Watch::On).then(|| Arc::clone(shared)),
            settings: Arc::clone(shared.settings()),
            idle: RefCell::new(Vec::new()),
            links: Links::default(),
            swept_at: Cell::new(now),
            passage: Cell::new(None),
            connects: Cell::new(0),
            reuses: Cell::new(0),
            failures: Cell::new(0),
            in_flight: Cell::new(0),
        })
    }

    pub(super) fn stats(&self) -> EndpointStats {
        EndpointStats {
            connects: self.connects.get(),
            reuses: self.reuses.get(),
            failures: self.failures.get(),
            idle: self.idle.borrow().len() + self.links.idle(),
            in_flight: self.in_flight.get(),
        }
    }

    /// Asks the breaker of the endpoint, if it has one, for the ticket that comes next.
    ///
    /// # Errors
    /// [`Refused`] by the breaker.
    pub(super) fn admit(&self) -> Result<(), Refused> {
        if let Some(shared) = &self.watcher {
            self.passage.set(Some(shared.care().admit(shared, &self.member)?));
        }
        Ok(())
    }

    /// There is no next ticket, after all.
    pub(super) fn dismiss(&self) {
        if let (Some(shared), Some(passage)) = (&self.watcher, self.passage.take()) {
            shared.heard(&self.member, passage, Outcome::Abandoned, Duration::ZERO);
        }
    }

    /// A connection was opened.
    pub(super) fn count_connect(&self) {
        self.connects.set(self.connects.get() + 1);
    }

    /// An exchange began on a connection that was there.
    pub(super) fn count_reuse(&self) {
        self.reuses.set(self.reuses.get() + 1);
    }

    pub(super) fn count_failure(&self) {
        self.failures.set(self.failures.get() + 1);
    }

    /// Takes the connection that was kept last, dropping those that were closed meanwhile.
    pub(super) fn reuse(self: &Rc<Self>, check: Check) -> Option<Lease> {
        loop {
            let mut connection = self.idle.borrow_mut().pop()?;
            let open = match check {
                Check::Cheap => connection.seems_idle(),
                Check::Thorough => connection.is_idle(),
            };
            if open {
                self.count_reuse();
                return Some(Lease {
                    connection,
                    ticket: Ticket::new(self),
                    origin: Origin::Kept,
                });
            }
        }
    }

    /// Drops idle connections that were closed by the peer, have unasked-for bytes, or are too old.
    pub(super) fn sweep(&self, now: Instant) {
        self.swept_at.set(now);
        let keep = self.settings.max_idle_time;
        self.links.sweep(now, keep);
        self.idle.borrow_mut().retain_mut(|connection| {
            now.saturating_duration_since(connection.idle_since) < keep && connection.is_idle()
        });
    }

    /// Puts a connection into the pool, if there is room.
    pub(super) fn keep(&self, mut connection: Box<Connection>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.settings.max_idle {
            connection.park(self.swept_at.get());
            idle.push(connection);
        }
    }
}

/// A connection that an exchange uses. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Box<Connection>,
    ticket: Ticket,
    pub(super) origin: Origin,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Fresh,
    /// From the pool: the upstream may have closed it in the meantime.
    Kept,
}

impl Lease {
    /// The lease of a connection that was just made.
    pub(super) fn fresh(connection: Box<Connection>, ticket: Ticket) -> Self {
        ticket.slot().count_connect();
        Self {
            connection,
            ticket,
            origin: Origin::Fresh,
        }
    }

    pub(super) fn slot(&self) -> &Rc<Slot> {
        self.ticket.slot()
    }

    /// Reports how the exchange went, where somebody wants to know.
    pub(super) fn heard(&mut self, outcome: Outcome) {
        self.ticket.heard(outcome);
    }

    /// Closes a connection that turned out to be closed already: it says nothing of the endpoint, and another ticket
    /// takes the place of this one.
    pub(super) fn renew(mut self) {
        self.ticket.hand_back();
    }

    /// Keeps the permission for the exchange to its end.
    pub(super) fn hold(&mut self, pass: Pass) {
        self.ticket.hold(pass);
    }

    /// The connection, and what counts it as in flight.
    pub(super) fn give_up(self) -> (Box<Connection>, Ticket) {
        (self.connection, self.ticket)
    }

    /// Ends the exchange and keeps the connection for the next one.
    pub(super) fn keep(self) {
        let Self {
            connection, ticket, ..
        } = self;
        ticket.slot().keep(connection);
    }
}

#[cfg(test)]
impl Slot {
    /// Puts a stream without sockets into the pool, for tests that pause time.
    pub(super) fn adopt(&self, stream: tokio::io::DuplexStream) {
        let stream = super::stream::Stream::Memory(stream);
        self.keep(Connection::new(stream, self.swept_at.get()));
    }
}
