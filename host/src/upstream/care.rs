//! How an upstream is taken care of: what exchanges and checks say of its endpoints, and which of them may be used
//! because of it. The judges are below ([`outlier`](super::outlier), [`breaker`](super::breaker),
//! [`health`](super::health), [`limits`](super::limits)); here their verdicts meet. It refuses to know connections and
//! whose turn it is.

mod pass;
mod rounds;
mod ward;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;

use super::breaker::{Breaker, BreakerRules, BreakerState, Passage, Refused, Transition, Verdict};
use super::health::HealthRules;
use super::limits::{LimitRules, Limits};
use super::member::{Mark, Member};
use super::outlier::{Judgement, OutlierRules, Sign};
use super::shared::{Outcome, Shared};
use crate::clock;
use crate::message::statuses::Statuses;
use crate::telemetry::events::{BreakerChanged, EndpointEjected};

pub(super) use pass::Pass;
pub use rounds::{PROBES_AT_ONCE, look_after};
pub use ward::Ward;

/// What is looked after, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CareRules {
    /// Active health checks.
    pub health: Option<HealthRules>,
    /// Ejection of endpoints that fail.
    pub outlier: Option<OutlierRules>,
    /// Circuit breakers.
    pub breaker: Option<BreakerPlan>,
    /// Limits of what is used at once.
    pub limits: Option<LimitRules>,
}

/// Which breakers there are, and what they count as a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerPlan {
    /// When they open, and for how long.
    pub rules: BreakerRules,
    /// What has one.
    pub scope: Scope,
    /// The statuses that are failures, as are exchanges without an answer.
    pub statuses: Statuses,
}

/// What has a breaker of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The upstream as a whole.
    Upstream,
    /// Each endpoint.
    Endpoint,
    /// Both.
    Both,
}

impl CareRules {
    /// The breaker of the upstream.
    fn upstream_breaker(&self) -> Option<&BreakerPlan> {
        let plan = self.breaker.as_ref()?;
        matches!(plan.scope, Scope::Upstream | Scope::Both).then_some(plan)
    }

    /// The breakers of the endpoints.
    fn endpoint_breaker(&self) -> Option<&BreakerPlan> {
        let plan = self.breaker.as_ref()?;
        matches!(plan.scope, Scope::Endpoint | Scope::Both).then_some(plan)
    }

    /// Whether members have to hear of exchanges.
    pub(super) fn watches_members(&self) -> bool {
        self.outlier.is_some() || self.endpoint_breaker().is_some()
    }
}

impl BreakerPlan {
    /// What an outcome is for a breaker.
    fn verdict(&self, outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Answered(status) if self.statuses.contains(status) => Verdict::Failed,
            Outcome::Answered(_) => Verdict::Passed,
            Outcome::Failed(kind) if kind.is_upstreams() => Verdict::Failed,
            Outcome::Failed(_) | Outcome::Abandoned => Verdict::Void,
        }
    }
}

/// What an outcome is for the ejection of outliers; nothing when it was not the endpoint's doing.
fn sign(outcome: Outcome) -> Option<Sign> {
    match outcome {
        Outcome::Answered(
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT,
        ) => Some(Sign::GatewayError),
        Outcome::Answered(status) if status.is_server_error() => Some(Sign::ServerError),
        Outcome::Answered(_) => Some(Sign::Good),
        Outcome::Failed(kind) => kind.is_upstreams().then_some(Sign::GatewayError),
        Outcome::Abandoned => None,
    }
}

/// What the judges know of one upstream. A reload hands it on.
#[derive(Debug)]
pub struct Care {
    breaker: Arc<Breaker>,
    limits: Option<Arc<Limits>>,
    /// Held while somebody is ejected, for the part of all that may be depends on who is already.
    ejecting: Arc<Mutex<()>>,
    /// A mark was set that ends by itself.
    stirred: Arc<Notify>,
    /// Somebody may set marks: these rules, or an exchange or check that began under earlier ones.
    judged: Judged,
}

/// Whether there are, or were, judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Never,
    Maybe,
}

impl Care {
    /// That of a new upstream, or of one whose settings changed.
    pub(super) fn new(rules: &CareRules, before: Option<&Self>) -> Self {
        let limits = rules.limits.as_ref().map(|rules| {
            let same = before.and_then(|before| before.limits.as_ref());
            same.filter(|same| same.rules() == rules)
                .map_or_else(|| Arc::new(Limits::new(rules.clone())), Arc::clone)
        });
        let before_that = before.map_or(Judged::Never, |before| before.judged);
        let judges = rules.health.is_some() || rules.watches_members();
        Self {
            judged: if judges { Judged::Maybe } else { before_that },
            limits,
            breaker: before.map_or_else(Arc::default, |before| Arc::clone(&before.breaker)),
            ejecting: before.map_or_else(Arc::default, |before| Arc::clone(&before.ejecting)),
            stirred: before.map_or_else(Arc::default, |before| Arc::clone(&before.stirred)),
        }
    }

