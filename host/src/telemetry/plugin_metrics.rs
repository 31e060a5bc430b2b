//! Metrics that plugins define: what the WIT interface `metrics` needs.
//!
//! It knows entries by name, and numbers; not components or instances. An entry's metrics live as long as the entry is
//! in the configuration: a reload that keeps it keeps the numbers and the counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use thiserror::Error;

use crate::telemetry::exposition::Exposition;
use crate::telemetry::series::{Cell, Metric, MetricKind};
pub use crate::telemetry::series::{Cell as SeriesCell, ObserveError};

/// What the served name of a plugin's metric begins with; what the plugin calls it follows.
pub const PREFIX: &str = "plugin_";

/// Most metrics of one entry.
pub const MAX_METRICS: usize = 100;

/// Most labels of one metric.
pub const MAX_LABELS: usize = 8;

/// Longest name of a metric or label, in bytes.
pub const MAX_NAME_BYTES: usize = 100;

/// Longest help text, in bytes.
pub const MAX_HELP_BYTES: usize = 500;

/// Why a metric was not defined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DefineError {
    /// Not `[a-zA-Z_][a-zA-Z0-9_]*`, too long, or with an ending that histograms use.
    #[error("`{0}` is not a metric name (letters, digits and _, not ending in _bucket, _sum or _count)")]
    Name(String),
    /// Not a label name, reserved (`plugin`, `le`, `__..`), or given twice.
    #[error("`{0}` is not a label name, or reserved, or given twice")]
    Label(String),
    /// More than [`MAX_LABELS`].
    #[error("{0} labels are more than {MAX_LABELS}")]
    Labels(usize),
    /// Longer than [`MAX_HELP_BYTES`].
    #[error("help of {0} bytes is longer than {MAX_HELP_BYTES}")]
    Help(usize),
    /// This entry already has a metric of this name, and it is another one.
    #[error("metric `{0}` is already defined with another kind, help or labels")]
    Differs(String),
    /// Another entry has a metric of this name, and it is of another kind.
    #[error("metric `{0}` is defined as a {kind} by another plugin entry", kind = .1.name())]
    Kind(String, MetricKind),
    /// The entry has [`MAX_METRICS`].
    #[error("more than {MAX_METRICS} metrics")]
    TooMany,
}

/// The metrics of all entries.
#[derive(Debug, Default)]
pub struct PluginMetrics {
    entries: Mutex<BTreeMap<String, Arc<EntryMetrics>>>,
    kinds: Arc<Kinds>,
}

/// Kind of each name, and how many entries have it: one name has one kind in a document.
#[derive(Debug, Default)]
struct Kinds(Mutex<HashMap<String, (MetricKind, usize)>>);

/// The metrics of one entry. Kept by whoever serves its instances; numbers mean nothing to another entry.
#[derive(Debug)]
pub struct EntryMetrics {
    metrics: RwLock<Vec<Arc<Metric>>>,
    /// Series by their numbers, of those that were asked for.
    numbered: RwLock<Vec<Arc<Cell>>>,
    kinds: Arc<Kinds>,
}

impl PluginMetrics {
    /// The metrics of the entry `name`, which starts with none. Asked on (re)load.
    #[must_use]
    pub fn entry(&self, name: &str) -> Arc<EntryMetrics> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(name) {
            return Arc::clone(entry);
        }
        let entry = Arc::new(EntryMetrics {
            metrics: RwLock::default(),
            numbered: RwLock::default(),
            kinds: Arc::clone(&self.kinds),
        });
        entries.insert(name.to_owned(), Arc::clone(&entry));
        entry
    }

    /// Forgets the metrics of entries that `keep` refuses, after a reload that removed them.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| keep(name));
    }

    /// Writes all metrics, sorted by name, then by entry.
    pub(super) fn render(&self, doc: &mut Exposition) {
        let mut all: Vec<(Arc<Metric>, String)> = Vec::new();
        for (name, entry) in self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let metrics = entry.metrics.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(metrics.iter().map(|metric| (Arc::clone(metric), name.clone())));
        }
        all.sort_by(|(a, a_entry), (b, b_entry)| (a.name(), a_entry).cmp(&(b.name(), b_entry)));
        for group in all.chunk_by(|(a, _), (b, _)| a.name() == b.name()) {
            if let Some((first, _)) = group.first() {
                doc.metric(first.name(), first.kind().name(), first.help());
            }
            for (metric, entry) in group {
                metric.render(Some(("plugin", entry)), doc);
            }
        }
    }
}

