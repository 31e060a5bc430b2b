//! Counters, gauges and histograms that the gateway exports. Define them in `new`, observe them in the hooks.
//! Knows no format of export.

use crate::{Problem, host::metrics as host};

/// What a metric means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// The last value counts.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A value that only grows.
///
/// ```
/// # use portcullis::metrics::Counter;
/// let refused = Counter::new("refused_total", "Requests without a valid key.", &["reason"])?;
/// refused.increment(&["missing"]);
/// # Ok::<(), portcullis::Problem>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Counter(u32);

impl Counter {
    /// Defines the counter, or finds the one that this plugin defined before.
    ///
    /// # Errors
    /// [`Problem::Invalid`] for a name or label that Prometheus refuses or that is defined differently,
    /// [`Problem::Limit`] when the entry has too many.
    pub fn new(name: &str, help: &str, labels: &[&str]) -> Result<Self, Problem> {
        host::define(Kind::Counter, name, help, labels).map(Self)
    }

    /// Adds one.
    pub fn increment(&self, labels: &[&str]) {
        host::observe(self.0, labels, 1.0);
    }

    /// Adds `amount`, which is not negative.
    pub fn add(&self, labels: &[&str], amount: f64) {
        host::observe(self.0, labels, amount);
    }

    /// The values of this counter with these label values, for a hook that counts at every request: nothing is copied
    /// when it counts.
    #[must_use]
    pub fn series(&self, labels: &[&str]) -> Series {
        Series {
            metric: self.0,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        }
    }
}

/// A counter with its label values.
#[derive(Clone, Debug)]
pub struct Series {
    metric: u32,
    labels: Vec<String>,
}

impl Series {
    /// Adds one.
    pub fn increment(&self) {
        host::observe_prepared(self.metric, &self.labels, 1.0);
    }
}

/// A value that goes up and down.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(u32);

impl Gauge {
    /// Defines the gauge, or finds the one that this plugin defined before.
    ///
    /// # Errors
    /// As for [`Counter::new`].
    pub fn new(name: &str, help: &str, labels: &[&str]) -> Result<Self, Problem> {
        host::define(Kind::Gauge, name, help, labels).map(Self)
    }

    /// Sets the value.
    pub fn set(&self, labels: &[&str], value: f64) {
        host::observe(self.0, labels, value);
    }
}

/// A distribution of values.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(u32);

impl Histogram {
    /// Defines the histogram, or finds the one that this plugin defined before.
    ///
    /// # Errors
    /// As for [`Counter::new`].
    pub fn new(name: &str, help: &str, labels: &[&str]) -> Result<Self, Problem> {
        host::define(Kind::Histogram, name, help, labels).map(Self)
    }

    /// Counts one value.
    pub fn observe(&self, labels: &[&str], value: f64) {
        host::observe(self.0, labels, value);
    }
}
