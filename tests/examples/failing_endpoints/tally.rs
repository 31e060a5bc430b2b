//! What came of the requests of one phase. It knows neither gateways nor phases.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A request that takes longer than this waited for an endpoint that fails.
const LONG: Duration = Duration::from_millis(100);

/// The head of the columns that a [`Tally`] prints.
pub(crate) const COLUMNS: &str =
    "requests   errors  error %    p50 ms    p99 ms  p99.9 ms    max ms  > 100 ms";

/// How one request went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// From sending it to the end of its answer.
    pub(crate) latency: Duration,
    /// Why it failed, if it did.
    pub(crate) error: Option<String>,
}

/// The requests of a phase.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// In order.
    latencies: Vec<Duration>,
    errors: BTreeMap<String, usize>,
}

impl Tally {
    pub(crate) fn add(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.latencies.push(outcome.latency);
            if let Some(error) = outcome.error {
                *self.errors.entry(error).or_default() += 1;
            }
        }
        self.latencies.sort_unstable();
    }

    /// Every kind of error, and how often it was.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&str, usize)> {
        self.errors.iter().map(|(error, count)| (error.as_str(), *count))
    }

    /// In milliseconds: what so many of a thousand requests stayed within.
    fn per_mille(&self, part: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let latency = self.latencies.get(last * part / 1_000);
        latency.copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: usize = self.errors.values().sum();
        write!(
            f,
            "{:>8} {errors:>8} {:>8.3} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9}",
            self.latencies.len(),
            errors as f64 / self.latencies.len().max(1) as f64 * 100.0,
            self.per_mille(500),
            self.per_mille(990),
            self.per_mille(999),
            self.per_mille(1_000),
            self.latencies.iter().filter(|latency| **latency > LONG).count(),
        )
    }
}