impl EntryMetrics {
    /// Defines the metric `plugin_NAME` with the label `plugin` and these labels, and gives its number. The same
    /// definition again, by another instance or after a reload, gives the same number.
    ///
    /// # Errors
    /// When a name breaks the rules of Prometheus, a bound is passed, or the name is taken by another definition.
    pub fn define(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[String],
    ) -> Result<u32, DefineError> {
        check(name, help, labels)?;
        let full = format!("{PREFIX}{name}");
        let mut metrics = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, metric)) = (0..)
            .zip(metrics.iter())
            .find(|(_, metric)| metric.name() == full)
        {
            let same = metric.is(kind, &full, help, labels);
            return if same {
                Ok(number)
            } else {
                Err(DefineError::Differs(name.to_owned()))
            };
        }
        let number = u32::try_from(metrics.len()).map_err(|_| DefineError::TooMany)?;
        if metrics.len() >= MAX_METRICS {
            return Err(DefineError::TooMany);
        }
        if let Some(other) = self.kinds.claim(&full, kind) {
            return Err(DefineError::Kind(name.to_owned(), other));
        }
        metrics.push(Arc::new(Metric::new(kind, &full, help, labels)));
        Ok(number)
    }

    /// Counts `value` under these label values, one for each label in the order of the definition. Per metric at most
    /// 1,000 sets of label values are kept; what comes later is counted under `other`.
    ///
    /// # Errors
    /// When the number, the count of label values or the value does not fit.
    pub fn observe<V: AsRef<str>>(
        &self,
        metric: u32,
        label_values: &[V],
        value: f64,
    ) -> Result<(), ObserveError> {
        self.metric(metric)?.observe(label_values, value)
    }

    /// The number of the series with these label values, which counts under them from then on. The same series has the
    /// same number, also after a reload.
    ///
    /// # Errors
    /// When the number of the metric or the count of label values does not fit.
    pub fn series<V: AsRef<str>>(&self, metric: u32, label_values: &[V]) -> Result<u32, ObserveError> {
        let cell = self.metric(metric)?.cell(label_values)?;
        let mut numbered = self.numbered.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = cell.number.get() {
            return Ok(*number);
        }
        // There are at most 100 metrics of about 1,000 series.
        let number = u32::try_from(numbered.len()).map_err(|_| ObserveError::Unknown(u32::MAX))?;
        numbered.push(Arc::clone(&cell));
        // Only set under the lock that is held.
        Ok(*cell.number.get_or_init(|| number))
    }

    /// The series with this number, to be kept by who observes it often.
    #[must_use]
    pub fn numbered(&self, series: u32) -> Option<Arc<Cell>> {
        let numbered = self.numbered.read().unwrap_or_else(PoisonError::into_inner);
        numbered.get(usize::try_from(series).ok()?).map(Arc::clone)
    }

    fn metric(&self, number: u32) -> Result<Arc<Metric>, ObserveError> {
        let metrics = self.metrics.read().unwrap_or_else(PoisonError::into_inner);
        let found = usize::try_from(number).ok().and_then(|at| metrics.get(at));
        found.map(Arc::clone).ok_or(ObserveError::Unknown(number))
    }
}

impl Drop for EntryMetrics {
    fn drop(&mut self) {
        for metric in self.metrics.get_mut().unwrap_or_else(PoisonError::into_inner) {
            self.kinds.release(metric.name());
        }
    }
}

