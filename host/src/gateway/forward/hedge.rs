//! A second try beside a first that takes long: the first good response counts, and the other try is given up. It
//! refuses to know what is done when both fail.
//!
//! After J. Dean and L. A. Barroso, *The Tail at Scale* (CACM 56.2, 2013), "hedged requests".

use std::pin::pin;
use std::time::Duration;

use http_body::Body as _;
use tokio::time::Instant;

use super::attempt::{Sent, note};
use super::policy::Policy;
use crate::clock;
use crate::gateway::view::UpstreamView;
use crate::net::RequestBody;
use crate::upstream::{Aim, RequestHead, Until};

/// When there is a second try, and what counts as a good response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hedge<'a> {
    /// Time that the first try has.
    pub after: Duration,
    /// What is tried again is not good.
    pub policy: &'a Policy<'a>,
}

/// Whether a request may be sent twice at once: it has no body, opens no tunnel, and doing it twice is doing it once.
pub(super) fn suits(head: &RequestHead<'_>, body: &RequestBody) -> bool {
    head.method.is_idempotent() && head.upgrade.is_none() && body.is_end_stream()
}

/// Sends a request without a body and, if there is no answer in time, a second time. Gives the result that counts, and
/// how many tries there were beside the first. Dropping the other ends its exchange: it
/// closes its connection, or resets its stream.
pub(super) async fn race(
    target: &UpstreamView,
    head: RequestHead<'_>,
    until: Until,
    aim: Aim<'_>,
    within: Option<Duration>,
    hedge: Hedge<'_>,
) -> (Sent, u32) {
    let send = |until| target.cluster.send(head, RequestBody::Empty, until, aim);
    let mut first = pin!(send(until));
    tokio::select! {
        biased;
        result = &mut first => return (result, 0),
        () = tokio::time::sleep(hedge.after) => {}
    }
    let budget = target.cluster.shared().budget();
    if !budget.withdraw(hedge.policy.budget(), clock::monotonic_ns()) {
        target.stats.over_budget();
        return (first.await, 0);
    }
    target.stats.request();
    target.stats.hedge();
    let second = Until {
        head: within.map(|within| Instant::now() + within),
        ..until
    };
    let mut second = pin!(send(second));
    let is_good = |result: &Sent| {
        result.as_ref().is_ok_and(|response| {
            let (status, headers) = (response.status(), response.headers());
            !status.is_server_error() && hedge.policy.after_head(status, headers, head.method).is_none()
        })
    };
    let (early, late) = tokio::select! {
        biased;
        result = &mut first => {
            if is_good(&result) {
                picked(aim, second).await;
                return (result, 1);
            }
            (result, second.await)
        }
        result = &mut second => {
            if is_good(&result) {
                target.stats.hedge_won();
                picked(aim, first).await;
                return (result, 1);
            }
            (result, first.await)
        }
    };
    // A bad response says more than none, and a late one is newer.
    let (chosen, other) = if late.is_ok() || early.is_err() {
        (late, early)
    } else {
        (early, late)
    };
    if let Err(failure) = &other {
        note(target, failure);
    }
    (chosen, 1)
}

/// A try that is given up while its endpoint is picked goes on until that is done.
async fn picked(aim: Aim<'_>, given_up: impl Future<Output = Sent>) {
    if let Some(picker) = aim.picker {
        tokio::select! {
            biased;
            () = picker.rest() => {}
            result = given_up => drop(result),
        }
    }
}
