//! Requests over HTTP/2 (RFC 9113): connections that many exchanges share. It refuses to know which endpoint comes next,
//! and other workers.

mod body;
mod head;
mod judgement;
mod link;
mod patience;
mod tunnel;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderName, Response, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::Instant;

pub use self::body::Http2Body;
pub(super) use self::link::Links;
use self::link::Use;
use self::patience::Patience;
pub(super) use self::tunnel::Tunnel;
use super::cluster::{Cluster, Until};
use super::failure::{BoxError, Failure, FailureKind, Fault, RetrySafety};
use super::lineup::Aim;
use super::pool::{Origin, Slot};
use super::request::{Framing, RequestHead};
use super::shared::Outcome;
use crate::message::http1::trailers;
use crate::mux::{Inflow, Outflow, OutflowError, Waits};

const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

/// How often a request is sent again that an endpoint has surely not seen.
const MAX_UNSEEN: u8 = 2;

/// Sends a request and waits for the head of its response. A request of which the upstream says that it has done
/// nothing with it (RFC 9113 section 8.7), or that met a connection which the upstream had closed (as
/// [`Cluster::send`] describes), is sent to the same endpoint again as long as its body is untouched.
pub(super) async fn send<B>(
    cluster: &Cluster,
    head: RequestHead<'_>,
    body: B,
    until: Until,
    aim: Aim<'_>,
) -> Result<Response<Http2Body>, Failure>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let framing = match body.size_hint().exact() {
        Some(0) => Framing::None,
        _ if body.is_end_stream() => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    let bare = framing == Framing::None;
    let mut body = Some(body).filter(|_| !bare);
    let mut left = MAX_UNSEEN;
    let mut slot = match aim.picker {
        None => cluster.first(aim)?,
        Some(picker) => cluster.picked(picker, aim).await?,
    };
    loop {
        let used = open(cluster, &slot, until, aim).await?;
        let attempt = Attempt { used, until };
        let mut broken = match attempt.run(head, framing, &mut body).await {
            Ok(response) => return Ok(response),
            Err(broken) => broken,
        };
        broken.fault = until.blame(broken.fault, FailureKind::FirstByteTimeout);
        let whole = bare || body.is_some();
        let unseen = match broken.seen {
            Seen::No => broken.fault.kind != FailureKind::NoTunnel,
            Seen::Lost => broken.used.origin() == Origin::Kept && head.method.is_idempotent(),
            Seen::Perhaps => false,
        };
        if left > 0 && whole && unseen {
            left -= 1;
            slot = Rc::clone(broken.used.slot());
            // It says nothing of the endpoint.
            broken.used.renew();
            continue;
        }
        broken.used.heard(Outcome::Failed(broken.fault.kind));
        let slot = broken.used.slot();
        if broken.fault.kind.is_upstreams() {
            slot.count_failure();
        }
        let label = slot.label.clone();
        return Err(match broken.seen {
            Seen::No => broken.fault.at(RetrySafety::Unsent, Some(label)),
            Seen::Lost | Seen::Perhaps => broken.fault.unanswered(head.method, label),
        });
    }
}

/// A connection with room, to the endpoint of `slot` or to one of the others.
async fn open(cluster: &Cluster, slot: &Rc<Slot>, until: Until, aim: Aim<'_>) -> Result<Use, Failure> {
    let take = async |slot: &Rc<Slot>, due| {
        let used = link::take(slot, due).await?;
        if used.origin() == Origin::Fresh {
            cluster.count_opened();
        }
        Ok(used)
    };
    cluster.connect(slot, until, aim, take).await
}

/// Whether an endpoint has begun to work on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It says that it has not.
    No,
    /// The connection was lost, perhaps before the request came.
    Lost,
    Perhaps,
}

/// A request that was sent and got no head.
struct Broken {
    fault: Fault,
    seen: Seen,
    used: Use,
}

impl Use {
    fn broken(self, fault: impl Into<Fault>, seen: Seen) -> Broken {
        Broken {
            fault: fault.into(),
            seen,
            used: self,
        }
    }
}

/// One request on one stream, until the head of its response.
struct Attempt {
    used: Use,
    until: Until,
}

