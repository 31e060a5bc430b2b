//! One upstream in one worker: sends a request to one of its endpoints. It refuses to know
//! other workers, but for what they share of an upstream.

use std::cell::{Cell, RefCell, RefMut};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::time::Instant;

use super::body::ResponseBody;
use super::care::Guard;
use super::exchange::Await;
use super::failure::{BoxError, Failure, FailureKind, Fault, RetrySafety};
use super::lineup::{Aim, Lineup, Tried};
use super::member::Member;
use super::pool::{Check, EndpointStats, Lease, Origin, Slot};
use super::reply::Reply;
use super::request::{Framing, RequestHead};
use super::settings::Protocol;
use super::shared::{Outcome, Shared};
use super::upload::Upload;
use super::{connect, http2};

/// How long an exchange may take.
#[derive(Debug, Clone, Copy, Default)]
pub struct Until {
    /// Its end.
    pub end: Option<Instant>,
    /// When the head of its response must be there, where that is earlier.
    pub head: Option<Instant>,
}

impl From<Option<Instant>> for Until {
    fn from(end: Option<Instant>) -> Self {
        Self { end, head: None }
    }
}

impl Until {
    /// What comes first while there is no head.
    pub(super) fn first(self) -> Option<Instant> {
        match (self.end, self.head) {
            (Some(end), Some(head)) => Some(end.min(head)),
            (end, head) => end.or(head),
        }
    }

    /// What ran out when [`Until::first`] has passed: a time of this try, or the whole exchange's.
    pub(super) fn blame(self, mut fault: Fault, of_try: FailureKind) -> Fault {
        let goes_on = || self.end.is_none_or(|end| end > Instant::now());
        if fault.kind == FailureKind::Deadline && self.head.is_some() && goes_on() {
            fault.kind = of_try;
        }
        fault
    }
}

/// One upstream as one worker sees it: its endpoints, each with its pool of connections.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    lineup: RefCell<Lineup>,
    /// Connections opened since [`Cluster::take_connects`] was last called.
    opened: Cell<u64>,
}