impl Kinds {
    /// One more entry has this name. The other kind, if it is taken by one.
    fn claim(&self, name: &str, kind: MetricKind) -> Option<MetricKind> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, users) = kinds.entry(name.to_owned()).or_insert((kind, 0));
        if *known != kind {
            return Some(*known);
        }
        *users += 1;
        None
    }

    fn release(&self, name: &str) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, users)) = kinds.get_mut(name) {
            *users = users.saturating_sub(1);
            if *users == 0 {
                kinds.remove(name);
            }
        }
    }
}

fn check(name: &str, help: &str, labels: &[String]) -> Result<(), DefineError> {
    let reserved_end = ["_bucket", "_sum", "_count"]
        .iter()
        .any(|end| name.ends_with(end));
    if !is_identifier(name) || reserved_end {
        return Err(DefineError::Name(shown(name)));
    }
    if help.len() > MAX_HELP_BYTES {
        return Err(DefineError::Help(help.len()));
    }
    if labels.len() > MAX_LABELS {
        return Err(DefineError::Labels(labels.len()));
    }
    let mut before: Vec<&str> = vec!["plugin", "le"];
    for label in labels {
        if !is_identifier(label) || label.starts_with("__") || before.contains(&label.as_str()) {
            return Err(DefineError::Label(shown(label)));
        }
        before.push(label);
    }
    Ok(())
}

/// `[a-zA-Z_][a-zA-Z0-9_]*` within the length bound: what the Prometheus data model allows for labels. Metric names
/// could also have colons, which are for recording rules.
fn is_identifier(name: &str) -> bool {
    let first_fits = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    let all_fit = name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
    first_fits && all_fit && name.len() <= MAX_NAME_BYTES
}

