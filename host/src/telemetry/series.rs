//! A metric whose label values are not known beforehand, with a bound on how many sets of them it keeps.
//!
//! It knows one metric; not who defined it, nor which others there are.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hashbrown::HashTable;
use thiserror::Error;

use crate::telemetry::cell::{BOUNDS, BOUNDS_SECONDS, Counter, HistogramSum};
use crate::telemetry::exposition::{Exposition, Label};

/// Most sets of label values of one metric; what comes later is counted under the values `other`.
pub(super) const MAX_SERIES: usize = 1_000;

/// Longest label value, in bytes; the rest is cut off.
pub(super) const MAX_VALUE_BYTES: usize = 128;

const OTHER: &str = "other";

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter,
    /// The latest value.
    Gauge,
    /// Seconds by bucket: 0.005 to 10.
    Histogram,
}

impl MetricKind {
    /// The word of the exposition format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Why a value was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ObserveError {
    /// No metric, or no series, has this number.
    #[error("nothing has the number {0}")]
    Unknown(u32),
    /// Not as many label values as the metric has labels.
    #[error("{given} label values for {labels} labels")]
    Labels {
        /// Labels of the metric.
        labels: usize,
        /// Values given.
        given: usize,
    },
    /// Not a finite number, or a negative one for a counter.
    #[error("not a value that this kind of metric can take")]
    Value,
}

/// One metric with all its series.
#[derive(Debug)]
pub(super) struct Metric {
    kind: MetricKind,
    name: String,
    help: String,
    labels: Vec<String>,
    hasher: RandomState,
    series: RwLock<Series>,
}

#[derive(Debug, Default)]
struct Series {
    known: HashTable<(LabelValues, Arc<Cell>)>,
    other: Option<Arc<Cell>>,
}

type LabelValues = Box<[Box<str>]>;

/// One series: a metric's values under one set of label values.
#[derive(Debug)]
pub struct Cell {
    value: Value,
    /// Its number in its entry, once somebody asked for it.
    pub(super) number: OnceLock<u32>,
}

/// The number or numbers of one series. A float is kept as its bits.
#[derive(Debug)]
enum Value {
    Sum(AtomicU64),
    Last(AtomicU64),
    Buckets {
        counts: [Counter; BOUNDS.len()],
        beyond: Counter,
        sum: AtomicU64,
    },
}

