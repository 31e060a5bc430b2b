//! What a fake host keeps beyond one exchange: time, random numbers, log lines, metrics, and the stores. It does
//! not know exchanges.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counters::Counters;
use super::http::Laid;
use super::shared::Shared;
use crate::{Problem, log::Level, metrics::Kind, testing::Line};

/// 2025-01-01T00:00:00Z in milliseconds: where the clock stands until a test moves it.
const START_MS: u64 = 1_735_689_600_000;

/// The state of a fake host.
#[derive(Debug)]
pub(crate) struct World {
    /// Time since the start.
    pub(crate) elapsed: Duration,
    /// The lowest level that is written.
    pub(crate) log_from: Level,
    /// What was logged.
    pub(crate) lines: Vec<Line>,
    /// What was measured.
    pub(crate) metrics: Metrics,
    /// `shared`.
    pub(crate) shared: Shared,
    /// `counters`.
    pub(crate) counters: Counters,
    /// `cluster-counters`.
    pub(crate) cluster_counters: Counters,
    /// Why the store fails, if it does.
    pub(crate) store_fails: Option<Problem>,
    /// What requests are answered with.
    pub(crate) answers: Vec<Laid>,
    /// What was sent: method and URI.
    pub(crate) sent: Vec<String>,
    seed: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            elapsed: Duration::ZERO,
            log_from: Level::Trace,
            lines: Vec::new(),
            metrics: Metrics::default(),
            shared: Shared::default(),
            counters: Counters::default(),
            cluster_counters: Counters::default(),
            store_fails: None,
            answers: Vec::new(),
            sent: Vec::new(),
            seed: 0,
        }
    }
}

impl World {
    pub(crate) fn unix_ms(&self) -> u64 {
        START_MS + u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The same numbers in every run (SplitMix64).
    pub(crate) fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The metrics that a plugin defined.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    defined: Vec<Metric>,
    /// Metric and label values, by number.
    numbered: Vec<(u32, Vec<String>)>,
}

#[derive(Debug)]
struct Metric {
    kind: Kind,
    name: String,
    labels: Vec<String>,
    series: BTreeMap<Vec<String>, f64>,
}

impl Metrics {
    pub(crate) fn define(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<u32, Problem> {
        let word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !word(name) || !labels.iter().all(|label| word(label)) || help.is_empty() {
            return Err(Problem::Invalid(format!(
                "metric `{name}`: its name, labels or help text"
            )));
        }
        if let Some(at) = self.defined.iter().position(|metric| metric.name == name) {
            let same = self
                .defined
                .get(at)
                .is_some_and(|metric| metric.kind == kind && metric.labels == labels);
            return if same {
                Ok(number(at))
            } else {
                Err(Problem::Invalid(format!(
                    "metric `{name}` is defined differently"
                )))
            };
        }
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.defined.push(Metric {
            kind,
            name: name.to_owned(),
            labels,
            series: BTreeMap::new(),
        });
        Ok(number(self.defined.len() - 1))
    }

    pub(crate) fn observe(&mut self, metric: u32, labels: &[&str], value: f64) {
        let metric = usize::try_from(metric)
            .ok()
            .and_then(|at| self.defined.get_mut(at));
        // A plugin that `testing::configure` made defined its metrics in that fake host, not in this one.
        let Some(metric) = metric else { return };
        assert_eq!(
            metric.labels.len(),
            labels.len(),
            "metric `{}` has other labels",
            metric.name
        );
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let series = metric.series.entry(labels).or_insert(0.0);
        match metric.kind {
            Kind::Counter => {
                assert!(value >= 0.0, "counter `{}` cannot go down", metric.name);
                *series += value;
            }
            Kind::Gauge => *series = value,
            Kind::Histogram => *series += 1.0,
        }
    }

    pub(crate) fn series(&mut self, metric: u32, labels: &[&str]) -> Result<u32, Problem> {
        let defined = usize::try_from(metric)
            .ok()
            .and_then(|at| self.defined.get(at))
            .is_some_and(|metric| metric.labels.len() == labels.len());
        if !defined {
            return Err(Problem::Invalid(format!("metric {metric} or its labels")));
        }
        let series = (metric, labels.iter().map(|label| (*label).to_owned()).collect());
        let at = self.numbered.iter().position(|known| *known == series);
        Ok(number(at.unwrap_or_else(|| {
            self.numbered.push(series);
            self.numbered.len() - 1
        })))
    }

    pub(crate) fn observe_series(&mut self, series: u32, value: f64) {
        let known = usize::try_from(series).ok().and_then(|at| self.numbered.get(at));
        // See `observe`.
        let Some((metric, labels)) = known.cloned() else {
            return;
        };
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        self.observe(metric, &labels, value);
    }

    pub(crate) fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let metric = self.defined.iter().find(|metric| metric.name == name)?;
        metric
            .series
            .iter()
            .find_map(|(values, value)| (values == labels).then_some(*value))
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
