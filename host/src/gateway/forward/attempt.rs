//! One try at an upstream, counted, with what it leaves in the exchange. It refuses to know what follows it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response};
use tokio::time::Instant;

use super::hedge::{self, Hedge};
use super::lent;
use crate::exchange::{Exchange, RequestHead as Head, ResponseHead, UpstreamView as AnsweredBy};
use crate::gateway::affinity::Tie;
use crate::gateway::upgrade;
use crate::gateway::view::UpstreamView;
use crate::net::RequestBody;
use crate::pipeline::{Payload, Run, upstream_failure};
use crate::upstream::{Aim, Failure, Reply, RequestHead, Tried, Until, hash};

/// What the client of an upstream gives.
pub(super) type Sent = Result<Response<Reply<RequestBody>>, Failure>;

/// What holds for one try.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms<'a> {
    /// The time until the head of the response.
    pub within: Option<Duration>,
    /// Endpoints that were tried.
    pub tried: Option<&'a Tried>,
    /// A second try beside it.
    pub hedge: Option<Hedge<'a>>,
}

/// Sends the request once, or once more beside a slow first time.
pub(super) async fn send(
    run: &mut Run,
    target: &UpstreamView,
    body: RequestBody,
    terms: Terms<'_>,
) -> Result<Payload, Box<Failure>> {
    let x = run.x();
    target.stats.request();
    x.answered_by = AnsweredBy {
        name: Some(Arc::clone(&target.name)),
        endpoint: None,
        first_byte_us: 0,
        tries: x.answered_by.tries + 1,
    };
    if target.balancer.is_some() || run.lends() {
        return Box::pin(lent::send(run, target, body, terms)).await;
    }
    let x = run.x();
    let head = head(target, &x.request, x.upgrade.as_ref());
    let affinity = target.affinity.as_deref();
    let tie = affinity.map(|affinity| affinity.tie(&x.request, x.client_ip));
    let tie = tie.unwrap_or_default();
    let aim = Aim {
        key: tie.key,
        stick: tie.stick,
        tried: terms.tried,
        picker: None,
    };
    let sent = Instant::now();
    let until = Until {
        end: x.deadline,
        head: terms.within.map(|within| sent + within),
    };
    let result = match terms.hedge {
        Some(hedge) if hedge::suits(&head, &body) => {
            let race = hedge::race(target, head, until, aim, terms.within, hedge);
            let (result, tries) = Box::pin(race).await;
            x.answered_by.tries += tries;
            result
        }
        _ => target.cluster.send(head, body, until, aim).await,
    };
    came(x, target, tie, sent, result)
}

/// The head of a request, as the client of the upstream wants it.
pub(super) fn head<'a>(
    target: &'a UpstreamView,
    request: &'a Head,
    upgrade: Option<&'a HeaderValue>,
) -> RequestHead<'a> {
    RequestHead {
        method: &request.method,
        target: request.target.as_str(),
        // One that is no text is refused by the client.
        authority: request.authority.to_str().unwrap_or("\0"),
        headers: &request.headers,
        upgrade,
        via: target.via.as_ref().map(|via| via.of(request.version)),
    }
}

/// Notes in the exchange what came of a try that began at `sent`.
pub(super) fn came(
    x: &mut Exchange,
    target: &UpstreamView,
    tie: Tie,
    sent: Instant,
    result: Sent,
) -> Result<Payload, Box<Failure>> {
    target.stats.connected(target.cluster.take_connects());
    match result {
        Ok(response) if !upgrade::proves(x, &response) => {
            Err(failed(x, target, upgrade::unproven(&response)))
        }
        Ok(response) => {
            let took = sent.elapsed();
            target.stats.response(took);
            let (mut parts, body) = response.into_parts();
            if let Some(affinity) = target.affinity.as_deref() {
                affinity.settle(tie, hash(body.endpoint().as_bytes()), &mut parts.headers);
            }
            x.answered_by.endpoint = Some(Arc::clone(body.endpoint()));
            x.answered_by.first_byte_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            x.response = Some(ResponseHead {
                status: parts.status,
                headers: parts.headers,
            });
            Ok(Payload::Upstream(body))
        }
        Err(failure) => Err(failed(x, target, failure)),
    }
}

/// Notes a try that failed in the exchange, too.
fn failed(x: &mut Exchange, target: &UpstreamView, failure: Failure) -> Box<Failure> {
    note(target, &failure);
    x.answered_by.endpoint.clone_from(&failure.endpoint);
    Box::new(failure)
}

/// Counts and logs a try that failed.
pub(in crate::gateway) fn note(target: &UpstreamView, failure: &Failure) {
    if let Some(kind) = upstream_failure(failure.kind) {
        target.stats.failure(kind);
    }
    tracing::debug!(upstream = &*target.name, endpoint = failure.endpoint.as_deref(), error = %failure, "the upstream failed");
}
