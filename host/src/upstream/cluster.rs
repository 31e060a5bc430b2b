//! The endpoints of one upstream in one worker: whose turn it is, and sending a request to it. It refuses to know
//! other workers.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::time::Instant;

use super::body::ResponseBody;
use super::exchange::Await;
use super::failure::{BoxError, Failure, FailureKind, Fault, RetrySafety};
use super::pool::{Check, EndpointStats, Lease, Origin, Slot};
use super::reply::Reply;
use super::request::{Framing, RequestHead};
use super::settings::{Endpoint, Protocol, Settings};
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

/// One upstream as one worker sees it: endpoints in turn, each with its pool of connections.
#[derive(Debug)]
pub struct Cluster {
    settings: Arc<Settings>,
    slots: Vec<Rc<Slot>>,
    next: Cell<usize>,
    /// Connections opened since [`Cluster::take_connects`] was last called.
    opened: Cell<u64>,
}

impl Cluster {
    /// A cluster without connections; they are opened when they are needed.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Rc<Self> {
        let now = Instant::now();
        let slots = settings
            .endpoints
            .iter()
            .map(|endpoint| Slot::new(endpoint, Arc::clone(&settings), now));
        Rc::new(Self {
            slots: slots.collect(),
            settings,
            next: Cell::new(0),
            opened: Cell::new(0),
        })
    }

    /// What the cluster was told.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The endpoints and their counters in this worker, in the order of the settings.
    pub fn stats(&self) -> impl Iterator<Item = (&Endpoint, EndpointStats)> {
        self.settings
            .endpoints
            .iter()
            .zip(self.slots.iter().map(|slot| slot.stats()))
    }

    /// Connections that were opened since the last call.
    pub fn take_connects(&self) -> u64 {
        self.opened.take()
    }

    /// Drops idle connections that were kept for `max_idle_time` or closed by the peer. The worker calls it every
    /// few seconds; it makes one system call per idle connection.
    pub fn sweep(&self) {
        let now = Instant::now();
        for slot in &self.slots {
            slot.sweep(now);
        }
    }

    /// Sends a request and waits for the head of its response; interim responses are dropped.
    ///
    /// The endpoints take turns. If one cannot be connected, the others are tried, each once. A request that has no
    /// body and an idempotent method is sent a second time, on a new connection, if a kept one turns out to be
    /// closed (RFC 9112 section 9.3.1). The rest of the body is sent while the response's body is polled.
    ///
    /// # Errors
    /// Every kind of [`FailureKind`]: `Deadline` when the exchange is over, a time-out when only [`Until::head`] has
    /// passed. The connection of a failed exchange is closed.
    pub async fn send<B>(
        self: &Rc<Self>,
        head: RequestHead<'_>,
        body: B,
        until: impl Into<Until>,
    ) -> Result<Response<Reply<B>>, Failure>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        head.check()
            .map_err(|why| Fault::from(FailureKind::Unsendable(why)).at(RetrySafety::Unsent, None))?;
        let until = until.into();
        if until.end.is_some_and(|end| end <= Instant::now()) {
            return Err(Fault::from(FailureKind::Deadline).at(RetrySafety::Unsent, None));
        }
        if self.settings.protocol == Protocol::Http2 {
            // Boxed: the way of HTTP/1.1 does not pay for its size.
            let response = Box::pin(http2::send(self, head, body, until)).await?;
            return Ok(response.map(Reply::Http2));
        }
        let mut upload = Upload::new(body);
        let repeatable = upload.framing() == Framing::None && head.method.is_idempotent();
        let check = if repeatable { Check::Cheap } else { Check::Thorough };
        let turn = self.turn();
        let kept = self.slots.get(turn).and_then(|slot| slot.reuse(check));
        let mut lease = match kept {
            Some(lease) => lease,
            None => Box::pin(self.open(turn, until)).await?,
        };
        loop {
            lease.connection.start(until.first());
            head.write(upload.framing(), &mut lease.connection.write);
            let mut wait = Await::default();
            let settings = &*self.settings;
            let result =
                poll_fn(|cx| wait.poll_head(&mut lease.connection, &mut upload, &head, settings, cx));
            let fault = match result.await {
                Ok(found) => {
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
            drop(lease);
            if !(stale && repeatable) {
                if fault.kind.is_upstreams() {
                    slot.count_failure();
                }
                return Err(fault.unanswered(head.method, slot.label.clone()));
            }
            // Where one kept connection was closed, others are likely to be.
            slot.sweep(Instant::now());
            upload.rewind();
            lease = Box::pin(self.open(turn, until)).await?;
        }
    }

    /// The endpoint whose turn it is.
    pub(super) fn turn(&self) -> usize {
        let turn = self.next.get();
        self.next
            .set(if turn + 1 < self.slots.len() { turn + 1 } else { 0 });
        turn
    }

    async fn open(&self, turn: usize, until: Until) -> Result<Lease, Failure> {
        let open = async |slot: &Rc<Slot>, due| {
            let lease = connect::open(slot, due).await?;
            self.count_opened();
            Ok(lease)
        };
        self.connect(turn, until, open).await
    }

    /// A connection to the endpoint at `turn` or, if that fails, to one of the others. `open` gives one by a time.
    ///
    /// # Errors
    /// That of the last endpoint that was tried.
    pub(super) async fn connect<C>(
        &self,
        turn: usize,
        until: Until,
        open: impl AsyncFn(&Rc<Slot>, Option<Instant>) -> Result<C, Fault>,
    ) -> Result<C, Failure> {
        let mut last = Fault::from(FailureKind::NoEndpoint).at(RetrySafety::Unsent, None);
        for slot in self.slots.iter().cycle().skip(turn).take(self.slots.len()) {
            match open(slot, until.first()).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => {
                    slot.count_failure();
                    let over = fault.kind == FailureKind::Deadline;
                    let fault = until.blame(fault, FailureKind::ConnectTimeout);
                    last = fault.at(RetrySafety::Unsent, Some(slot.label.clone()));
                    if over {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// A connection was opened.
    pub(super) fn count_opened(&self) {
        self.opened.set(self.opened.get() + 1);
    }

    #[cfg(test)]
    pub(super) fn slot(&self, index: usize) -> &Slot {
        &self.slots[index]
    }
}
