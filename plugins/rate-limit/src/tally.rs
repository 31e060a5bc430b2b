//! The plugin's metric. Knows no limit but its name.

use portcullis::Problem;
use portcullis::metrics::{Counter, Series};

/// What a limit did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Delayed,
    Refused,
    Shadowed,
}

/// Counts what one limit does.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    allowed: Series,
    delayed: Series,
    refused: Series,
    shadowed: Series,
}

impl Tally {
    /// Of the limit with this name.
    ///
    /// # Errors
    /// When another plugin's metric has the metric's name.
    pub(crate) fn new(limit: &str) -> Result<Self, Problem> {
        let help = "Requests by limit and by what the limit did with them.";
        let counter = Counter::new("rate_limit_requests_total", help, &["limit", "outcome"])?;
        Ok(Self {
            allowed: counter.series(&[limit, "allowed"])?,
            delayed: counter.series(&[limit, "delayed"])?,
            refused: counter.series(&[limit, "refused"])?,
            shadowed: counter.series(&[limit, "shadowed"])?,
        })
    }

    /// Counts one request.
    pub(crate) fn count(&self, outcome: Outcome) {
        match outcome {
            Outcome::Allowed => self.allowed.increment(),
            Outcome::Delayed => self.delayed.increment(),
            Outcome::Refused => self.refused.increment(),
            Outcome::Shadowed => self.shadowed.increment(),
        }
    }
}
