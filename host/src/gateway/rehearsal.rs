//! A rehearsal: exchanges through the pipeline of one plugin, on the calling thread and without a socket. Requests are taken
//! in, hooks run and failures are answered by the code that serves traffic; only the connections and the upstream are
//! played. It refuses to know what is expected of a plugin.

mod stopwatch;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use tokio::time::Instant;

use super::intake::{Door, intake};
use crate::abi::Outcome;
use crate::exchange::{Exchange, Names, ResponseHead, Seen, Side};
use crate::ids::RequestId;
use crate::message::body::{Collected, collect};
use crate::message::forwarded::{Peer, Scheme, TrustedProxies};
use crate::message::problem::{ErrorKind, Problem};
use crate::net::RequestBody;
use crate::pipeline::{Failed, Payload, Pipeline, Retry, Run, Stage, Stop, Told};
use crate::plugin::{Fault, Hook, Pool, Unit, Warmer};
use crate::telemetry::{PluginState, Telemetry};

/// The upstream that a route would have; index 0 of the names.
const DEFAULT: &str = "default";
/// Host of requests that name none.
const HOSTNAME: &str = "test.example";
/// Bytes of a body that is shown.
const MAX_BODY: usize = 64 << 20;

/// A plugin entry, ready to be rehearsed. Belongs inside a `LocalSet`: pools make instances on one.
#[derive(Debug)]
pub struct Rehearsal {
    unit: Arc<Unit>,
    pipeline: Rc<Pipeline>,
    routers: Option<Rc<Pipeline>>,
    names: Arc<Names>,
    door: Door,
}

/// What is put in.
#[derive(Debug, Clone)]
pub struct Cue {
    /// The request's method.
    pub method: Method,
    /// Its path and query, as sent.
    pub target: PathAndQuery,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Where it comes from.
    pub client_ip: IpAddr,
    /// Attributes that are set already.
    pub attributes: Vec<(String, String)>,
    /// What the upstream answers; none for the plugin's own responder, or 200 without a body where it has none.
    pub response: Option<(ResponseHead, Bytes)>,
}

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// Every call, in order.
    pub told: Vec<Told>,
    /// The request that the upstream would get; none when it is not asked.
    pub sent: Option<Sent>,
    /// Status and fields that the client would get.
    pub head: ResponseHead,
    /// The body that it would get.
    pub body: Bytes,
    /// Code of the error that it is.
    pub code: Option<String>,
    /// Attributes at the end.
    pub attributes: Vec<(String, String)>,
}

/// A request to an upstream.
#[derive(Debug)]
pub struct Sent {
    /// The upstream that a hook named, or `default`.
    pub name: Arc<str>,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub target: PathAndQuery,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Rehearsal {
    /// Makes the first instance.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn new(
        unit: Arc<Unit>,
        upstreams: &[Arc<str>],
        telemetry: &Arc<Telemetry>,
        warmer: Warmer,
    ) -> Result<Self, Fault> {
        let stats = telemetry.plugin(0, &unit.entry.name);
        let first = unit.instantiate()?;
        let pool = Pool::new(
            Arc::clone(&unit),
            warmer,
            None,
            Some(Box::new(first)),
            Arc::clone(&stats),
        );
        let stage = Stage {
            name: Arc::clone(&unit.entry.name),
            pool: Some(pool),
            state: PluginState::Active,
            stats,
            telemetry: Arc::clone(telemetry),
        };
        let responder = unit.has(Hook::Responder).then(|| stage.clone());
        let names = std::iter::once(DEFAULT.into()).chain(upstreams.iter().cloned());
        Ok(Self {
            unit,
            routers: Pipeline::of_routers(vec![stage.clone()]),
            pipeline: Pipeline::new(vec![stage], Vec::new(), responder),
            names: Arc::new(Names {
                upstreams: names.collect(),
            }),
            door: Door::closed(),
        })
    }

    /// One exchange from head to tail, `on-finish` included.
    pub async fn play(&self, cue: Cue) -> Played {
        let started = Instant::now();
        let (x, refused) = self.exchange(&cue, started);
        let mut run = Run::new(Rc::clone(self.routers.as_ref().unwrap_or(&self.pipeline)), x);
        run.watch();
        let (mut told, mut sent, mut outcome) = (Vec::new(), None, Ok(()));
        if let Some(kind) = refused {
            outcome = Err(Stop::Fail(Box::new(Problem::new(kind))));
        } else if self.routers.is_some() {
            let route = run.ask_routers(|name| Some(name.to_owned())).await;
            told = run.told();
            run.settle();
            run.enter(Rc::clone(&self.pipeline));
            run.watch();
            match route {
                Ok(route) => run.x().route = route.map(Into::into),
                Err(problem) => outcome = Err(Stop::Fail(problem)),
            }
        }
        let (received, answer) = (cue.body.len() as u64, cue.response);
        let played = match outcome {
            Ok(()) => self.act(&mut run, cue.body, answer.as_ref(), &mut sent).await,
            Err(stop) => Err(stop),
        };
        let payload = match played {
            Ok(payload) => payload,
            Err(stop) => stopped(&mut run, stop, answer.as_ref(), &mut sent, &self.names).await,
        };
        run.settle();
        let body = whole(payload).await;
        self.ended(run, told, sent, body, received, started).await
    }

