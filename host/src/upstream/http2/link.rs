//! Connections of one endpoint that exchanges share. It refuses to know what is sent on them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::wire::Wire;
use crate::upstream::care::Pass;
use crate::upstream::connect;
use crate::upstream::failure::{FailureKind, Fault};
use crate::upstream::pool::{Origin, Slot, Ticket};
use crate::upstream::settings::Settings;
use crate::upstream::shared::Outcome;
use crate::upstream::stream::Stream;
use crate::upstream::timer::Timer;

/// Bytes of a response that an upstream may send before somebody takes them.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// What DATA frames of less than 256 bytes may lack of that size, as long as nobody has taken them. So much that the window
/// is full before, if they have 16 bytes on average: a client that does not read must not cost others their connection.
const SMALL_FRAMES: usize = 64 << 20;
/// Bytes of a stream's request that may wait in the connection, whatever the upstream's window is.
const SEND_BUFFER: usize = 64 << 10;
/// Timers that are kept for the next exchanges.
const KEPT_TIMERS: usize = 64;

/// The connections of one endpoint.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Links {
    open: RefCell<Vec<Rc<Link>>>,
    /// Held by the one who opens a connection: the others wait, and find it.
    opening: Mutex<()>,
    timers: RefCell<Vec<Timer>>,
}

/// One connection.
#[derive(Debug)]
struct Link {
    send: SendRequest<Bytes>,
    in_use: Cell<usize>,
    /// It takes no further requests.
    over: Rc<Cell<bool>>,
    idle_since: Cell<Instant>,
    /// It has answered a PING, so that its SETTINGS have come.
    settled: Cell<bool>,
    pings: Mutex<Option<PingPong>>,
}

/// A place on a connection; one stream is begun on it.
#[derive(Debug)]
pub(super) struct Use {
    link: Rc<Link>,
    ticket: Ticket,
    origin: Origin,
}

/// A place on a connection to the endpoint of `slot`: one that is open and has room, or a new one.
///
/// # Errors
/// `Resolve`, `Connect`, `Tls`, `ConnectTimeout`, or `Deadline` if that came first.
pub(super) async fn take(slot: &Rc<Slot>, deadline: Option<Instant>) -> Result<Use, Fault> {
    let mut ticket = Ticket::new(slot);
    if let Some(link) = slot.links.with_room() {
        return Ok(Use::kept(link, ticket));
    }
    let link = connect::within(&mut ticket, deadline, async {
        let _opening = slot.links.opening.lock().await;
        if let Some(link) = slot.links.with_room() {
            return Ok((link, Origin::Kept));
        }
        let stream = connect::stream(slot).await?;
        let link = Link::open(stream, &slot.settings).await?;
        slot.links.open.borrow_mut().push(Rc::clone(&link));
        Ok((link, Origin::Fresh))
    });
    Ok(match link.await? {
        (link, Origin::Kept) => Use::kept(link, ticket),
        (link, Origin::Fresh) => Use::fresh(link, ticket),
    })
}

impl Links {
    fn with_room(&self) -> Option<Rc<Link>> {
        let mut open = self.open.borrow_mut();
        open.retain(|link| !link.over.get());
        open.iter().find(|link| link.has_room()).cloned()
    }

    /// Drops connections that nobody uses for `keep`, or that take no further requests. Exchanges on them go on.
    pub(in crate::upstream) fn sweep(&self, now: Instant, keep: Duration) {
        self.open.borrow_mut().retain(|link| {
            let unused = link.in_use.get() == 0;
            let old = unused && now.saturating_duration_since(link.idle_since.get()) >= keep;
            !link.over.get() && !old
        });
    }

    /// Drops what nobody uses beyond so many connections.
    fn trim(&self, max_idle: usize) {
        let mut beyond = self.idle().saturating_sub(max_idle);
        if beyond > 0 {
            self.open.borrow_mut().retain(|link| {
                let drops = beyond > 0 && link.in_use.get() == 0;
                beyond -= usize::from(drops);
                !drops
            });
        }
    }

    /// Connections that are open and take requests.
    pub(in crate::upstream) fn idle(&self) -> usize {
        let open = self.open.borrow();
        open.iter().filter(|link| link.in_use.get() == 0).count()
    }