    /// What is in use, where there are limits.
    #[must_use]
    pub fn limits(&self) -> Option<&Limits> {
        self.limits.as_deref()
    }

    /// What the breaker of the upstream as a whole does, where there is one, and how often it went to each of
    /// [`BreakerState::ALL`].
    #[must_use]
    pub fn breaker(&self, rules: &CareRules) -> Option<(BreakerState, [u64; 3])> {
        rules.upstream_breaker()?;
        Some(look(&self.breaker))
    }

    /// Whether exchanges have to ask before they begin.
    pub(super) fn guards(&self, rules: &CareRules) -> Guard {
        if self.limits.is_some() || rules.breaker.is_some() {
            Guard::On
        } else {
            Guard::Off
        }
    }

    /// Asks the breaker of an endpoint, if it has one, for an exchange.
    ///
    /// # Errors
    /// [`Refused`] by the breaker.
    pub(super) fn admit(&self, shared: &Shared, member: &Member) -> Result<Passage, Refused> {
        let Some(plan) = shared.settings().care.endpoint_breaker() else {
            return Ok(Passage::Free);
        };
        let (passage, transition) = member.ward().breaker.admit(&plan.rules, clock_ms)?;
        if let Some(transition) = transition {
            self.announce(shared, Some(member), transition);
        }
        Ok(passage)
    }

    /// Whether the breaker of an endpoint, if it has one, would let an exchange through.
    pub(super) fn would_admit(&self, rules: &CareRules, member: &Member) -> bool {
        rules
            .endpoint_breaker()
            .is_none_or(|plan| member.ward().breaker.ask(&plan.rules, clock_ms).is_ok())
    }

    /// An exchange with an endpoint went this way, `took` after it began.
    pub(super) fn heard(
        &self,
        shared: &Shared,
        member: &Member,
        passage: Passage,
        outcome: Outcome,
        took: Duration,
    ) {
        let rules = &shared.settings().care;
        if let Some(plan) = rules.endpoint_breaker() {
            let verdict = plan.verdict(outcome);
            let breaker = &member.ward().breaker;
            if let Some(transition) = breaker.ended(passage, verdict, took, &plan.rules, clock_ms) {
                self.announce(shared, Some(member), transition);
            }
        }
        if let (Some(rules), Some(sign)) = (&rules.outlier, sign(outcome))
            && member.ward().record.heard(sign, rules) == Judgement::Eject
        {
            self.eject(shared, member, rules);
        }
    }

    /// An endpoint failed too often: it sits out, unless too many do.
    #[cold]
    fn eject(&self, shared: &Shared, member: &Member, rules: &OutlierRules) {
        let one_at_a_time = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let roster = shared.roster();
        let is_ejected = |member: &Member| member.marks().any(|mark| mark == Mark::Ejected);
        let ejected = roster
            .seats
            .iter()
            .filter(|seat| is_ejected(&seat.member))
            .count();
        if is_ejected(member) || !rules.has_room(roster.seats.len(), ejected) {
            return;
        }
        let pause = member.ward().record.eject(clock_ms(), rules);
        shared.mark(member, Mark::Ejected);
        drop(one_at_a_time);
        self.stirred.notify_one();
        EndpointEjected {
            upstream: &shared.settings().name,
            endpoint: member.label(),
            pause,
        }
        .emit();
    }

    /// A breaker went to another state: that of an endpoint, or of the upstream.
    #[cold]
    fn announce(&self, shared: &Shared, member: Option<&Member>, transition: Transition) {
        if let (Some(member), Transition::Opened(..)) = (member, transition) {
            shared.mark(member, Mark::Open);
            self.stirred.notify_one();
        }
        let (state, cause, pause) = match transition {
            Transition::Opened(cause, pause) => (BreakerState::Open, cause.name(), pause),
            Transition::HalfOpened => (BreakerState::HalfOpen, "", Duration::ZERO),
            Transition::Closed => (BreakerState::Closed, "", Duration::ZERO),
        };
        BreakerChanged {
            upstream: &shared.settings().name,
            endpoint: member.map(|member| &**member.label()),
            state: state.name(),
            cause,
            pause,
        }
        .emit();
    }
}

/// Whether exchanges have to ask before they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// They do not.
    Off,
    /// They do.
    On,
}

/// State of a breaker, and its transitions.
fn look(breaker: &Breaker) -> (BreakerState, [u64; 3]) {
    (
        breaker.state(clock_ms()),
        BreakerState::ALL.map(|state| breaker.transitions(state)),
    )
}

/// The judges' clock.
fn clock_ms() -> u64 {
    clock::monotonic_ns() / 1_000_000
}

#[cfg(test)]
mod tests;