impl Attempt {
    async fn run<B>(
        self,
        head: RequestHead<'_>,
        framing: Framing,
        body: &mut Option<B>,
    ) -> Result<Response<Http2Body>, Broken>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { mut used, until } = self;
        let slot = Rc::clone(used.slot());
        let scheme = if slot.settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let asked = match head.upgrade.filter(|_| body.is_none()) {
            None => None,
            // Boxed: others do not pay for its size.
            Some(_) => match Box::pin(tunnel::agree(&used, &head, until)).await {
                Ok(asked) => asked,
                Err((fault, seen)) => {
                    if fault.kind == FailureKind::FirstByteTimeout || seen == Seen::Lost {
                        used.spoil();
                    }
                    return Err(used.broken(fault, seen));
                }
            },
        };
        let request = match head::request(head, framing, scheme, asked.as_ref()) {
            Ok(request) => request,
            Err(why) => return Err(used.broken(FailureKind::Unsendable(why), Seen::Perhaps)),
        };
        let ends = body.is_none() && asked.is_none();
        let (mut response, stream) = match used.begin(request, ends) {
            Ok(begun) => begun,
            Err(error) => {
                let (fault, seen) = judge(error, FailureKind::Reset);
                if !matches!(fault.kind, FailureKind::Unsendable(_)) {
                    used.spoil();
                }
                return Err(used.broken(fault, seen));
            }
        };
        let (mut upload, opening) = match (body.take(), asked) {
            (Some(body), _) => (
                Some(Outflow::new(stream, body.map_frame(trailers::cleaned))),
                None,
            ),
            (None, asked) => (None, asked.map(|asked| (asked, stream))),
        };
        let settings = &*slot.settings;
        let mut patience = Patience::new(slot.links.timer(), until.first());
        let answered = poll_fn(|cx| {
            let waits = match &mut upload {
                None => None,
                Some(outflow) => {
                    let before = outflow.taken();
                    let polled = outflow.poll(cx);
                    if outflow.taken() != before {
                        patience.touch();
                    }
                    match polled {
                        Poll::Pending => Some(outflow.waits()),
                        Poll::Ready(Err(OutflowError::Body(error))) => {
                            outflow.reset(Reason::CANCEL);
                            let fault = Fault::with(FailureKind::RequestBody, error);
                            return Poll::Ready(Err((fault, Seen::Perhaps)));
                        }
                        // What it answers says why it wants no more.
                        Poll::Ready(_) => {
                            upload = None;
                            patience.touch();
                            None
                        }
                    }
                }
            };
            if let Poll::Ready(response) = Pin::new(&mut response).poll(cx) {
                return Poll::Ready(response.map_err(|error| judge(error, FailureKind::Reset)));
            }
            let (timeout, kind) = match waits {
                Some(Waits::Body) => (settings.idle_timeout, FailureKind::RequestStalled),
                Some(Waits::Peer) => (settings.idle_timeout, FailureKind::IdleTimeout),
                None => (settings.first_byte_timeout, FailureKind::FirstByteTimeout),
            };
            patience
                .poll_over(timeout, kind, cx)
                .map(|kind| Err((kind.into(), Seen::Perhaps)))
        });
        let answered = match answered.await {
            Ok(response) => response,
            Err((fault, seen)) => {
                // A connection on which nothing comes may be dead.
                let is_silent = matches!(
                    fault.kind,
                    FailureKind::FirstByteTimeout | FailureKind::IdleTimeout
                );
                if is_silent || seen == Seen::Lost {
                    used.spoil();
                }
                slot.links.keep_timer(patience.into_timer());
                return Err(used.broken(fault, seen));
            }
        };
        let (mut parts, stream) = answered.into_parts();
        if parts.headers.len() > settings.max_headers {
            return Err(used.broken(FailureKind::HeadTooLarge, Seen::Perhaps));
        }
        let opened = opening.and_then(|(asked, outflow)| asked.answered(&mut parts, outflow));
        let outcome = judgement::of_head(&parts);
        match outcome {
            Some(outcome) => used.heard(outcome),
            None => used.head_came(),
        }
        let body = match opened {
            Some(opened) => {
                slot.links.keep_timer(patience.into_timer());
                Http2Body::tunnel(outcome, Tunnel::new(used, stream, opened), &slot.label)
            }
            None => {
                patience.extend(until.end);
                let inflow = Inflow::new(stream, &parts.headers);
                Http2Body::new(used, outcome, inflow, upload, patience)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        // Speak of a proxy that the client does not see, as in `response`.
        for name in [header::PROXY_AUTHENTICATE, PROXY_AUTHENTICATION_INFO] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }
}

/// What an error of a stream means; `lost` is what the loss of the connection is called at this point.
fn judge(error: h2::Error, lost: FailureKind) -> (Fault, Seen) {
    let unseen = error.is_remote()
        && (error.is_go_away() || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM));
    let kind = if error.is_library() {
        FailureKind::Malformed("a violation of HTTP/2")
    } else if lost == FailureKind::Reset && error.get_io().is_some_and(is_tls) {
        // With TLS 1.3 a server refuses our certificate only after the handshake.
        FailureKind::Tls
    } else if error.is_io() || error.is_remote() {
        lost
    } else {
        FailureKind::Unsendable("a message that HTTP/2 does not take")
    };
    let seen = match kind {
        _ if unseen => Seen::No,
        FailureKind::Reset if error.is_io() => Seen::Lost,
        _ => Seen::Perhaps,
    };
    (Fault::with(kind, error), seen)
}

/// The fault is one of TLS, not of the connection below: the crate keeps no more of it than its kind.
fn is_tls(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// Whether a deadline has passed.
fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}
