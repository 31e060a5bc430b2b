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

    /// The series with these label values, for a hook that counts at every request. It shows as 0 from then on.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when there are not as many values as labels.
    pub fn series(&self, labels: &[&str]) -> Result<Series, Problem> {
        host::series(self.0, labels).map(Series)
    }
}

/// A counter with its label values.
#[derive(Clone, Copy, Debug)]
pub struct Series(u32);

impl Series {
    /// Adds one.
    pub fn increment(&self) {
        host::observe_series(self.0, 1.0);
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