impl Cluster {
    /// A cluster without connections; they are opened when they are needed.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            lineup: RefCell::new(Lineup::new(&shared)),
            shared,
            opened: Cell::new(0),
        })
    }

    /// What all workers know of the upstream.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The endpoints and their counters in this worker, in the order of the roster.
    #[must_use]
    pub fn stats(&self) -> Vec<(Arc<Member>, EndpointStats)> {
        let lineup = self.lineup.borrow();
        let slots = lineup.slots().iter();
        slots
            .map(|slot| (Arc::clone(&slot.member), slot.stats()))
            .collect()
    }

    /// Connections that were opened since the last call.
    pub fn take_connects(&self) -> u64 {
        self.opened.take()
    }

    /// Drops idle connections that were kept for `max_idle_time` or closed by the peer. The worker calls it every
    /// few seconds; it makes one system call per idle connection.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut lineup = self.lineup.borrow_mut();
        // Connections of endpoints that are gone do not wait for the next exchange.
        lineup.follow(&self.shared);
        for slot in lineup.slots() {
            slot.sweep(now);
        }
    }

    /// Sends a request and waits for the head of its response; interim responses are dropped.
    ///
    /// Where the upstream has limits or a circuit breaker, they are asked first.
    ///
    /// If the endpoint that is chosen cannot be connected, the others are tried, each once. A request that has no body
    /// and an idempotent method is sent a second time, on a new connection, if a kept one turns out to be closed
    /// (RFC 9112 section 9.3.1). The rest of the body is sent while the response's body is polled.
    ///
    /// # Errors
    /// Every kind of [`FailureKind`]: `Deadline` when the exchange is over, a time-out when only [`Until::head`] has
    /// passed. The connection of a failed exchange is closed.
    pub async fn send<B>(
        self: &Rc<Self>,
        head: RequestHead<'_>,
        body: B,
        until: impl Into<Until>,
        aim: Aim<'_>,
    ) -> Result<Response<Reply<B>>, Failure>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        match self.shared.guard() {
            Guard::Off => self.carry(head, body, until.into(), aim).await,
            Guard::On => Box::pin(self.send_guarded(head, body, until.into(), aim)).await,
        }
    }

    /// [`Cluster::send`] without asking anybody.
    pub(super) async fn carry<B>(
        self: &Rc<Self>,
        head: RequestHead<'_>,
        body: B,
        until: Until,
        aim: Aim<'_>,
    ) -> Result<Response<Reply<B>>, Failure>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        head.check()
            .map_err(|why| Fault::from(FailureKind::Unsendable(why)).at(RetrySafety::Unsent, None))?;
        if until.end.is_some_and(|end| end <= Instant::now()) {
            return Err(Fault::from(FailureKind::Deadline).at(RetrySafety::Unsent, None));
        }
        if self.shared.settings().protocol == Protocol::Http2 {
            // Boxed: the way of HTTP/1.1 does not pay for its size.
            let response = Box::pin(http2::send(self, head, body, until, aim)).await?;
            return Ok(response.map(|body| Reply::Http2(Box::new(body))));
        }
        let mut upload = Upload::new(body);
        let repeatable = upload.framing() == Framing::None && head.method.is_idempotent();
        let check = if repeatable { Check::Cheap } else { Check::Thorough };
        let slot = match aim.picker {
            None => self.first(aim)?,
            Some(picker) => Box::pin(self.picked(picker, aim)).await?,
        };
        let mut lease = match slot.reuse(check) {
            Some(lease) => {
                if let Some(tried) = aim.tried {
                    tried.add(&slot.member);
                }
                lease
            }
            None => Box::pin(self.open(&slot, check, until, aim)).await?,
        };
        loop {
            lease.connection.start(until.first());
            head.write(upload.framing(), &mut lease.connection.write);
            let mut wait = Await::default();
            let settings = &**self.shared.settings();
            let result =
                poll_fn(|cx| wait.poll_head(&mut lease.connection, &mut upload, &head, settings, cx));
            let fault = match result.await {
                Ok(found) => {
                    lease.heard(Outcome::Answered(found.status));
                    lease.connection.extend(until.end);
                    lease.connection.keep_alive = found.keep_alive;
                    let mut response =
                        Response::new(Reply::Http1(ResponseBody::new(lease, upload, found.framing)));
                    *response.status_mut() = found.status;
                    *response.headers_mut() = found.headers;
                    return Ok(response);
                }
                Err(fault) => until.blame(fault, FailureKind::FirstByteTimeout),
            };
            let slot = Rc::clone(lease.slot());
            let stale = fault.kind == FailureKind::Reset && lease.origin == Origin::Kept;
            if !(stale && repeatable) {
                lease.heard(Outcome::Failed(fault.kind));
                if fault.kind.is_upstreams() {
                    slot.count_failure();
                }
                return Err(fault.unanswered(head.method, slot.label.clone()));
            }
            lease.renew();
            // Where one kept connection was closed, others are likely to be.
            slot.sweep(Instant::now());
            upload.rewind();
            lease = Box::pin(self.open(&slot, check, until, aim)).await?;
        }
    }

    /// The endpoint for the next exchange.
    ///
    /// # Errors
    /// `NoEndpoint` when none may be chosen.
    pub(super) fn first(&self, aim: Aim<'_>) -> Result<Rc<Slot>, Failure> {
        self.choose(aim)
            .ok_or_else(|| Fault::from(FailureKind::NoEndpoint).at(RetrySafety::Unsent, None))
    }

    /// The endpoints as they are now.
    pub(super) fn lineup_now(&self) -> RefMut<'_, Lineup> {
        let mut lineup = self.lineup.borrow_mut();
        lineup.follow(&self.shared);
        lineup
    }

    fn choose(&self, aim: Aim<'_>) -> Option<Rc<Slot>> {
        let mut lineup = self.lineup_now();
        let slot = lineup.choose(aim);
        match self.shared.guard() {
            Guard::Off => slot,
            Guard::On => admitted(&mut lineup, slot?, aim),
        }
    }

    /// A connection of HTTP/1.1 to the endpoint of `slot`, a new one, or to one of the others.
    async fn open(
        &self,
        slot: &Rc<Slot>,
        check: Check,
        until: Until,
        aim: Aim<'_>,
    ) -> Result<Lease, Failure> {
        let open = async |other: &Rc<Slot>, due| {
            let kept = (!Rc::ptr_eq(slot, other)).then(|| other.reuse(check));
            if let Some(lease) = kept.flatten() {
                return Ok(lease);
            }
            let lease = connect::open(other, due).await?;
            self.count_opened();
            Ok(lease)
        };
        self.connect(slot, until, aim, open).await
    }

    /// A connection to the endpoint of `slot` or, if that fails, to one of the others. `open` gives one by a time.
    ///
    /// # Errors
    /// That of the last endpoint that was tried.
    pub(super) async fn connect<C>(
        &self,
        slot: &Rc<Slot>,
        until: Until,
        aim: Aim<'_>,
        open: impl AsyncFn(&Rc<Slot>, Option<Instant>) -> Result<C, Fault>,
    ) -> Result<C, Failure> {
        let own = Tried::default();
        let tried = aim.tried.unwrap_or(&own);
        let others = Aim {
            tried: Some(tried),
            ..aim
        };
        let mut slot = Rc::clone(slot);
        loop {
            tried.add(&slot.member);
            let fault = match open(&slot, until.first()).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => fault,
            };
            slot.count_failure();
            let over = fault.kind == FailureKind::Deadline;
            let fault = until.blame(fault, FailureKind::ConnectTimeout);
            let failure = fault.at(RetrySafety::Unsent, Some(slot.label.clone()));
            if let Some(picker) = aim.picker.filter(|_| !over) {
                slot = match Box::pin(self.picked_anew(picker, others)).await? {
                    Some(next) => next,
                    None => return Err(failure),
                };
                continue;
            }
            slot = match self.choose(others) {
                Some(next) if !over && !tried.has(&next.member) => next,
                other => {
                    if let Some(unused) = other {
                        unused.dismiss();
                    }
                    return Err(failure);
                }
            };
        }
    }

    /// A connection was opened.
    pub(super) fn count_opened(&self) {
        self.opened.set(self.opened.get() + 1);
    }

    #[cfg(test)]
    pub(super) fn slot(&self, index: usize) -> Rc<Slot> {
        Rc::clone(&self.lineup.borrow().slots()[index])
    }
}

/// The first of the endpoints, from `slot` on, whose breaker lets an exchange through.
fn admitted(lineup: &mut Lineup, mut slot: Rc<Slot>, aim: Aim<'_>) -> Option<Rc<Slot>> {
    let avoid = aim.tried.cloned().unwrap_or_default();
    for _ in 0..=lineup.slots().len() {
        if slot.admit().is_ok() {
            return Some(slot);
        }
        avoid.add(&slot.member);
        slot = lineup.choose(Aim {
            tried: Some(&avoid),
            ..aim
        })?;
    }
    None
}
