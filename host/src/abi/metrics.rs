//! Interface `metrics`: what a plugin counts, in the gateway's own exposition.

use super::imports::metrics::{Host, Kind};
use super::imports::types::Problem;
use super::{Fallible, HostState, Trap};
use crate::telemetry::MetricKind;

impl From<Kind> for MetricKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
        }
    }
}

impl Host for HostState {
    fn define(&mut self, kind: Kind, name: String, help: String, labels: Vec<String>) -> Fallible<u32> {
        let number = self.entry.metrics.define(kind.into(), &name, &help, &labels);
        Ok(number.map_err(|e| Problem::Invalid(e.to_string())))
    }

    fn observe(&mut self, metric: u32, label_values: Vec<String>, value: f64) -> Trap<()> {
        if let Err(error) = self.entry.metrics.observe(metric, &label_values, value) {
            // The contract has no answer here, and a wrong observation is no reason to end an exchange.
            tracing::debug!(plugin = &*self.entry.name, metric, %error, "an observation was refused");
        }
        Ok(())
    }
}
