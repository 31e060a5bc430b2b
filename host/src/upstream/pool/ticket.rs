//! An exchange in flight at one endpoint: counted there, and reported to whom it concerns. It refuses to know connections.

use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::Slot;
use crate::upstream::breaker::Passage;
use crate::upstream::care::Pass;
use crate::upstream::shared::Outcome;

/// Counts an exchange as in flight until it is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct Ticket {
    slot: Rc<Slot>,
    report: Option<Report>,
    /// The permission for the exchange, where one is needed.
    pass: Option<Box<Pass>>,
}

/// What the exchange has yet to report to the endpoint.
#[derive(Debug)]
struct Report {
    began: Instant,
    /// The time to the head, where the outcome comes later.
    took: Option<Duration>,
    heard: bool,
    passage: Passage,
}

impl Ticket {
    pub(in crate::upstream) fn new(slot: &Rc<Slot>) -> Self {
        slot.in_flight.set(slot.in_flight.get() + 1);
        let report = slot.watcher.as_ref().map(|shared| {
            shared.begun(&slot.member);
            Report {
                began: Instant::now(),
                took: None,
                heard: false,
                passage: slot.passage.take().unwrap_or(Passage::Free),
            }
        });
        Self {
            slot: Rc::clone(slot),
            report,
            pass: None,
        }
    }

    /// The endpoint.
    pub(in crate::upstream) fn slot(&self) -> &Rc<Slot> {
        &self.slot
    }

    /// Reports how the exchange went, where somebody wants to know.
    pub(in crate::upstream) fn heard(&mut self, outcome: Outcome) {
        if let (Some(report), Some(shared)) = (&mut self.report, &self.slot.watcher) {
            report.heard = true;
            let passage = std::mem::replace(&mut report.passage, Passage::Free);
            let took = report.took.unwrap_or_else(|| report.began.elapsed());
            shared.heard(&self.slot.member, passage, outcome, took);
        }
        if let Some(pass) = &mut self.pass {
            pass.heard(outcome);
        }
    }

    /// The head of an answer came, and its end will say how the exchange went. What is a trial has passed with that, for
    /// the end may be far away.
    pub(in crate::upstream) fn head_came(&mut self) {
        let Some(report) = &mut self.report else { return };
        report.took = Some(report.began.elapsed());
        if matches!(report.passage, Passage::Trial(_)) {
            self.heard(Outcome::Answered(StatusCode::OK));
        }
    }

    /// Keeps the permission for the exchange to its end.
    pub(in crate::upstream) fn hold(&mut self, pass: Pass) {
        self.pass = Some(Box::new(pass));
    }

    /// Leaves the report to the next ticket of the endpoint.
    pub(in crate::upstream) fn hand_back(&mut self) {
        if let Some(report) = &mut self.report {
            report.heard = true;
            self.slot.passage.set(Some(report.passage));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.slot
            .in_flight
            .set(self.slot.in_flight.get().saturating_sub(1));
        if let Some(report) = &self.report {
            if !report.heard {
                self.heard(Outcome::Abandoned);
            }
            if let Some(shared) = &self.slot.watcher {
                shared.ended(&self.slot.member);
            }
        }
    }
}
