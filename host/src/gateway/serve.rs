//! One exchange from head to tail: take the request in, find its route, run its pipeline, and send it to
//! an upstream or a responder; whatever fails is answered.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::ending::{Ending, RouteAt, Tail};
use super::intake::intake;
use super::view::{UpstreamView, View};
use super::worker::Worker;
use crate::exchange::{Exchange, ResponseHead, UpstreamView as AnsweredBy};
use crate::ids::RequestId;
use crate::message::forwarded::Peer;
use crate::message::problem::{ErrorKind, Problem};
use crate::net::{ClientBody, Conn, RequestBody};
use crate::pipeline::{Failed, Payload, Retry, Run, Stop, upstream_failure, upstream_problem};
use crate::route::Lookup;
use crate::upstream::RequestHead;

/// Times that `on-error` may name another upstream in one exchange.
const MAX_FAILOVERS: u32 = 2;

/// What requests of one connection have in common.
pub(super) struct Client {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// Its state for the sweep.
    pub conn: Rc<Conn>,
    /// Its address.
    pub peer: Peer,
    /// The listener that accepted it.
    pub listener: Arc<str>,
}

/// Serves one request.
///
/// # Errors
/// Never; failures are answers.
pub(super) async fn serve(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Tail>, Infallible> {
    let started = Instant::now();
    client.conn.begin_request(started);
    let view = client.worker.view();
    let listener = view.listener(&client.listener).unwrap_or(usize::MAX);
    let (parts, incoming) = request.into_parts();
    let (mut ending, refused) = begin(&client, view, listener, parts, started);
    let outcome = match refused {
        Some(kind) => Err(Stop::Fail(Box::new(Problem::new(kind)))),
        None => exchange(&client, &mut ending, incoming).await,
    };
    let payload = match outcome {
        Ok(payload) => payload,
        Err(stop) => Box::pin(stopped(&mut ending, stop)).await,
    };
    Ok(answer(ending, payload))
}

/// Routes the request and sets up its exchange.
fn begin(
    client: &Rc<Client>,
    view: Rc<View>,
    listener: usize,
    parts: http::request::Parts,
    started: Instant,
) -> (Box<Ending>, Option<ErrorKind>) {
    let mut at = RouteAt {
        listener,
        route: None,
    };
    let names = Arc::clone(&view.names);
    // Connections of a listener that is no more are about to be closed.
    let own = view.listeners.get(listener).unwrap_or(&view.closed);
    let taken = intake(parts, own, &client.peer);
    if let (None, Some(routing)) = (taken.refused, view.generation.tables.get(listener)) {
        let lookup = Lookup {
            host: taken.host(),
            path: taken.head.target.path(),
            query: taken.head.target.query(),
            method: &taken.head.method,
            headers: &taken.head.headers,
            client_ip: taken.client_ip,
        };
        at.route = routing.table.find(&lookup).and_then(|n| usize::try_from(n).ok());
    }
    let refused = taken
        .refused
        .or_else(|| at.route.is_none().then_some(ErrorKind::NoRoute));
    let id = RequestId::next().get();
    let mut exchange = Box::new(Exchange::new(id, started, taken.client_ip, taken.head, names));
    exchange.raw_target = taken.raw_target;
    exchange.separators = own.separators;
    let pipeline = match at.of(&view) {
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
    let ending = Ending::new(
        Rc::clone(&client.worker),
        Rc::clone(&client.conn),
        view,
        at,
        started,
        run,
    );
    (Box::new(ending), refused)
}

/// The way of an exchange that nothing stops.
async fn exchange(client: &Client, ending: &mut Ending, incoming: Incoming) -> Result<Payload, Stop> {
    let Some(route) = ending.route() else {
        return Err(Stop::Fail(Box::new(Problem::new(ErrorKind::NoRoute))));
    };
    let (max_body, target) = (route.max_body, route.upstream);
    let run = ending.run();
    if !run.is_bare() {
        run.request_heads().await?;
    }
    let body = if incoming.is_end_stream() {
        RequestBody::Empty
    } else {
        let body = ClientBody::new(incoming, Rc::clone(&client.conn), max_body);
        if body.announces_too_much() {
            let problem = Problem::new(ErrorKind::BodyTooLarge);
            return Err(Stop::Fail(Box::new(problem.with_detail(format!(
                "the request body is longer than {max_body} bytes"
            )))));
        }
        RequestBody::Stream(body)
    };
    let body = run.request_bodies(body).await?;
    let chosen = run.x().upstream.or(target);
    match chosen {
        Some(upstream) => forward(ending, upstream, body).await,
        None => {
            let whole = run.whole_request(body).await?;
            let reply = run.respond(whole).await?;
            let payload = run.accept(reply);
            let reached = run.reached();
            Ok(run.response(payload, reached).await?)
        }
    }
}

/// Sends the request to an upstream, and to another one where `on-error` says so.
async fn forward(ending: &mut Ending, mut upstream: u32, mut body: RequestBody) -> Result<Payload, Stop> {
    let view = Rc::clone(&ending.view);
    let run = ending.run();
    // Only a hook can ask for another try, so only then is the body kept.
    let mut again = if run.has_error_hooks() {
        body.replay()
    } else {
        None
    };
    for tries in 0.. {
        let at = usize::try_from(upstream)
            .ok()
            .and_then(|index| view.upstreams.get(index));
        let Some(target) = at else {
            return Err(Stop::Fail(Box::new(Problem::new(ErrorKind::NoEndpoint))));
        };
        if tries > 0 {
            target.stats.retry();
        }
        let problem = match send(run, target, body).await {
            Ok(payload) => {
                if run.is_bare() {
                    return Ok(payload);
                }
                let reached = run.reached();
                return Ok(run.response(payload, reached).await?);
            }
            Err(problem) => problem,
        };
        let next = again.take().filter(|_| tries < MAX_FAILOVERS);
        let Some(next) = next else {
            return Err(Stop::Fail(problem));
        };
        match run.fail(problem, Retry::Possible).await {
            Failed::Answer(payload) => return Ok(payload),
            Failed::RetryOn(other) => upstream = other,
        }
        again = next.replay();
        body = next;
    }
    Err(Stop::Fail(Box::new(Problem::new(ErrorKind::InternalError))))
}

async fn send(run: &mut Run, target: &UpstreamView, body: RequestBody) -> Result<Payload, Box<Problem>> {
    let x = run.x();
    target.stats.request();
    x.answered_by = AnsweredBy {
        name: Some(Arc::clone(&target.name)),
        endpoint: None,
        first_byte_us: 0,
    };
    let Ok(authority) = x.request.authority.to_str() else {
        return Err(Box::new(Problem::new(ErrorKind::HostMalformed)));
    };
    let head = RequestHead {
        method: &x.request.method,
        target: x.request.target.as_str(),
        authority,
        headers: &x.request.headers,
    };
    let sent = Instant::now();
    let result = target.cluster.send(head, body, x.deadline).await;
    target.stats.connected(target.cluster.take_connects());
    match result {
        Ok(response) => {
            let took = sent.elapsed();
            target.stats.response(took);
            let (parts, body) = response.into_parts();
            x.answered_by.endpoint = Some(Arc::clone(body.endpoint()));
            x.answered_by.first_byte_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            x.response = Some(ResponseHead {
                status: parts.status,
                headers: parts.headers,
            });
            Ok(Payload::Upstream(Box::new(body)))
        }
        Err(failure) => {
            if let Some(kind) = upstream_failure(failure.kind) {
                target.stats.failure(kind);
            }
            tracing::debug!(upstream = &*target.name, endpoint = failure.endpoint.as_deref(), error = %failure, "the upstream failed");
            x.answered_by.endpoint = failure.endpoint.clone();
            Err(Box::new(upstream_problem(&failure)))
        }
    }
}

/// Answers an exchange that was stopped on its way.
async fn stopped(ending: &mut Ending, stop: Stop) -> Payload {
    let unrouted = ending.at.route.is_none();
    let run = ending.run();
    let problem = match stop {
        Stop::Respond(reply, below) => {
            let payload = run.accept(*reply);
            match run.response(payload, below).await {
                Ok(payload) => return payload,
                Err(problem) => problem,
            }
        }
        Stop::Fail(problem) => {
            // The listener's pipeline runs for "no route", too.
            if unrouted && problem.kind == ErrorKind::NoRoute {
                match run.request_heads().await {
                    Ok(()) => problem,
                    Err(Stop::Fail(problem)) => problem,
                    Err(Stop::Respond(reply, below)) => {
                        let payload = run.accept(*reply);
                        match run.response(payload, below).await {
                            Ok(payload) => return payload,
                            Err(problem) => problem,
                        }
                    }
                }
            } else {
                problem
            }
        }
    };
    match run.fail(problem, Retry::Impossible).await {
        Failed::Answer(payload) => payload,
        Failed::RetryOn(_) => Payload::default(),
    }
}

/// Puts head and body together. The exchange keeps what `on-finish` hooks and the log read.
fn answer(mut ending: Box<Ending>, mut payload: Payload) -> Response<Tail> {
    let run = ending.run();
    run.settle();
    let keeps = run.has_finish();
    let mut head = run.x().response.as_mut();
    if let Some(head) = &mut head
        && matches!(head.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT)
    {
        // A hook may have set the status on a response with a body (RFC 9110, sections 8.6 and 15.3.6).
        head.headers.remove(CONTENT_LENGTH);
        payload = Payload::default();
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
    let mut response = Response::new(Tail::new(payload, ending));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
