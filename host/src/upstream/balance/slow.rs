//! Slow start: the weight of an endpoint that has just come grows over a time, as in Envoy ("Slow start mode"). It refuses
//! to know when an endpoint came.

use std::time::Duration;

/// How weights grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlowStart {
    /// How long.
    pub window: Duration,
    /// 100 = evenly with time; the share is (time / window)^(100 / aggression), so more gives more at the start.
    pub aggression_percent: u32,
    /// The share at the start, in per cent, at least 1.
    pub least_percent: u32,
}

impl SlowStart {
    /// The share of its weight that an endpoint has `age` after it came: above 0, at most 1.
    #[must_use]
    pub fn share(&self, age: Duration) -> f64 {
        if age >= self.window {
            return 1.0;
        }
        let time = age.as_secs_f64() / self.window.as_secs_f64();
        let power = 100.0 / f64::from(self.aggression_percent.max(1));
        time.powf(power)
            .max(f64::from(self.least_percent.clamp(1, 100)) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(aggression_percent: u32, seconds: u64) -> u32 {
        let slow = SlowStart {
            window: Duration::from_secs(60),
            aggression_percent,
            least_percent: 10,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "per cent")]
        let percent = (slow.share(Duration::from_secs(seconds)) * 100.0).round() as u32;
        percent
    }

    #[test]
    fn the_share_grows_from_the_least_to_all() {
        let times = [0, 3, 15, 30, 45, 60, 600];
        assert_eq!(times.map(|time| share(100, time)), [10, 10, 25, 50, 75, 100, 100]);
        assert_eq!(times.map(|time| share(200, time)), [10, 22, 50, 71, 87, 100, 100]);
        assert_eq!(times.map(|time| share(50, time)), [10, 10, 10, 25, 56, 100, 100]);
    }
}