    fn exchange(&self, cue: &Cue, started: Instant) -> (Box<Exchange>, Option<ErrorKind>) {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = cue.method.clone();
        parts.uri = cue.target.clone().into();
        parts.version = Version::HTTP_11;
        parts.headers = cue.headers.clone();
        parts
            .headers
            .entry(HOST)
            .or_insert(HeaderValue::from_static(HOSTNAME));
        let peer = Peer::new(cue.client_ip, &TrustedProxies::new(Vec::new()));
        let taken = intake(parts, &self.door, &peer, Scheme::Http);
        let names = Arc::clone(&self.names);
        let id = RequestId::next().get();
        let mut x = Box::new(Exchange::new(id, started, taken.client_ip, taken.head, names));
        x.raw_target = taken.raw_target;
        x.route = Some("test".into());
        if !cue.body.is_empty() {
            x.request_body = Seen::Unread;
        }
        for (key, value) in &cue.attributes {
            x.attributes.restore(key, Some(value.clone()));
        }
        (x, taken.refused)
    }

    /// The way of an exchange that nothing stops, as `serve` has it.
    async fn act(
        &self,
        run: &mut Run,
        body: Bytes,
        answer: Option<&(ResponseHead, Bytes)>,
        sent: &mut Option<Sent>,
    ) -> Result<Payload, Stop> {
        run.request_heads().await?;
        let body = run.request_bodies(RequestBody::full(body, None)).await?;
        if let Some(order) = run.x().capture_order(Side::Request)
            && let Some(bytes) = body.capture(order.max)
        {
            run.captured(Side::Request, bytes);
        }
        if answer.is_none() && self.unit.has(Hook::Responder) {
            let whole = run.whole_request(body).await?;
            let reply = run.respond(whole).await?;
            let payload = run.accept(reply);
            let reached = run.reached();
            return Ok(run.response(payload, reached).await?);
        }
        let body = match collect(body, MAX_BODY).await {
            Ok(Collected::Whole(whole)) => whole.bytes,
            Ok(Collected::Overflow { .. }) | Err(_) => Bytes::new(),
        };
        *sent = Some(forwarded(run.x(), &self.names, body));
        let payload = answered(run, answer);
        let reached = run.reached();
        Ok(run.response(payload, reached).await?)
    }

    async fn ended(
        &self,
        mut run: Run,
        mut told: Vec<Told>,
        sent: Option<Sent>,
        body: Bytes,
        received: u64,
        started: Instant,
    ) -> Played {
        if run.x().capture_order(Side::Response).is_some() {
            run.captured(Side::Response, body.clone());
        }
        let x = run.x();
        let head = x.response.clone().unwrap_or_else(nothing);
        let code = x.error.as_ref().map(|error| error.code.clone());
        let attributes = x.attributes.iter();
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let attributes = attributes.collect();
        told.extend(run.told());
        if run.has_finish() {
            let total = Instant::now().saturating_duration_since(started).as_micros();
            let outcome = Outcome {
                status: head.status.as_u16(),
                bytes_in: received,
                bytes_out: body.len() as u64,
                total_us: u64::try_from(total).unwrap_or(u64::MAX),
                upstream_us: 0,
                aborted: false,
            };
            run.call_finish(outcome).await;
            told.extend(run.told());
        }
        Played {
            told,
            sent,
            head,
            body,
            code,
            attributes,
        }
    }
}

/// Answers an exchange that was stopped on its way.
async fn stopped(
    run: &mut Run,
    stop: Stop,
    answer: Option<&(ResponseHead, Bytes)>,
    sent: &mut Option<Sent>,
    names: &Names,
) -> Payload {
    let problem = match run.stopped(stop).await {
        Ok(payload) => return payload,
        Err(problem) => problem,
    };
    match run.fail(problem, Retry::Possible).await {
        Failed::Answer(payload) => payload,
        // Another upstream, which answers what was to be answered.
        Failed::RetryOn(upstream) => {
            run.x().upstream = Some(upstream);
            *sent = Some(forwarded(run.x(), names, Bytes::new()));
            let payload = answered(run, answer);
            let reached = run.reached();
            run.response(payload, reached).await.unwrap_or_default()
        }
    }
}

/// The request as it goes to the upstream.
fn forwarded(x: &Exchange, names: &Names, body: Bytes) -> Sent {
    let index = x.upstream.and_then(|index| usize::try_from(index).ok());
    let name = names.upstreams.get(index.unwrap_or(0));
    Sent {
        name: name.map_or_else(|| DEFAULT.into(), Arc::clone),
        method: x.request.method.clone(),
        target: x.request.target.clone(),
        headers: x.request.headers.clone(),
        body,
    }
}

/// The upstream has answered.
fn answered(run: &mut Run, answer: Option<&(ResponseHead, Bytes)>) -> Payload {
    let (head, body) = answer
        .cloned()
        .unwrap_or_else(|| (ok(StatusCode::OK), Bytes::new()));
    run.x().response = Some(head);
    Payload::Full(body)
}

fn ok(status: StatusCode) -> ResponseHead {
    ResponseHead {
        status,
        headers: HeaderMap::new(),
    }
}

fn nothing() -> ResponseHead {
    ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn whole(payload: Payload) -> Bytes {
    match payload {
        Payload::Full(bytes) => bytes,
        payload => match collect(payload, MAX_BODY).await {
            Ok(Collected::Whole(whole)) => whole.bytes,
            Ok(Collected::Overflow { .. }) | Err(_) => Bytes::new(),
        },
    }
}
