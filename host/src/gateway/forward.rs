//! The way of a request to an upstream and back: tries, and the upstream that `on-error` names instead. It refuses to
//! know how the request came in and how the answer goes out.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ending::Ending;
use super::view::UpstreamView;
use crate::exchange::{ResponseHead, UpstreamView as AnsweredBy};
use crate::message::problem::{ErrorKind, Problem};
use crate::net::RequestBody;
use crate::pipeline::{Failed, Payload, Retry, Run, Stop, upstream_failure, upstream_problem};
use crate::upstream::{Aim, Failure, FailureKind, RequestHead, RetrySafety, Until};

/// Times that `on-error` may name another upstream in one exchange.
const MAX_FAILOVERS: u32 = 2;

/// Sends the request to an upstream, again as often as a hook asked for, and to another one where `on-error` says so.
pub(super) async fn forward(
    ending: &mut Ending,
    mut upstream: u32,
    mut body: RequestBody,
) -> Result<Payload, Stop> {
    let view = Rc::clone(&ending.view);
    let run = ending.run();
    let tries = run.x().tries();
    // Only a hook can ask for another try, so only then is the body kept.
    let mut again = if tries.extra > 0 || run.has_error_hooks() {
        body.replay()
    } else {
        None
    };
    let (mut extra, mut failovers) = (tries.extra, 0);
    loop {
        let at = usize::try_from(upstream)
            .ok()
            .and_then(|index| view.upstreams.get(index));
        let Some(target) = at else {
            return Err(Stop::Fail(Box::new(Problem::new(ErrorKind::NoEndpoint))));
        };
        if run.x().answered_by.tries > 0 {
            target.stats.retry();
        }
        let failure = match send(run, target, body, tries.each).await {
            Ok(payload) => {
                if run.is_bare() {
                    return Ok(payload);
                }
                let reached = run.reached();
                return Ok(run.response(payload, reached).await?);
            }
            Err(failure) => failure,
        };
        let problem = Box::new(upstream_problem(&failure));
        let Some(next) = again.take() else {
            return Err(Stop::Fail(problem));
        };
        again = next.replay();
        body = next;
        if extra > 0 && failure.retry != RetrySafety::Unsafe && failure.kind != FailureKind::Deadline {
            extra -= 1;
            continue;
        }
        if failovers == MAX_FAILOVERS {
            return Err(Stop::Fail(problem));
        }
        let retry = if failure.kind == FailureKind::Deadline {
            Retry::Impossible
        } else {
            Retry::Possible
        };
        match run.fail(problem, retry).await {
            Failed::Answer(payload) => return Ok(payload),
            Failed::RetryOn(other) => upstream = other,
        }
        (extra, failovers) = (tries.extra, failovers + 1);
    }
}

/// Sends the request once; `within` is the time until the head of its response.
async fn send(
    run: &mut Run,
    target: &UpstreamView,
    body: RequestBody,
    within: Option<Duration>,
) -> Result<Payload, Box<Failure>> {
    let x = run.x();
    target.stats.request();
    x.answered_by = AnsweredBy {
        name: Some(Arc::clone(&target.name)),
        endpoint: None,
        first_byte_us: 0,
        tries: x.answered_by.tries + 1,
    };
    let head = RequestHead {
        method: &x.request.method,
        target: x.request.target.as_str(),
        // One that is no text is refused by the client.
        authority: x.request.authority.to_str().unwrap_or("\0"),
        headers: &x.request.headers,
    };
    let sent = Instant::now();
    let until = Until {
        end: x.deadline,
        head: within.map(|within| sent + within),
    };
    let result = target.cluster.send(head, body, until, Aim::default()).await;
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
            x.answered_by.endpoint.clone_from(&failure.endpoint);
            Err(Box::new(failure))
        }
    }
}