    /// A timer for an exchange.
    pub(super) fn timer(&self) -> Timer {
        self.timers.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a timer back.
    pub(super) fn keep_timer(&self, timer: Timer) {
        let mut timers = self.timers.borrow_mut();
        if timers.len() < KEPT_TIMERS {
            timers.push(timer);
        }
    }
}

impl Link {
    async fn open(stream: Stream, settings: &Settings) -> Result<Rc<Self>, Fault> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER)
            .data_frame_budget(SMALL_FRAMES);
        let (send, mut connection) = builder
            .handshake(Wire::new(stream))
            .await
            .map_err(|error| Fault::with(FailureKind::Connect, error))?;
        let pings = Mutex::new(connection.ping_pong());
        let over = Rc::new(Cell::new(false));
        let ended = Rc::clone(&over);
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
            ended.set(true);
        });
        Ok(Rc::new(Self {
            send,
            in_use: Cell::new(0),
            over,
            idle_since: Cell::new(Instant::now()),
            settled: Cell::new(false),
            pings,
        }))
    }

    /// Waits until the upstream's SETTINGS have come, which are the first that it sends (RFC 9113 section 3.4): they are
    /// there when a PING is answered.
    async fn settle(&self) -> Result<(), h2::Error> {
        let mut pings = self.pings.lock().await;
        let Some(pings) = pings.as_mut().filter(|_| !self.settled.get()) else {
            return Ok(());
        };
        if let Err(error) = pings.send_ping(Ping::opaque()) {
            // That of somebody who did not wait for its answer is still under way, or the connection is over.
            tracing::trace!(%error, "no PING was sent");
        }
        poll_fn(|cx| pings.poll_pong(cx)).await?;
        self.settled.set(true);
        Ok(())
    }

    fn has_room(&self) -> bool {
        !self.over.get() && self.in_use.get() < self.send.current_max_send_streams()
    }
}

impl Use {
    fn kept(link: Rc<Link>, ticket: Ticket) -> Self {
        ticket.slot().count_reuse();
        Self::new(link, ticket, Origin::Kept)
    }

    fn fresh(link: Rc<Link>, ticket: Ticket) -> Self {
        ticket.slot().count_connect();
        Self::new(link, ticket, Origin::Fresh)
    }

    fn new(link: Rc<Link>, ticket: Ticket, origin: Origin) -> Self {
        link.in_use.set(link.in_use.get() + 1);
        Self { link, ticket, origin }
    }

    pub(super) fn slot(&self) -> &Rc<Slot> {
        self.ticket.slot()
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// Begins a stream.
    pub(super) fn begin(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.link.send.clone().send_request(request, ends)
    }

    /// Whether the upstream takes extended CONNECT (RFC 8441 section 3). On a connection whose SETTINGS may be still to come
    /// it takes a round trip.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn takes_tunnels(&self) -> Result<bool, h2::Error> {
        let takes = || self.link.send.is_extended_connect_protocol_enabled();
        if !takes() && !self.link.settled.get() {
            self.link.settle().await?;
        }
        Ok(takes())
    }

    /// Reports how the exchange went, where somebody wants to know.
    pub(super) fn heard(&mut self, outcome: Outcome) {
        self.ticket.heard(outcome);
    }

    /// The head of an answer came, and its end will say how the exchange went.
    pub(super) fn head_came(&mut self) {
        self.ticket.head_came();
    }

    /// Keeps the permission for the exchange to its end.
    pub(super) fn hold(&mut self, pass: Pass) {
        self.ticket.hold(pass);
    }

    /// Gives up a stream that says nothing of the endpoint: another ticket takes the place of this one.
    pub(super) fn renew(mut self) {
        self.ticket.hand_back();
    }

    /// The connection takes no further requests: it is closed, is about to be, or may be dead.
    pub(super) fn spoil(&self) {
        self.link.over.set(true);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let left = self.link.in_use.get().saturating_sub(1);
        self.link.in_use.set(left);
        if left == 0 {
            self.link.idle_since.set(Instant::now());
            let slot = self.slot();
            slot.links.trim(slot.settings.max_idle);
        }
    }
}
