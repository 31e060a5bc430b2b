//! The Prometheus text exposition format 0.0.4: how a metric is written down.
//!
//! It knows names, labels and numbers; not which metrics there are. Whoever calls it gives all samples of a metric
//! in a row, in an order of its own that does not change from scrape to scrape.

use std::fmt::Write;

use crate::telemetry::cell::{BOUNDS, HistogramSum};

/// Content-Type of the document.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Name and value of one label.
pub(super) type Label<'a> = (&'a str, &'a str);

/// The document, as far as it is written.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Begins a metric.
    pub(super) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.push(&["# HELP ", name, " "]);
        for c in help.chars() {
            match c {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                _ => self.text.push(c),
            }
        }
        self.push(&["\n# TYPE ", name, " ", kind, "\n"]);
    }

    pub(super) fn count(&mut self, name: &str, labels: &[Label<'_>], value: u64) {
        self.series(name, "", labels, None);
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.text, " {value}");
    }

    pub(super) fn number(&mut self, name: &str, labels: &[Label<'_>], value: f64) {
        self.series(name, "", labels, None);
        self.float(value);
    }

    pub(super) fn histogram(&mut self, name: &str, labels: &[Label<'_>], histogram: &HistogramSum) {
        let mut count = 0;
        for (bound, bucket) in BOUNDS.iter().zip(histogram.buckets) {
            count += bucket;
            self.series(name, "_bucket", labels, Some(("le", bound)));
            let _infallible = writeln!(self.text, " {count}");
        }
        count += histogram.beyond;
        self.series(name, "_bucket", labels, Some(("le", "+Inf")));
        let _infallible = writeln!(self.text, " {count}");
        self.series(name, "_sum", labels, None);
        self.float(histogram.sum_seconds);
        self.series(name, "_count", labels, None);
        let _infallible = writeln!(self.text, " {count}");
    }

    fn series(&mut self, name: &str, suffix: &str, labels: &[Label<'_>], last: Option<Label<'_>>) {
        self.push(&[name, suffix]);
        let mut before = "{";
        for (label, value) in labels.iter().copied().chain(last) {
            self.push(&[before, label, "=\""]);
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(c),
                }
            }
            self.text.push('"');
            before = ",";
        }
        if before == "," {
            self.text.push('}');
        }
    }

    fn float(&mut self, value: f64) {
        let text = match value {
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            _ => value.to_string(),
        };
        self.push(&[" ", &text, "\n"]);
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::cell::Histogram;
    use std::time::Duration;

    #[test]
    fn escapes_help_and_label_values() {
        let mut doc = Exposition::default();
        doc.metric("m", "counter", "a\\b\n\"c\"");
        doc.count("m", &[("l", "a\\b\n\"c\"é")], 3);
        doc.number("m", &[], 0.25);
        doc.number("m", &[], f64::INFINITY);
        doc.number("m", &[], f64::NAN);
        let expected = "# HELP m a\\\\b\\n\"c\"\n# TYPE m counter\nm{l=\"a\\\\b\\n\\\"c\\\"é\"} 3\n\
                        m 0.25\nm +Inf\nm NaN\n";
        assert_eq!(doc.into_text(), expected);
    }

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram::default();
        for ms in [1, 7, 700, 60_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let mut sum = HistogramSum::default();
        sum.add(&histogram);
        let mut doc = Exposition::default();
        doc.histogram("h", &[("r", "x")], &sum);
        let text = doc.into_text();
        assert!(text.contains("h_bucket{r=\"x\",le=\"0.005\"} 1\n"));
        assert!(text.contains("h_bucket{r=\"x\",le=\"0.75\"} 3\n"));
        assert!(text.contains("h_bucket{r=\"x\",le=\"10\"} 3\n"));
        assert!(text.contains("h_bucket{r=\"x\",le=\"+Inf\"} 4\n"));
        assert!(
            text.ends_with("h_sum{r=\"x\"} 60.708\nh_count{r=\"x\"} 4\n"),
            "{text}"
        );
    }
}
