//! The tries of one exchange at one upstream, until a response is good or no further try is allowed. It refuses to know
//! other upstreams.

use tokio::time::Instant;

use super::attempt::{Terms, send};
use super::hedge::Hedge;
use super::policy::Policy;
use super::source::Source;
use crate::gateway::view::UpstreamView;
use crate::net::RequestBody;
use crate::pipeline::{Payload, Run};
use crate::upstream::{Failure, Tried};
use crate::{clock, ids};

/// What came of the tries.
#[derive(Debug)]
pub(super) enum Reached {
    /// A response; its head is in the exchange.
    Answered(Payload),
    /// A response with a status that is tried again, but no further try.
    Bad(Payload),
    /// The last try failed.
    Failed(Box<Failure>),
}

impl From<Result<Payload, Box<Failure>>> for Reached {
    fn from(result: Result<Payload, Box<Failure>>) -> Self {
        match result {
            Ok(payload) => Self::Answered(payload),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// Sends the request as often as `policy` says.
pub(super) async fn tries(
    run: &mut Run,
    target: &UpstreamView,
    mut body: RequestBody,
    source: &Source,
    policy: &Policy<'_>,
) -> Reached {
    let tried = Tried::default();
    let budget = target.cluster.shared().budget();
    let attempts = policy.attempts();
    if attempts > 0 || policy.hedge.is_some() {
        budget.request(clock::monotonic_ns());
    }
    let terms = Terms {
        within: policy.each(),
        tried: Some(&tried),
        hedge: policy.hedge.map(|after| Hedge { after, policy }),
    };
    let mut made = 0;
    loop {
        let result = send(run, target, body, terms).await;
        let x = run.x();
        let response = x.response.as_ref().filter(|_| result.is_ok());
        let reason = match (&result, response) {
            (Err(failure), _) => policy.after_failure(failure, &x.request.method),
            (Ok(_), Some(response)) => {
                policy.after_head(response.status, &response.headers, &x.request.method)
            }
            (Ok(_), None) => None,
        };
        let Some(reason) = reason else {
            return result.into();
        };
        let pause = policy.pause(
            made,
            response.map(|response| &response.headers),
            ids::new_span_id(),
        );
        let pause = pause.filter(|pause| x.deadline.is_none_or(|end| Instant::now() + *pause < end));
        let again = source.again().filter(|_| made < attempts);
        let (Some(pause), Some(again)) = (pause, again) else {
            return given_up(result);
        };
        if !budget.withdraw(policy.budget(), clock::monotonic_ns()) {
            target.stats.over_budget();
            return given_up(result);
        }
        drop(result);
        x.response = None;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        target.stats.retry(reason);
        made += 1;
        body = again;
    }
}

fn given_up(result: Result<Payload, Box<Failure>>) -> Reached {
    match result {
        Ok(payload) => Reached::Bad(payload),
        Err(failure) => Reached::Failed(failure),
    }
}
