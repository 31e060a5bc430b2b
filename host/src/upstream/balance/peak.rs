//! The expected time to an answer, as Finagle's Peak EWMA keeps it (its `PeakEwma.scala`; linkerd2 has the same rule): a slower
//! answer counts at once, faster ones little by little, and silence makes it forget. It refuses to choose.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Nanoseconds of a tick, as a power of two: a tick is 16 us, and ticks repeat after 19 hours.
const TICK: u32 = 14;

/// What an endpoint without an answer so far is expected to take while exchanges wait for its first one. Finagle's penalty
/// is without bound; this one lets the others have the load until the first answers are there.
const UNKNOWN_NS: f64 = 1e9;
/// The longest average that is told, seconds.
const LONGEST: f64 = 1e6;

/// The average in nanoseconds, a 32-bit float, and the tick of its last update, in one word that is changed as a whole.
#[derive(Debug, Default)]
pub(in super::super) struct Peak(AtomicU64);

impl Peak {
    /// An answer took this long.
    pub(in super::super) fn observe(&self, took: Duration, now_ns: u64, decay: Duration) {
        let took = took.as_secs_f64() * 1e9;
        let update = |word: u64| {
            let (cost, since) = unpack(word, now_ns);
            let keep = keep(since, decay);
            let next = if word == 0 || took > cost {
                took
            } else {
                cost * keep + took * (1.0 - keep)
            };
            Some(pack(next, now_ns))
        };
        // The closure always gives a value.
        let _known = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// What one more exchange has to expect, with `in_flight` there already: the average, faded by the time since the last
    /// answer, times all that wait.
    pub(in super::super) fn cost(&self, in_flight: f64, now_ns: u64, decay: Duration) -> f64 {
        let word = self.0.load(Ordering::Relaxed);
        if word == 0 {
            return if in_flight > 0.0 {
                UNKNOWN_NS * in_flight
            } else {
                0.0
            };
        }
        let (cost, since) = unpack(word, now_ns);
        cost * keep(since, decay) * (in_flight + 1.0)
    }

    /// The average alone, faded likewise; none as long as there was no answer.
    pub(in super::super) fn average(&self, now_ns: u64, decay: Duration) -> Option<Duration> {
        let word = self.0.load(Ordering::Relaxed);
        let (cost, since) = unpack(word, now_ns);
        (word != 0).then(|| Duration::from_secs_f64((cost * keep(since, decay) / 1e9).clamp(0.0, LONGEST)))
    }
}

/// How much of the old value stays after `since` nanoseconds.
fn keep(since: f64, decay: Duration) -> f64 {
    let decay = decay.as_secs_f64() * 1e9;
    (-since / decay.max(1.0)).exp()
}

/// The average, and nanoseconds since its update.
fn unpack(word: u64, now_ns: u64) -> (f64, f64) {
    let [cost, at] = [word >> 32, word & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or(0));
    let since = ticks(now_ns).wrapping_sub(at);
    // A tick that is later than now by another thread's doing.
    let since = if since > u32::MAX / 2 { 0 } else { since };
    (
        f64::from(f32::from_bits(cost)),
        f64::from(since) * f64::from(1_u32 << TICK),
    )
}

/// Never 0, which means that nothing is known.
fn pack(cost: f64, now_ns: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "fewer digits are enough; a float saturates"
    )]
    let cost = (cost as f32).max(1.0);
    u64::from(cost.to_bits()) << 32 | u64::from(ticks(now_ns))
}

fn ticks(now_ns: u64) -> u32 {
    u32::try_from((now_ns >> TICK) & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);
    const SECOND: u64 = 1_000_000_000;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn near(cost: f64, want_ms: f64) {
        let ms = cost / 1e6;
        assert!(
            (ms - want_ms).abs() < want_ms * 0.01,
            "{ms} ms instead of {want_ms}"
        );
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_is_forgotten_slowly() {
        let peak = Peak::default();
        let start = 3600 * SECOND;
        assert!(peak.cost(0.0, start, DECAY).abs() < f64::EPSILON);
        peak.observe(ms(10), start, DECAY);
        near(peak.cost(0.0, start, DECAY), 10.0);
        peak.observe(ms(500), start + SECOND, DECAY);
        near(peak.cost(0.0, start + SECOND, DECAY), 500.0);
        // After a tenth of the decay time, a fast answer weighs 1 - 1/e^0.1.
        peak.observe(ms(10), start + 2 * SECOND, DECAY);
        let want = 500.0 * (-0.1_f64).exp() + 10.0 * (1.0 - (-0.1_f64).exp());
        near(peak.cost(0.0, start + 2 * SECOND, DECAY), want);
        // Silence for a decay time leaves 1/e.
        near(
            peak.cost(0.0, start + 12 * SECOND, DECAY),
            want / std::f64::consts::E,
        );
    }

    #[test]
    fn what_waits_multiplies_and_the_unknown_is_dear_once_it_is_in_use() {
        let peak = Peak::default();
        near(peak.cost(2.0, SECOND, DECAY), 2000.0);
        peak.observe(ms(20), SECOND, DECAY);
        near(peak.cost(3.0, SECOND, DECAY), 80.0);
    }

    #[test]
    fn the_average_is_told_without_what_waits() {
        let peak = Peak::default();
        assert_eq!(peak.average(SECOND, DECAY), None);
        peak.observe(ms(20), SECOND, DECAY);
        let told = peak.average(SECOND, DECAY).unwrap();
        near(told.as_secs_f64() * 1e9, 20.0);
        let faded = peak.average(11 * SECOND, DECAY).unwrap();
        near(faded.as_secs_f64() * 1e9, 20.0 / std::f64::consts::E);
    }

    #[test]
    fn a_clock_that_seems_to_go_back_decays_nothing() {
        let peak = Peak::default();
        peak.observe(ms(20), 5 * SECOND, DECAY);
        near(peak.cost(0.0, 4 * SECOND, DECAY), 20.0);
    }
}
