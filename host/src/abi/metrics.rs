//! Interface `metrics`: what a plugin counts, in the gateway's own exposition.

use std::sync::Arc;

use super::imports::metrics::{Host, Kind};
use super::imports::types::Problem;
use super::{Fallible, HostState, Trap};
use crate::telemetry::MetricKind;
use crate::telemetry::plugin_metrics::{EntryMetrics, ObserveError, SeriesCell};

/// Series that an instance has observed by their numbers: no lock is taken for them again.
#[derive(Debug, Default)]
pub(super) struct KnownSeries(Vec<Option<Arc<SeriesCell>>>);

impl KnownSeries {
    fn get(&mut self, number: u32, entry: &EntryMetrics) -> Option<&SeriesCell> {
        let at = usize::try_from(number).ok()?;
        if self.0.get(at).is_none_or(Option::is_none) {
            let cell = entry.numbered(number)?;
            // Numbers are given one by one, so this is not longer than the entry's own list.
            let room = self.0.len().max(at + 1);
            self.0.resize(room, None);
            *self.0.get_mut(at)? = Some(cell);
        }
        self.0.get(at)?.as_deref()
    }
}

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

    fn series(&mut self, metric: u32, label_values: Vec<String>) -> Fallible<u32> {
        let number = self.entry.metrics.series(metric, &label_values);
        Ok(number.map_err(|e| Problem::Invalid(e.to_string())))
    }

    fn observe_series(&mut self, series: u32, value: f64) -> Trap<()> {
        let observed = self
            .series
            .get(series, &self.entry.metrics)
            .ok_or(ObserveError::Unknown(series))
            .and_then(|cell| cell.observe(value));
        if let Err(error) = observed {
            tracing::debug!(plugin = &*self.entry.name, series, %error, "an observation was refused");
        }
        Ok(())
    }
}
