//! All limits of an entry together: every one must allow, and what was taken for a request that is refused is given
//! back. Knows no field and no answer.

use std::time::Duration;

use portcullis::{Problem, Request, log};

use crate::kept::Kept;
use crate::rule::{Finding, Refused, Rule};
use crate::tally::{Outcome, Tally};

/// Attribute with the names of the limits that would have refused if they were no shadows.
const SHADOWED: &str = "limit.shadow";

/// The limits: those of this gateway, which cost no round trip, those of the store, and those of requests at the same time,
/// whose places cannot be given back before the exchange ends.
#[derive(Debug)]
pub(crate) struct Limits {
    slots: Vec<Slot>,
    /// What the request at hand left of each quota.
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Slot {
    rule: Rule,
    tally: Tally,
    /// How the request at hand passed.
    passed: Option<Outcome>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It goes on.
    Pass(Told),
    /// The limit at this place refuses it.
    Refuse(usize, Refused),
    /// It lacks a part of the key of the limit at this place.
    Keyless(usize),
    /// The limit at this place cannot be asked, and nothing passes without it.
    Unavailable(usize),
}

/// Whether a limit that clients may know of is for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Something,
    Nothing,
}

impl Limits {
    /// Puts those of requests at the same time last.
    ///
    /// # Errors
    /// When their metric cannot be defined.
    pub(crate) fn new(mut rules: Vec<Rule>) -> Result<Self, Problem> {
        rules.sort_by_key(|rule| (rule.is_of_places(), rule.is_of_cluster()));
        let slots = rules.into_iter().map(|rule| {
            Ok(Slot {
                tally: Tally::new(&rule.name)?,
                rule,
                passed: None,
            })
        });
        Ok(Self {
            slots: slots.collect::<Result<_, Problem>>()?,
            kept: Vec::new(),
        })
    }

    /// Counts a refusal by the limit at this place, and gives its name.
    pub(crate) fn refused(&self, place: usize) -> &str {
        let Some(slot) = self.slots.get(place) else {
            return "";
        };
        slot.tally.count(Outcome::Refused);
        &slot.rule.name
    }

    /// The limits in the order in which they are asked.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.slots.iter().map(|slot| &slot.rule)
    }

    /// What the request at hand left of each quota that it took from.
    pub(crate) fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Asks one limit after the other, until one refuses.
    ///
    /// # Errors
    /// Those of the counters; nothing stays taken.
    pub(crate) fn judge(&mut self, request: &mut Request) -> Result<Decision, Problem> {
        self.kept.clear();
        for slot in &mut self.slots {
            slot.passed = None;
            slot.rule.forget();
        }
        let decision = self.ask(request);
        if matches!(decision, Ok(Decision::Pass(_))) {
            for slot in &self.slots {
                if let Some(outcome) = slot.passed {
                    slot.tally.count(outcome);
                }
            }
            return decision;
        }
        for slot in &mut self.slots {
            slot.rule.give_back()?;
        }
        decision
    }

    fn ask(&mut self, request: &mut Request) -> Result<Decision, Problem> {
        let Self { slots, kept } = self;
        let mut told = Told::Nothing;
        // The longest wait, and the refusal in its place.
        let mut wait = (Duration::ZERO, 0, Refused::default());
        let mut shadows = String::new();
        for (at, Slot { rule, tally, passed }) in slots.iter_mut().enumerate() {
            match (rule.ask(request)?, rule.shadow) {
                (Finding::Beside, _) => {}
                (Finding::Keyless, false) => return Ok(Decision::Keyless(at)),
                (Finding::Unavailable, false) => return Ok(Decision::Unavailable(at)),
                (Finding::Refused(refused), false) => return Ok(Decision::Refuse(at, refused)),
                (Finding::Keyless | Finding::Refused(_) | Finding::Unavailable, true) => {
                    tally.count(Outcome::Shadowed);
                    if !shadows.is_empty() {
                        shadows.push(',');
                    }
                    shadows.push_str(&rule.name);
                }
                (Finding::Allowed(_), true) => *passed = Some(Outcome::Allowed),
                (Finding::Allowed(allowed), false) => {
                    told = Told::Something;
                    kept.extend(allowed.left.map(|left| Kept::of(at, left)));
                    *passed = Some(Outcome::Allowed);
                    if !allowed.wait.is_zero() {
                        *passed = Some(Outcome::Delayed);
                    }
                    if allowed.wait > wait.0 {
                        let retry = Some(allowed.wait);
                        let left = allowed.left;
                        wait = (allowed.wait, at, Refused { left, retry });
                    }
                }
            }
        }
        if !shadows.is_empty() {
            // Without the grant the metric alone tells.
            let told = request.set_attribute(SHADOWED, Some(&shadows));
            log::debug!(
                limits = shadows,
                told = told.is_ok(),
                "limits in shadow would have refused"
            );
        }
        let (time, at, refused) = wait;
        if !time.is_zero()
            && let Err(problem) = request.delay(time)
        {
            log::debug!(
                wait_ms = time.as_millis(),
                cause = problem,
                "a wait is not possible: the request is refused"
            );
            return Ok(Decision::Refuse(at, refused));
        }
        Ok(Decision::Pass(told))
    }
}
