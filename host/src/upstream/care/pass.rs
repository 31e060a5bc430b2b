//! The way of an exchange past the limits and the breaker of its upstream. It refuses to know endpoints.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::super::breaker::{Passage, Refused, Verdict};
use super::super::cluster::{Cluster, Until};
use super::super::failure::{BoxError, Failure, FailureKind, Fault, RetrySafety};
use super::super::limits::{Limit, Permit};
use super::super::lineup::Aim;
use super::super::reply::Reply;
use super::super::request::RequestHead;
use super::super::shared::{Outcome, Shared};
use super::clock_ms;

/// The permission for one exchange. Its places are free again, and the breaker knows of its end, when it is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct Pass {
    shared: Arc<Shared>,
    /// Until the outcome is told.
    passage: Option<Passage>,
    began: Instant,
    /// The time to the head, where the outcome comes later.
    took: Option<Duration>,
    _permit: Option<Permit>,
}

impl Pass {
    /// Asks for an exchange, and waits for a place if there may be one in time.
    async fn enter(shared: &Arc<Shared>, until: Until) -> Result<Self, FailureKind> {
        let (care, rules) = (shared.care(), &shared.settings().care);
        let plan = rules.upstream_breaker();
        if let Some(plan) = plan {
            // Nobody waits for a place that is of no use.
            care.breaker.ask(&plan.rules, clock_ms).map_err(open)?;
        }
        let permit = match &care.limits {
            Some(limits) => {
                let entered = limits.enter(until.first()).await;
                let over = || until.end.is_some_and(|end| end <= Instant::now());
                Some(entered.map_err(|limit| match limit {
                    Limit::PendingTimeout if over() => FailureKind::Deadline,
                    limit => FailureKind::Overloaded(limit),
                })?)
            }
            None => None,
        };
        let passage = match plan {
            Some(plan) => {
                let (passage, transition) = care.breaker.admit(&plan.rules, clock_ms).map_err(open)?;
                if let Some(transition) = transition {
                    care.announce(shared, None, transition);
                }
                Some(passage)
            }
            None => None,
        };
        Ok(Self {
            shared: Arc::clone(shared),
            passage,
            began: Instant::now(),
            took: None,
            _permit: permit,
        })
    }

    /// The head of an answer came, and its end will say how the exchange went; a trial has passed with that.
    pub(in crate::upstream) fn head_came(&mut self) {
        self.took = Some(self.began.elapsed());
        if matches!(self.passage, Some(Passage::Trial(_))) {
            self.heard(Outcome::Answered(StatusCode::OK));
        }
    }

    /// Tells the breaker how the exchange went; once more if the body fails after its head.
    pub(in crate::upstream) fn heard(&mut self, outcome: Outcome) {
        let Some(plan) = self.shared.settings().care.upstream_breaker() else {
            return;
        };
        let passage = self.passage.take();
        let verdict = plan.verdict(outcome);
        if passage.is_none() && verdict == Verdict::Void {
            return;
        }
        let care = self.shared.care();
        let transition = care.breaker.ended(
            passage.unwrap_or(Passage::Free),
            verdict,
            self.took.unwrap_or_else(|| self.began.elapsed()),
            &plan.rules,
            clock_ms,
        );
        if let Some(transition) = transition {
            care.announce(&self.shared, None, transition);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.passage.is_some() {
            self.heard(Outcome::Abandoned);
        }
    }
}

fn open(refused: Refused) -> FailureKind {
    FailureKind::CircuitOpen {
        retry_after: refused.retry_after,
    }
}

impl Cluster {
    /// [`Cluster::send`] where exchanges have to ask first. Its own function, so that others pay nothing for it.
    pub(in crate::upstream) async fn send_guarded<B>(
        self: &Rc<Self>,
        head: RequestHead<'_>,
        body: B,
        until: Until,
        aim: Aim<'_>,
    ) -> Result<Response<Reply<B>>, Failure>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let entered = Pass::enter(self.shared(), until).await;
        let mut pass = entered.map_err(|kind| Fault::from(kind).at(RetrySafety::Unsent, None))?;
        match self.carry(head, body, until, aim).await {
            Ok(mut response) => {
                let status = response.status();
                response.body_mut().hold(pass, status);
                Ok(response)
            }
            Err(mut failure) => {
                pass.heard(Outcome::Failed(failure.kind));
                if failure.kind == FailureKind::NoEndpoint {
                    failure.kind = self.shared().why_none().map_or(failure.kind, open);
                }
                Err(failure)
            }
        }
    }
}

impl Shared {
    /// Why no endpoint may be chosen, if it is that their breakers are open: the first of them to let trials through.
    fn why_none(&self) -> Option<Refused> {
        let plan = self.settings().care.endpoint_breaker()?;
        let roster = self.roster();
        let breakers = roster.seats.iter().map(|seat| &seat.member.ward().breaker);
        breakers
            .filter_map(|breaker| breaker.ask(&plan.rules, clock_ms).err())
            .min_by_key(|refused| refused.retry_after)
    }
}