impl Metric {
    pub(super) fn new(kind: MetricKind, name: &str, help: &str, labels: &[String]) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            help: help.to_owned(),
            labels: labels.to_vec(),
            hasher: RandomState::new(),
            series: RwLock::default(),
        }
    }

    pub(super) fn is(&self, kind: MetricKind, name: &str, help: &str, labels: &[String]) -> bool {
        self.kind == kind && self.name == name && self.help == help && self.labels == labels
    }

    pub(super) const fn kind(&self) -> MetricKind {
        self.kind
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn help(&self) -> &str {
        &self.help
    }

    /// Counts one value. A known series costs a read lock, a look-up and an atomic operation.
    ///
    /// # Errors
    /// When the label values or the number do not fit the metric.
    pub(super) fn observe<V: AsRef<str>>(&self, values: &[V], value: f64) -> Result<(), ObserveError> {
        self.cell(values)?.observe(value)
    }

    /// The series with these label values.
    ///
    /// # Errors
    /// When they do not fit the metric.
    pub(super) fn cell<V: AsRef<str>>(&self, values: &[V]) -> Result<Arc<Cell>, ObserveError> {
        if values.len() != self.labels.len() {
            return Err(ObserveError::Labels {
                labels: self.labels.len(),
                given: values.len(),
            });
        }
        let hash = self.hash(values);
        let known = self
            .series
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .find(hash, values);
        Ok(known.unwrap_or_else(|| self.add_series(hash, values)))
    }

    /// Writes the samples of all series, sorted by label values; `first` comes before the metric's own labels.
    pub(super) fn render(&self, first: Option<Label<'_>>, doc: &mut Exposition) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(Vec<&str>, &Arc<Cell>)> = series
            .known
            .iter()
            .map(|(values, cell)| (values.iter().map(|v| &**v).collect(), cell))
            .collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(other) = &series.other {
            all.push((vec![OTHER; self.labels.len()], other));
        }
        for (values, cell) in all {
            let own = self.labels.iter().map(String::as_str).zip(values);
            let labels: Vec<Label<'_>> = first.into_iter().chain(own).collect();
            cell.render(&self.name, &labels, doc);
        }
    }

    fn hash<V: AsRef<str>>(&self, values: &[V]) -> u64 {
        match values {
            [] => 0,
            [one] => self.hasher.hash_one(cut(one.as_ref())),
            many => {
                let texts = many.iter().map(|value| cut(value.as_ref()));
                texts.fold(0, |hash, text| self.hasher.hash_one((hash, text)))
            }
        }
    }

    fn add_series<V: AsRef<str>>(&self, hash: u64, values: &[V]) -> Arc<Cell> {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = series.find(hash, values) {
            return cell;
        }
        if series.known.len() >= MAX_SERIES
            || values.iter().all(|v| v.as_ref() == OTHER) && !values.is_empty()
        {
            return Arc::clone(series.other.get_or_insert_with(|| Arc::new(Cell::new(self.kind))));
        }
        let cell = Arc::new(Cell::new(self.kind));
        let values: LabelValues = values
            .iter()
            .map(|value| Box::from(cut(value.as_ref())))
            .collect();
        series
            .known
            .insert_unique(hash, (values, Arc::clone(&cell)), |(values, _)| self.hash(values));
        cell
    }
}

impl Series {
    fn find<V: AsRef<str>>(&self, hash: u64, values: &[V]) -> Option<Arc<Cell>> {
        let same = |(known, _): &(LabelValues, Arc<Cell>)| {
            known
                .iter()
                .zip(values)
                .all(|(known, value)| **known == *cut(value.as_ref()))
        };
        self.known.find(hash, same).map(|(_, cell)| Arc::clone(cell))
    }
}

impl Cell {
    fn new(kind: MetricKind) -> Self {
        let zero = || AtomicU64::new(0_f64.to_bits());
        let value = match kind {
            MetricKind::Counter => Value::Sum(zero()),
            MetricKind::Gauge => Value::Last(zero()),
            MetricKind::Histogram => Value::Buckets {
                counts: Default::default(),
                beyond: Counter::default(),
                sum: zero(),
            },
        };
        Self {
            value,
            number: OnceLock::new(),
        }
    }

    /// Counts one value: an atomic operation or two.
    ///
    /// # Errors
    /// [`ObserveError::Value`].
    pub fn observe(&self, value: f64) -> Result<(), ObserveError> {
        if !value.is_finite() || (value < 0.0 && matches!(self.value, Value::Sum(_))) {
            return Err(ObserveError::Value);
        }
        match &self.value {
            Value::Sum(sum) => add(sum, value),
            Value::Last(last) => last.store(value.to_bits(), Ordering::Relaxed),
            Value::Buckets { counts, beyond, sum } => {
                let fits = BOUNDS_SECONDS.iter().position(|bound| value <= *bound);
                fits.and_then(|at| counts.get(at)).unwrap_or(beyond).add(1);
                add(sum, value);
            }
        }
        Ok(())
    }

    fn render(&self, name: &str, labels: &[Label<'_>], doc: &mut Exposition) {
        match &self.value {
            Value::Sum(value) | Value::Last(value) => {
                doc.number(name, labels, f64::from_bits(value.load(Ordering::Relaxed)));
            }
            Value::Buckets { counts, beyond, sum } => {
                let histogram = HistogramSum {
                    buckets: counts.each_ref().map(Counter::get),
                    beyond: beyond.get(),
                    sum_seconds: f64::from_bits(sum.load(Ordering::Relaxed)),
                };
                doc.histogram(name, labels, &histogram);
            }
        }
    }
}

/// Adds to a float that is kept as its bits.
fn add(sum: &AtomicU64, value: f64) {
    let plus = |bits| Some((f64::from_bits(bits) + value).to_bits());
    // The closure always gives a value, so the update always succeeds.
    let _always_ok = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, plus);
}

