//! The way of a request to an upstream and back: tries, fallbacks, and the upstream that `on-error` names instead. It
//! refuses to know how the request came in and how the answer goes out.

mod attempt;
mod hedge;
mod lent;
mod mirror;
mod policy;
mod source;
mod tries;

use std::rc::Rc;

pub(super) use self::attempt::note;
use self::attempt::{Terms, send};
pub(super) use self::mirror::Mirroring;
use self::policy::Policy;
use self::source::{Keep, Source};
use self::tries::{Reached, tries};
use super::ending::Ending;
use super::view::{UpstreamView, View};
use crate::config::{Fallback, Retries};
use crate::exchange::ResponseHead;
use crate::message::grpc;
use crate::net::RequestBody;
use crate::pipeline::{Failed, Payload, Retry, Run, Stop, upstream_problem};
use crate::telemetry::RetryReason;
use crate::upstream::{Failure, FailureKind, RetrySafety};

/// Times that `on-error` may name another upstream in one exchange.
const MAX_FAILOVERS: u32 = 2;

/// What a route says of its requests to upstreams.
#[derive(Debug, Clone, Default)]
pub(super) struct Onward {
    /// Its own `retries`.
    pub retries: Option<Rc<Retries>>,
    /// Its copies.
    pub mirror: Option<Rc<Mirroring>>,
}

/// Sends the request to an upstream: as often as its retries, the route's or a hook allow, then to its fallback, then to
/// where `on-error` says.
pub(super) async fn forward(
    ending: &mut Ending,
    mut upstream: u32,
    body: RequestBody,
    onward: Onward,
) -> Result<Payload, Stop> {
    let view = Rc::clone(&ending.view);
    let run = ending.run();
    // A tunnel has two ends: there is no copy of what asks for one.
    let copied = run.x().upgrade.is_none();
    let mirror = onward.mirror.filter(|mirror| copied && mirror.is_due());
    let route = onward.retries.as_deref();
    let keep = keep(run, at(&view, upstream), route, mirror.as_deref());
    let (mut body, source) = Source::of(body, keep);
    if let Some(mirror) = mirror {
        mirror.copy(&view, &run.x().request, &source);
    }
    let mut failovers = 0;
    loop {
        let failure = match reach(run, &view, upstream, body, &source, route).await {
            Ok(payload) if run.is_bare() => return Ok(payload),
            Ok(payload) => {
                let reached = run.reached();
                return Ok(run.response(payload, reached).await?);
            }
            Err(failure) => failure,
        };
        let problem = Box::new(upstream_problem(&failure));
        let over = failure.kind == FailureKind::Deadline || failovers == MAX_FAILOVERS;
        let Some(again) = source.again().filter(|_| !over) else {
            return Err(Stop::Fail(problem));
        };
        match run.fail(problem, Retry::Possible).await {
            Failed::Answer(payload) => return Ok(payload),
            Failed::RetryOn(other) => upstream = other,
        }
        (body, failovers) = (again, failovers + 1);
    }
}

fn at(view: &View, upstream: u32) -> Option<&UpstreamView> {
    view.upstreams.get(usize::try_from(upstream).ok()?)
}

/// What must be kept of the request's body.
fn keep(
    run: &mut Run,
    target: Option<&UpstreamView>,
    route: Option<&Retries>,
    mirror: Option<&Mirroring>,
) -> Keep {
    let recourse = target.and_then(|target| target.recourse.as_deref());
    let hooks = run.has_error_hooks();
    let x = run.x();
    let retries = route.or_else(|| recourse?.retries.as_ref());
    let fallback = recourse.and_then(|recourse| recourse.fallback.as_ref());
    // A body that nobody may send twice is kept as long as nothing of it was sent.
    let up_to = |buffer, repeatable| if repeatable { buffer } else { 0 };
    let method = &x.request.method;
    let repeats_call = |retries: &Retries| retries.may_repeat_calls() && grpc::is_call(&x.request.headers);
    let again = match (retries, fallback) {
        (Some(retries), _) => {
            let repeatable = retries.may_repeat(method) || repeats_call(retries);
            Some(up_to(retries.buffer, repeatable))
        }
        (None, Some(Fallback::Upstream(_))) => Some(up_to(Retries::BUFFER, method.is_idempotent())),
        (None, None | Some(Fallback::Answer(_))) => None,
    };
    let copied = mirror.map(Mirroring::max_body);
    match again.max(copied) {
        Some(max) => Keep::UpTo(max),
        None if hooks || x.tries().extra > 0 => Keep::AtHand,
        None => Keep::Nothing,
    }
}

/// Sends the request to an upstream and, where that fails, to those that stand in for it, one after the other.
async fn reach(
    run: &mut Run,
    view: &View,
    mut upstream: u32,
    mut body: RequestBody,
    source: &Source,
    route: Option<&Retries>,
) -> Result<Payload, Box<Failure>> {
    loop {
        let Some(target) = at(view, upstream) else {
            return Err(Box::new(Failure {
                kind: FailureKind::NoEndpoint,
                endpoint: None,
                retry: RetrySafety::Unsent,
                source: None,
            }));
        };
        let asked = run.x().tries();
        if run.x().answered_by.tries > 0 {
            target.stats.retry(RetryReason::Failover);
        }
        let recourse = target.recourse.as_deref();
        let policy = Policy::of(route, recourse, asked);
        let reached = match &policy {
            None => send(run, target, body, Terms::default()).await.into(),
            Some(policy) => Box::pin(tries(run, target, body, source, policy)).await,
        };
        let fallback = recourse.and_then(|recourse| recourse.fallback.as_ref());
        let (result, repeatable) = match (reached, fallback) {
            (Reached::Answered(payload), _) | (Reached::Bad(payload), None) => return Ok(payload),
            (Reached::Failed(failure), None) => return Err(failure),
            // It is sent again only with a method that may be.
            (Reached::Bad(payload), _) => (Ok(payload), true),
            (Reached::Failed(failure), _) if is_final(failure.kind) => return Err(failure),
            (Reached::Failed(failure), _) => {
                let method = &run.x().request.method;
                let again = policy.map_or_else(|| method.is_idempotent(), |policy| policy.may_repeat(method));
                let over = failure.kind == FailureKind::Deadline;
                let repeatable = !over && (again || failure.retry == RetrySafety::Unsent);
                (Err(failure), repeatable)
            }
        };
        let again = source.again().filter(|_| repeatable);
        match (fallback, again) {
            (Some(Fallback::Answer(answer)), _) => {
                target.stats.fallback();
                run.x().response = Some(ResponseHead {
                    status: answer.status,
                    headers: answer.headers.clone(),
                });
                return Ok(Payload::Full(answer.body.clone()));
            }
            (Some(Fallback::Upstream(other)), Some(again)) => {
                let Ok(other) = u32::try_from(*other) else {
                    return result;
                };
                target.stats.fallback();
                run.x().response = None;
                (upstream, body) = (other, again);
            }
            _ => return result,
        }
    }
}

/// The client is to blame, the request itself, or a plugin whose faults are answered: no other upstream takes its place.
fn is_final(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::RequestBody
            | FailureKind::RequestStalled
            | FailureKind::Unsendable(_)
            | FailureKind::Unpicked
    )
}