/// A bad name as far as a message shows it.
fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn text(metrics: &PluginMetrics) -> String {
        let mut doc = Exposition::default();
        metrics.render(&mut doc);
        doc.into_text()
    }

    #[test]
    fn the_same_definition_has_the_same_number() {
        let entry = PluginMetrics::default().entry("limit");
        let first = entry
            .define(MetricKind::Counter, "hits_total", "Hits.", &labels(&["key"]))
            .unwrap();
        let second = entry.define(MetricKind::Gauge, "level", "Level.", &[]).unwrap();
        assert_ne!(first, second);
        assert_eq!(
            entry.define(MetricKind::Counter, "hits_total", "Hits.", &labels(&["key"])),
            Ok(first)
        );
        let differs = Err(DefineError::Differs("hits_total".to_owned()));
        assert_eq!(
            entry.define(MetricKind::Counter, "hits_total", "Hits.", &labels(&["id"])),
            differs
        );
        assert_eq!(
            entry.define(MetricKind::Gauge, "hits_total", "Hits.", &labels(&["key"])),
            differs
        );
    }

    #[test]
    fn entries_share_a_name_but_not_a_kind() {
        let metrics = PluginMetrics::default();
        let (a, b) = (metrics.entry("a"), metrics.entry("b"));
        let hits = a.define(MetricKind::Counter, "hits", "Hits.", &[]).unwrap();
        assert_eq!(
            b.define(MetricKind::Gauge, "hits", "Hits.", &[]),
            Err(DefineError::Kind("hits".to_owned(), MetricKind::Counter))
        );
        let also = b.define(MetricKind::Counter, "hits", "Hits of b.", &[]).unwrap();
        a.observe::<&str>(hits, &[], 1.0).unwrap();
        b.observe::<&str>(also, &[], 2.0).unwrap();
        assert_eq!(
            text(&metrics),
            "# HELP plugin_hits Hits.\n# TYPE plugin_hits counter\n\
             plugin_hits{plugin=\"a\"} 1\nplugin_hits{plugin=\"b\"} 2\n"
        );
        drop((a, b));
        metrics.retain(|_| false);
        assert_eq!(text(&metrics), "");
        assert!(
            metrics
                .entry("c")
                .define(MetricKind::Gauge, "hits", "", &[])
                .is_ok(),
            "the name is free again"
        );
    }

    #[test]
    fn bad_names_are_refused() {
        let entry = PluginMetrics::default().entry("e");
        for name in ["", "9a", "a-b", "a:b", "a b", "é", "x_count", "x_bucket"] {
            let error = entry.define(MetricKind::Counter, name, "", &[]).unwrap_err();
            assert!(matches!(error, DefineError::Name(_)), "{name}");
        }
        for label in ["", "le", "plugin", "__x", "a-b"] {
            let error = entry
                .define(MetricKind::Counter, "x", "", &labels(&[label]))
                .unwrap_err();
            assert!(matches!(error, DefineError::Label(_)), "{label}");
        }
        assert!(
            entry
                .define(MetricKind::Counter, "x", "", &labels(&["a", "a"]))
                .is_err()
        );
        assert!(
            entry
                .define(MetricKind::Counter, "x", &"h".repeat(501), &[])
                .is_err()
        );
        assert!(
            entry
                .define(MetricKind::Counter, "x", "", &labels(&["a"; 9]))
                .is_err()
        );
    }

    #[test]
    fn a_series_by_its_number_is_the_one_with_these_label_values() {
        let metrics = PluginMetrics::default();
        let entry = metrics.entry("e");
        let hits = entry
            .define(MetricKind::Counter, "hits", "Hits.", &labels(&["key"]))
            .unwrap();
        let a = entry.series(hits, &["a"]).unwrap();
        let b = entry.series(hits, &["b"]).unwrap();
        assert_ne!(a, b);
        assert_eq!(metrics.entry("e").series(hits, &["a"]), Ok(a));
        entry.numbered(a).unwrap().observe(2.0).unwrap();
        entry.observe(hits, &["a"], 1.0).unwrap();
        assert_eq!(entry.numbered(b).unwrap().observe(-1.0), Err(ObserveError::Value));
        assert!(
            text(&metrics)
                .ends_with("plugin_hits{plugin=\"e\",key=\"a\"} 3\nplugin_hits{plugin=\"e\",key=\"b\"} 0\n")
        );
        assert!(entry.numbered(b + 1).is_none());
        assert_eq!(
            entry.series(hits + 1, &["a"]),
            Err(ObserveError::Unknown(hits + 1))
        );
        let few = ObserveError::Labels { labels: 1, given: 0 };
        assert_eq!(entry.series::<&str>(hits, &[]), Err(few));
    }

    #[test]
    fn the_number_of_metrics_is_bounded() {
        let entry = PluginMetrics::default().entry("e");
        for n in 0..MAX_METRICS {
            entry
                .define(MetricKind::Counter, &format!("m{n}"), "", &[])
                .unwrap();
        }
        assert_eq!(
            entry.define(MetricKind::Counter, "more", "", &[]),
            Err(DefineError::TooMany)
        );
        assert!(entry.define(MetricKind::Counter, "m0", "", &[]).is_ok());
    }

    #[test]
    fn a_number_of_another_entry_is_unknown() {
        let metrics = PluginMetrics::default();
        metrics
            .entry("a")
            .define(MetricKind::Counter, "m", "", &[])
            .unwrap();
        assert_eq!(
            metrics.entry("b").observe::<&str>(0, &[], 1.0),
            Err(ObserveError::Unknown(0))
        );
    }

    proptest! {
        #[test]
        fn any_definition_renders_as_lines_of_the_format(name in ".{0,12}", label in ".{0,6}", value in ".{0,12}") {
            let metrics = PluginMetrics::default();
            let entry = metrics.entry("e");
            if let Ok(number) = entry.define(MetricKind::Counter, &name, &value, &labels(&[&label])) {
                entry.observe(number, &[&value], 1.0).unwrap();
                prop_assert_eq!(text(&metrics).matches('\n').count(), 3);
            }
        }
    }
}
