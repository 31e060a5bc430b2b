//! One exchange from head to tail: take the request in, find its route, run its pipeline, and send it to
//! an upstream or a responder; whatever fails is answered.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Method, Response, StatusCode, request};
use http_body::Body as _;
use tokio::time::Instant;

use super::ending::Ending;
use super::forward::forward;
use super::intake::intake;
use super::routers;
use super::tail::Tail;
use super::upgrade;
use super::view::{RouteAt, View};
use super::worker::Worker;
use crate::abi::Reply;
use crate::exchange::{Exchange, ResponseHead, Seen, Side};
use crate::ids::RequestId;
use crate::message::forwarded::{Peer, Scheme};
use crate::message::problem::{ErrorKind, Problem};
use crate::net::{ClientBody, Conn, Inlet, RequestBody};
use crate::pipeline::{Failed, Payload, Retry, Run, Stop};
use crate::tls::Secured;

/// What requests of one connection have in common.
pub(super) struct Client {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// Its address.
    pub peer: Peer,
    /// The listener that accepted it.
    pub listener: Arc<str>,
    /// The tunnel that the connection becomes.
    pub tunnel: upgrade::Slot,
    /// What its handshake brought; none in clear.
    pub secured: Option<Arc<Secured>>,
}

impl Client {
    /// What a stream has in common with the others of its connection, and a tunnel of its own.
    pub(super) fn of_stream(&self) -> Self {
        Self {
            worker: Rc::clone(&self.worker),
            peer: self.peer.clone(),
            listener: Arc::clone(&self.listener),
            tunnel: upgrade::Slot::default(),
            secured: self.secured.clone(),
        }
    }
}

/// Serves one request; failures are answers, too. `conn` is the state of the connection or stream that carries it.
pub(super) async fn serve(
    client: Rc<Client>,
    conn: Rc<Conn>,
    parts: request::Parts,
    incoming: Inlet,
) -> Response<Tail> {
    let started = Instant::now();
    conn.begin_request(started);
    let view = client.worker.view();
    let listener = view.listener(&client.listener).unwrap_or(usize::MAX);
    let (mut ending, refused) = begin(&client, &conn, view, listener, parts, started);
    if !incoming.is_end_stream() {
        conn.expect_body();
        let x = ending.run().x();
        x.request_body = Seen::Unread;
        // What came behind the head would have to be the body first.
        x.upgrade = None;
    }
    let refused = match (&ending.view.routers, refused) {
        (Some(_), refused) => Box::pin(routers::ask(&mut ending, refused)).await.err(),
        (None, Some(kind)) => Some(Box::new(Problem::new(kind))),
        (None, None) => None,
    };
    let outcome = match refused {
        Some(problem) => Err(Stop::Fail(problem)),
        None => exchange(conn, &mut ending, incoming).await,
    };
    let mut payload = match outcome {
        Ok(payload) => payload,
        Err(stop) => Box::pin(stopped(&mut ending, stop)).await,
    };
    if let Some(problem) = upgrade::misleads(&mut ending) {
        payload = Box::pin(stopped(&mut ending, Stop::Fail(problem))).await;
    }
    answer(ending, payload, &client.tunnel)
}

/// Routes the request and sets up its exchange.
fn begin(
    client: &Client,
    conn: &Rc<Conn>,
    view: Rc<View>,
    listener: usize,
    parts: request::Parts,
    started: Instant,
) -> (Box<Ending>, Option<ErrorKind>) {
    let mut at = RouteAt {
        listener,
        route: None,
    };
    let names = Arc::clone(&view.names);
    // Connections of a listener that is no more are about to be closed.
    let own = view.listeners.get(listener).unwrap_or(&view.closed);
    let asked_for_head = parts.method == Method::HEAD;
    let scheme = match client.secured {
        None => Scheme::Http,
        Some(_) => Scheme::Https,
    };
    let taken = intake(parts, &own.door, &client.peer, scheme);
    if let (None, Some(routing)) = (taken.refused, view.generation.tables.get(listener)) {
        let sni = client.secured.as_ref().and_then(|secured| secured.name());
        at.route = routing
            .table
            .find(&taken.lookup(sni))
            .and_then(|n| usize::try_from(n).ok());
    }
    let refused = taken
        .refused
        .or_else(|| at.route.is_none().then_some(ErrorKind::NoRoute));
    let id = RequestId::next().get();
    let (last_hop, awaits_leave) = (taken.last_hop, taken.awaits_leave);
    let by_connect = taken.by_connect;
    let mut exchange = Box::new(Exchange::new(id, started, taken.client_ip, taken.head, names));
    exchange.upgrade = taken.upgrade;
    exchange.secured.clone_from(&client.secured);
    exchange.raw_target = taken.raw_target;
    exchange.separators = own.door.separators;
    let pipeline = match view.route(at) {
        Some(route) => {
            if at.route.is_some() {
                exchange.route = Some(Arc::clone(&route.name));
            }
            exchange.deadline = route.timeout.map(|timeout| started + timeout);
            Rc::clone(&route.pipeline)
        }
        None => Rc::clone(&view.closed.none.pipeline),
    };
    let run = Run::new(pipeline, exchange);
    let mut ending = Ending::new(Rc::clone(&client.worker), Rc::clone(conn), view, at, started, run);
    ending.asked_for_head = asked_for_head;
    ending.last_hop = last_hop;
    ending.awaits_leave = awaits_leave;
    ending.by_connect = by_connect;
    ending.closes = refused.is_some_and(doubts_what_follows);
    (Box::new(ending), refused)
}

