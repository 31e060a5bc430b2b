//! The numbers that workers write while requests pass: counters and histograms of durations.
//!
//! A cell belongs to one worker and is read by the scrape; it knows neither its name nor its labels. Writes are relaxed
//! atomic additions: uncontended, as each worker has its own cells, and still exact when it is not so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets as Prometheus writes them: seconds, the boundaries that the OpenTelemetry semantic
/// conventions recommend for `http.server.request.duration`.
pub(super) const BOUNDS: [&str; 14] = [
    "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10",
];

/// The same bounds as numbers.
pub(super) const BOUNDS_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

const BOUNDS_US: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
    5_000_000, 7_500_000, 10_000_000,
];

/// A number that grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations by bucket.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [Counter; BOUNDS.len()],
    beyond: Counter,
    sum_ns: Counter,
}

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let fits = BOUNDS_US.iter().position(|bound| ns <= bound * 1_000);
        fits.and_then(|at| self.buckets.get(at))
            .unwrap_or(&self.beyond)
            .add(1);
        self.sum_ns.add(ns);
    }
}

/// Sum of several histograms.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct HistogramSum {
    pub(super) buckets: [u64; BOUNDS.len()],
    pub(super) beyond: u64,
    pub(super) sum_seconds: f64,
}

impl HistogramSum {
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += bucket.get();
        }
        self.beyond += histogram.beyond.get();
        self.sum_seconds += seconds(histogram.sum_ns.get());
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_tables_of_bounds_agree() {
        for ((text, number), us) in BOUNDS.iter().zip(BOUNDS_SECONDS).zip(BOUNDS_US) {
            assert_eq!(text.parse::<f64>().unwrap(), number);
            assert_eq!(Duration::from_secs_f64(number), Duration::from_micros(us));
        }
    }

    #[test]
    fn a_duration_on_a_bound_is_in_its_bucket() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(5));
        histogram.observe(Duration::from_millis(5) + Duration::from_nanos(1));
        histogram.observe(Duration::from_secs(11));
        let mut sum = HistogramSum::default();
        sum.add(&histogram);
        sum.add(&histogram);
        assert_eq!((sum.buckets[0], sum.buckets[1], sum.beyond), (2, 2, 2));
        assert!((sum.sum_seconds - 22.020_000_002).abs() < 1e-9);
    }
}
