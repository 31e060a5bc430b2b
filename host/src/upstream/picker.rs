//! The seam for whoever picks the endpoint of an exchange in place of a policy: what is shown, what is answered, and the choice
//! that follows from it. It refuses to know who picks, and by what.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::balance::Policy;
use super::cluster::Cluster;
use super::failure::{BoxError, Failure, FailureKind, Fault, RetrySafety};
use super::lineup::{Aim, Tried};
use super::member::{Mark, Member};
use super::pool::Slot;
use super::settings::Labels;
use crate::clock;

/// An endpoint that may be picked.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The endpoint.
    pub member: Arc<Member>,
    /// Its share of the exchanges as configured.
    pub weight: u32,
    /// Where it is.
    pub zone: Option<Arc<str>>,
    /// What else is said of it.
    pub labels: Labels,
    /// The time to the head of its answers; none as long as nothing is known.
    pub latency: Option<Duration>,
}

impl Candidate {
    /// Nothing speaks against it but that too few others are healthy.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self
            .member
            .marks()
            .any(|mark| matches!(mark, Mark::Unhealthy | Mark::Ejected))
    }
}

/// The index of the candidate that was picked; none where there is no preference. An error says why there is no answer.
pub type Picked = Result<Option<usize>, BoxError>;

/// Picks endpoints for one exchange.
pub trait Picker: fmt::Debug {
    /// Picks one of `candidates`, of which there is at least one. The call is polled to its end.
    fn pick<'a>(&'a self, candidates: &'a [Candidate]) -> Pin<Box<dyn Future<Output = Picked> + 'a>>;

    /// Ends when no call is under way: who lets go of an exchange waits for it while it polls the exchange.
    fn rest<'a>(&'a self) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
}

/// What is to be picked from.
struct Field {
    candidates: Vec<Candidate>,
    /// In the order of the candidates.
    slots: Vec<Rc<Slot>>,
}

impl Cluster {
    /// The endpoint that `picker` picks, of those that were not tried, or of all when all were.
    ///
    /// # Errors
    /// `NoEndpoint` when none may be picked, `Unpicked` when `picker` says so.
    pub(super) async fn picked(&self, picker: &dyn Picker, aim: Aim<'_>) -> Result<Rc<Slot>, Failure> {
        if self.lineup_now().stuck(aim).is_some() {
            return self.first(aim);
        }
        match self.untried(aim.tried).or_else(|| self.untried(None)) {
            Some(field) => self.pick(picker, field, aim).await,
            None => self.first(aim),
        }
    }

    /// The endpoint that `picker` picks of those that were not tried; none when all were.
    ///
    /// # Errors
    /// `Unpicked` when `picker` says so.
    pub(super) async fn picked_anew(
        &self,
        picker: &dyn Picker,
        aim: Aim<'_>,
    ) -> Result<Option<Rc<Slot>>, Failure> {
        match self.untried(aim.tried) {
            Some(field) => self.pick(picker, field, aim).await.map(Some),
            None => Ok(None),
        }
    }

    async fn pick(&self, picker: &dyn Picker, field: Field, aim: Aim<'_>) -> Result<Rc<Slot>, Failure> {
        let picked = picker.pick(&field.candidates).await;
        let picked = picked
            .map_err(|why| Fault::with(FailureKind::Unpicked, why).at(RetrySafety::Unsent, None))?
            .and_then(|index| field.slots.get(index));
        match picked {
            Some(slot) if slot.admit().is_ok() => Ok(Rc::clone(slot)),
            // Its breaker has had enough trials since it was asked.
            Some(refused) => {
                let avoid = aim.tried.cloned().unwrap_or_default();
                avoid.add(&refused.member);
                self.first(Aim {
                    tried: Some(&avoid),
                    ..aim
                })
            }
            None => self.first(aim),
        }
    }

    /// What may be picked and was not tried; none when there is nothing.
    fn untried(&self, tried: Option<&Tried>) -> Option<Field> {
        let settings = self.shared().settings();
        let Policy::Picked(most) = settings.policy else {
            return None;
        };
        let care = self.shared().care();
        let mut lineup = self.lineup_now();
        let open = lineup.open(most, |slot| {
            let fresh = tried.is_none_or(|tried| !tried.has(&slot.member));
            fresh && care.would_admit(&settings.care, &slot.member)
        });
        let now = clock::monotonic_ns();
        let (candidates, slots): (Vec<_>, Vec<_>) = open
            .into_iter()
            .map(|(slot, seat)| {
                let candidate = Candidate {
                    member: Arc::clone(&seat.member),
                    weight: seat.weight,
                    zone: seat.zone.clone(),
                    labels: Arc::clone(&seat.labels),
                    latency: seat.member.latency(now, settings.policy),
                };
                (candidate, slot)
            })
            .unzip();
        (!slots.is_empty()).then_some(Field { candidates, slots })
    }
}