/// Why a request was refused lets doubt where the next one would begin.
fn doubts_what_follows(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectRefused | ErrorKind::UnsupportedTransferEncoding
    )
}

/// The way of an exchange that nothing stops.
async fn exchange(conn: Rc<Conn>, ending: &mut Ending, incoming: Inlet) -> Result<Payload, Stop> {
    let Some(route) = ending.route() else {
        return Err(Stop::Fail(Box::new(Problem::new(ErrorKind::NoRoute))));
    };
    let (max_body, target, onward) = (route.max_body, route.upstream, route.onward.clone());
    let run = ending.run();
    if !run.is_bare() {
        run.request_heads().await?;
    }
    let body = if incoming.is_end_stream() {
        RequestBody::Empty
    } else {
        let body = ClientBody::new(incoming, conn, max_body);
        if body.announces_too_much() {
            let problem = Problem::new(ErrorKind::BodyTooLarge);
            return Err(Stop::Fail(Box::new(problem.with_detail(format!(
                "the request body is longer than {max_body} bytes"
            )))));
        }
        RequestBody::Stream(body)
    };
    let body = run.request_bodies(body).await?;
    let filters = run.open_request(&body).await?;
    if let Some(order) = run.x().capture_order(Side::Request)
        && let Some(bytes) = body.capture(order.max)
    {
        run.captured(Side::Request, bytes);
    }
    let body = match filters {
        Some(filters) => run.filtered(body, filters),
        None => body,
    };
    let chosen = run.x().upstream.or(target);
    match chosen {
        Some(_) if ending.last_hop => Err(Stop::Respond(Box::new(own_answer()), ending.run().reached())),
        Some(upstream) => {
            upgrade::settle(ending)?;
            forward(ending, upstream, body, onward).await
        }
        None => {
            let run = ending.run();
            let whole = run.whole_request(body).await?;
            let reply = run.respond(whole).await?;
            let payload = run.accept(reply);
            let reached = run.reached();
            Ok(run.response(payload, reached).await?)
        }
    }
}

/// The answer to OPTIONS where the gateway is the last that may see it (RFC 9110 section 7.6.2).
fn own_answer() -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
    }
}

/// Answers an exchange that was stopped on its way.
async fn stopped(ending: &mut Ending, stop: Stop) -> Payload {
    let unrouted = ending.at.route.is_none();
    let run = ending.run();
    let stop = match stop {
        // The listener's pipeline runs for "no route", too.
        Stop::Fail(problem) if unrouted && problem.kind == ErrorKind::NoRoute => {
            run.request_heads().await.err().unwrap_or(Stop::Fail(problem))
        }
        stop => stop,
    };
    let problem = match run.stopped(stop).await {
        Ok(payload) => return payload,
        Err(problem) => problem,
    };
    match run.fail(problem, Retry::Impossible).await {
        Failed::Answer(payload) => payload,
        Failed::RetryOn(_) => Payload::default(),
    }
}

/// The body that a response may have, and a length that fits it, whatever hooks made of status and method.
fn fitted(head: &mut ResponseHead, payload: Payload, asked_for_head: bool, sent_as_head: bool) -> Payload {
    // RFC 9110, sections 8.6 and 15.3.6.
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
        head.headers.remove(CONTENT_LENGTH);
        return Payload::default();
    }
    if asked_for_head {
        // The fields of the whole answer, and nothing that is never asked for (RFC 9110, section 9.3.2).
        let length = payload.size_hint().exact().filter(|length| *length > 0);
        if let Some(length) = length {
            head.headers.entry(CONTENT_LENGTH).or_insert(length.into());
        }
        return Payload::default();
    }
    if sent_as_head {
        // The length of a body that the upstream did not send.
        head.headers.remove(CONTENT_LENGTH);
    }
    payload
}

/// Puts head and body together. The exchange keeps what `on-finish` hooks and the log read.
fn answer(mut ending: Box<Ending>, mut payload: Payload, tunnel: &upgrade::Slot) -> Response<Tail> {
    ending.answered = true;
    let (asked_for_head, closes) = (
        ending.asked_for_head,
        ending.closes || ending.withholds_leave(&payload),
    );
    ending.run().settle();
    if let Some(response) = upgrade::switch(&mut ending, &mut payload, tunnel) {
        return response;
    }
    let run = ending.run();
    let keeps = run.has_finish();
    let x = run.x();
    let sent_as_head = x.request.method == Method::HEAD;
    let mut head = x.response.as_mut();
    if let Some(head) = &mut head {
        payload = fitted(head, payload, asked_for_head, sent_as_head);
    }
    let (status, headers) = head.map_or_else(
        || (StatusCode::INTERNAL_SERVER_ERROR, http::HeaderMap::new()),
        |head| {
            let headers = if keeps {
                head.headers.clone()
            } else {
                std::mem::take(&mut head.headers)
            };
            (head.status, headers)
        },
    );
    let order = if keeps {
        run.x().capture_order(Side::Response)
    } else {
        None
    };
    ending.run().lend();
    let mut response = Response::new(Tail::new(payload, ending, order));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if closes {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}
