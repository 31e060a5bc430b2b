//! Connections that go over to another protocol (RFC 9110 section 7.8), such as WebSocket: who may, the switch itself,
//! and the end of an exchange that has become a tunnel. It refuses to know what is spoken in it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{Response, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::ending::{Account, Ending, over};
use super::tail::Tail;
use super::worker::Worker;
use crate::exchange::{ErrorView, Exchange};
use crate::message::problem::{ErrorKind, Problem};
use crate::message::{upgrade, websocket};
use crate::net::{Carried, RequestBody, TunnelEnd, tie};
use crate::pipeline::{Payload, Run};
use crate::telemetry::{ListenerStats, RouteStats};
use crate::upstream::{Failure, FailureKind, Reply, RetrySafety, Upgraded};

/// Leaves of the protocols that the client asks for those that the route allows. Where it is none the request goes on
/// without, as a server may always pass an upgrade over, except for WebSocket: a client that opens one has no use for
/// another answer.
///
/// # Errors
/// When the route takes no WebSocket.
pub(super) fn settle(ending: &mut Ending) -> Result<(), Box<Problem>> {
    let Some(asked) = ending.run().x().upgrade.take() else {
        return Ok(());
    };
    let protocols = ending.route().map(|route| Arc::clone(&route.upgrades.protocols));
    let allowed = protocols.and_then(|protocols| upgrade::allowed(&asked, &protocols));
    if allowed.is_none() && upgrade::names(&asked, websocket::NAME) {
        return Err(Box::new(Problem::new(ErrorKind::UpgradeRefused)));
    }
    ending.run().x().upgrade = allowed;
    Ok(())
}

/// Whether a 101 to a handshake of the gateway's own proves that it answers it (RFC 6455 section 4.1). Clients that speak
/// HTTP/1.1 look at theirs themselves, and other responses prove nothing.
pub(super) fn proves(x: &Exchange, response: &Response<Reply<RequestBody>>) -> bool {
    response.status() != StatusCode::SWITCHING_PROTOCOLS
        || x.request.version != Version::HTTP_2
        || websocket::answers(response.headers(), &x.request.headers)
}

/// The failure of an upstream whose 101 does not.
pub(super) fn unproven(response: &Response<Reply<RequestBody>>) -> Failure {
    Failure {
        kind: FailureKind::Malformed("a 101 that does not answer the key"),
        endpoint: Some(Arc::clone(response.body().endpoint())),
        retry: RetrySafety::Unsafe,
        source: None,
    }
}

/// What is answered in place of a success that opens no tunnel to a client that would take it for one (RFC 9113 section
/// 8.5): the upstream, or a plugin, has passed the upgrade over.
pub(super) fn misleads(ending: &mut Ending) -> Option<Box<Problem>> {
    if !ending.by_connect {
        return None;
    }
    let response = ending.run().x().response.as_ref()?;
    let misleads = response.status.is_success();
    misleads.then(|| Box::new(Problem::new(ErrorKind::UpgradeRefused)))
}

/// A tunnel that begins when the 101 has reached the client.
#[derive(Debug)]
pub(super) struct Switched {
    upstream: Upgraded,
    idle: Duration,
    open: Open,
}

/// Where a connection's exchange leaves its tunnel for the task that drives the connection.
pub(super) type Slot = RefCell<Option<Box<Switched>>>;

/// The 101 of an exchange whose upstream has gone over; none for any other answer. From here on the exchange holds
/// nothing of its generation but its `on-finish` hooks, and has no deadline.
pub(super) fn switch(ending: &mut Box<Ending>, payload: &mut Payload, slot: &Slot) -> Option<Response<Tail>> {
    let Payload::Upstream(body) = payload else {
        return None;
    };
    let response = ending.run().x().response.as_ref();
    // A hook may have put another answer in its place.
    if response?.status != StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    let upstream = body.take_upgraded()?;
    let (idle, stats) = ending
        .route()
        .map(|route| (route.upgrades.idle, Arc::clone(&route.stats)))?;
    let started = ending.started();
    let worker = Rc::clone(&ending.worker);
    let mut run = ending.detach()?;
    run.let_go();
    let mut headers = run.x().response.as_ref()?.headers.clone();
    let status = if ending.by_connect {
        // RFC 8441 section 5.
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        StatusCode::OK
    } else {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upstream.protocol().clone());
        StatusCode::SWITCHING_PROTOCOLS
    };
    let open = Open {
        run: Some(run),
        worker,
        stats,
        started,
        switched: Instant::now(),
        carried: Carried::default(),
        end: None,
    };
    *slot.borrow_mut() = Some(Box::new(Switched { upstream, idle, open }));
    let mut response = Response::new(Tail::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Some(response)
}

impl Switched {
    /// Carries bytes between the client and the upstream to the end of both directions. `early` came from the client
    /// before it was told of the switch. Any pair of byte streams will do.
    pub(super) async fn run<C>(self: Box<Self>, client: C, early: Bytes, stats: &ListenerStats)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let _counted = Counted::new(stats);
        let Self {
            upstream,
            idle,
            mut open,
        } = *self;
        let end = tie(client, upstream, early, idle, &open.carried).await;
        tracing::debug!(?end, "a tunnel has ended");
        open.end = Some(end);
    }
}

/// A tunnel as the listener counts it, until it is dropped.
struct Counted<'a>(&'a ListenerStats);

impl<'a> Counted<'a> {
    fn new(stats: &'a ListenerStats) -> Self {
        stats.upgraded();
        Self(stats)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.tunnel_closed();
    }
}

/// An exchange that has become a tunnel; ends it when dropped.
struct Open {
    run: Option<Run>,
    worker: Rc<Worker>,
    stats: Arc<RouteStats>,
    started: Instant,
    switched: Instant,
    carried: Carried,
    end: Option<TunnelEnd>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open")
            .field("carried", &self.carried)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(mut run) = self.run.take() else { return };
        let kind = match self.end {
            Some(TunnelEnd::Second(_)) => Some(ErrorKind::UpstreamReset),
            Some(TunnelEnd::Idle) => Some(ErrorKind::UpstreamIdleTimeout),
            _ => None,
        };
        if let Some(kind) = kind {
            run.x().error = Some(ErrorView::from(&Problem::new(kind)));
        }
        let account = Account {
            status: StatusCode::SWITCHING_PROTOCOLS.as_u16(),
            took: self.started.elapsed(),
            // How long a tunnel stays open says nothing about how fast it was answered.
            answered_after: self.switched.saturating_duration_since(self.started),
            received: self.carried.there.get(),
            sent: self.carried.back.get(),
            complete: matches!(self.end, Some(TunnelEnd::Closed)),
        };
        over(&self.worker, run, Some(&self.stats), &account);
    }
}