/// The part of a label value that is kept.
fn cut(value: &str) -> &str {
    value
        .get(..value.floor_char_boundary(MAX_VALUE_BYTES))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(kind: MetricKind, labels: &[&str]) -> Metric {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        Metric::new(kind, "m", "help", &labels)
    }

    fn text(metric: &Metric) -> String {
        let mut doc = Exposition::default();
        metric.render(Some(("plugin", "p")), &mut doc);
        doc.into_text()
    }

    #[test]
    fn series_are_told_apart_by_all_their_values() {
        let metric = metric(MetricKind::Counter, &["a", "b"]);
        for values in [["x", "y"], ["x", "z"], ["x", "y"], ["xy", ""]] {
            metric.observe(&values, 1.5).unwrap();
        }
        assert_eq!(
            text(&metric),
            "m{plugin=\"p\",a=\"x\",b=\"y\"} 3\nm{plugin=\"p\",a=\"x\",b=\"z\"} 1.5\n\
             m{plugin=\"p\",a=\"xy\",b=\"\"} 1.5\n"
        );
    }

    #[test]
    fn beyond_the_bound_everything_is_other() {
        let metric = metric(MetricKind::Counter, &["a"]);
        for n in 0..MAX_SERIES + 500 {
            metric.observe(&[n.to_string()], 1.0).unwrap();
        }
        let text = text(&metric);
        assert_eq!(text.lines().count(), MAX_SERIES + 1);
        assert!(text.ends_with("m{plugin=\"p\",a=\"other\"} 500\n"));
    }

    #[test]
    fn a_value_called_other_does_not_make_a_second_series_of_that_name() {
        let metric = metric(MetricKind::Counter, &["a"]);
        metric.observe(&["other"], 1.0).unwrap();
        for n in 0..=MAX_SERIES {
            metric.observe(&[n.to_string()], 1.0).unwrap();
        }
        assert_eq!(text(&metric).matches("other").count(), 1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let counter = metric(MetricKind::Counter, &["a"]);
        assert_eq!(
            counter.observe(&["x", "y"], 1.0),
            Err(ObserveError::Labels { labels: 1, given: 2 })
        );
        assert_eq!(counter.observe(&["x"], -1.0), Err(ObserveError::Value));
        assert_eq!(counter.observe(&["x"], f64::NAN), Err(ObserveError::Value));
        let gauge = metric(MetricKind::Gauge, &[]);
        gauge.observe::<&str>(&[], -2.5).unwrap();
        gauge.observe::<&str>(&[], -3.5).unwrap();
        assert_eq!(text(&gauge), "m{plugin=\"p\"} -3.5\n");
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let metric = metric(MetricKind::Counter, &["a"]);
        let long = format!("{}é{}", "x".repeat(MAX_VALUE_BYTES - 1), "y".repeat(50));
        metric.observe(&[&long], 1.0).unwrap();
        metric.observe(&[&long], 1.0).unwrap();
        assert_eq!(
            text(&metric),
            format!("m{{plugin=\"p\",a=\"{}\"}} 2\n", "x".repeat(MAX_VALUE_BYTES - 1))
        );
    }

    #[test]
    fn threads_lose_no_count() {
        let metric = metric(MetricKind::Histogram, &["a"]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for n in 0..1_000 {
                        metric.observe(&[(n % 7).to_string()], 0.5).unwrap();
                    }
                });
            }
        });
        let sum: f64 = text(&metric)
            .lines()
            .filter(|line| line.contains("_sum"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum();
        assert_eq!(sum, 4_000.0);
    }
}
