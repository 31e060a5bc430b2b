//! Which endpoint sits out because it fails again and again: errors in a row, and how long it stays away. It refuses to
//! know what an error is, how the others are told, and clocks.
//!
//! The rules are those of Envoy's outlier detection by consecutive errors, but each further time doubles the time away
//! instead of adding to it, and a time without an ejection takes one doubling back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// When an endpoint is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierRules {
    /// After so many gateway errors in a row: 502, 503, 504 and exchanges without an answer.
    pub gateway_errors: Option<u32>,
    /// After so many server errors in a row: every 5xx and exchanges without an answer.
    pub server_errors: Option<u32>,
    /// How long the first time; each further time twice as long.
    pub base_time: Duration,
    /// The longest time.
    pub max_time: Duration,
    /// The part of an upstream's endpoints that may be ejected at once, in per cent, rounded down; but one of several
    /// always may.
    pub max_percent: u32,
}

impl OutlierRules {
    /// Whether one more of so many endpoints may be ejected.
    #[must_use]
    pub fn has_room(&self, endpoints: usize, ejected: usize) -> bool {
        let percent = usize::try_from(self.max_percent.min(100)).unwrap_or(100);
        let least = usize::from(endpoints > 1 && percent > 0);
        ejected < (endpoints.saturating_mul(percent) / 100).max(least)
    }

    /// How long the `time`th ejection lasts, from 1.
    fn lasts(&self, time: u32) -> Duration {
        let doublings = time.saturating_sub(1).min(31);
        self.base_time
            .saturating_mul(1_u32 << doublings)
            .min(self.max_time)
    }
}

/// What the end of an exchange says of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It works.
    Good,
    /// It failed itself: another 5xx.
    ServerError,
    /// It, or what is behind it, could not be reached.
    GatewayError,
}

/// What is to be done with the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing.
    Keep,
    /// It should be ejected, if others are left.
    Eject,
}

/// The record of one endpoint. Times are milliseconds of a monotonic clock.
#[derive(Debug, Default)]
pub struct Record {
    gateway_errors: AtomicU32,
    server_errors: AtomicU32,
    /// Ejections that count for the length of the next one.
    times: AtomicU32,
    until_ms: AtomicU64,
    total: AtomicU64,
}

impl Record {
    /// An exchange has ended while the endpoint was in use. One that goes well costs two loads.
    pub fn heard(&self, sign: Sign, rules: &OutlierRules) -> Judgement {
        let count = |errors: &AtomicU32, is_error: bool, most: Option<u32>| {
            if !is_error {
                if errors.load(Ordering::Relaxed) != 0 {
                    errors.store(0, Ordering::Relaxed);
                }
                return false;
            }
            let before = errors.fetch_add(1, Ordering::Relaxed);
            most.is_some_and(|most| before.saturating_add(1) >= most)
        };
        let gateway = count(
            &self.gateway_errors,
            sign == Sign::GatewayError,
            rules.gateway_errors,
        );
        let server = count(&self.server_errors, sign != Sign::Good, rules.server_errors);
        if gateway || server {
            Judgement::Eject
        } else {
            Judgement::Keep
        }
    }

    /// It is ejected from now on; gives how long. Only one thread at a time may eject.
    pub fn eject(&self, now_ms: u64, rules: &OutlierRules) -> Duration {
        let back_for = now_ms.saturating_sub(self.until_ms.load(Ordering::Relaxed));
        let forgiven = back_for / millis(rules.base_time).max(1);
        let before = u64::from(self.times.load(Ordering::Relaxed)).saturating_sub(forgiven);
        let times = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        let lasts = rules.lasts(times);
        self.times.store(times, Ordering::Relaxed);
        self.until_ms
            .store(now_ms.saturating_add(millis(lasts)), Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        lasts
    }

    /// It comes back: errors from before say nothing any more.
    pub fn come_back(&self) {
        self.gateway_errors.store(0, Ordering::Relaxed);
        self.server_errors.store(0, Ordering::Relaxed);
    }

    /// When it may come back.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.until_ms.load(Ordering::Relaxed)
    }

    /// How often it was ejected.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock;

    fn now_ms() -> u64 {
        clock::monotonic_ns() / 1_000_000
    }

    fn rules() -> OutlierRules {
        OutlierRules {
            gateway_errors: Some(3),
            server_errors: Some(5),
            base_time: Duration::from_secs(30),
            max_time: Duration::from_secs(100),
            max_percent: 50,
        }
    }

    #[test]
    fn errors_in_a_row_eject_and_everything_else_does_not() {
        // `.` good, `s` another 5xx, `g` gateway error; the place of the judgement, if there is one.
        #[rustfmt::skip]
        let table = [
            ("gg.gg.gg", None),
            ("ggg", Some(2)),
            ("ssss.ssss", None),
            ("sssss", Some(4)),
            // Gateway errors are server errors, too, but not the other way round.
            ("sgsgs", Some(4)),
            ("ggsgg", Some(4)),
            ("gsg.gg", None),
        ];
        for (signs, want) in table {
            let record = Record::default();
            let found = signs.chars().position(|sign| {
                let sign = match sign {
                    's' => Sign::ServerError,
                    'g' => Sign::GatewayError,
                    _ => Sign::Good,
                };
                record.heard(sign, &rules()) == Judgement::Eject
            });
            assert_eq!(found, want, "{signs}");
        }
    }

    #[test]
    fn what_is_off_ejects_nobody() {
        let off = OutlierRules {
            gateway_errors: None,
            server_errors: None,
            ..rules()
        };
        let record = Record::default();
        for _ in 0..100 {
            assert_eq!(record.heard(Sign::GatewayError, &off), Judgement::Keep);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_time_lasts_twice_as_long_and_quiet_times_are_forgiven() {
        let record = Record::default();
        // Seconds that it was back before it is ejected again, and how long that lasts.
        #[rustfmt::skip]
        let table = [(0, 30), (0, 60), (0, 100), (0, 100), (29, 100), (30, 100), (60, 100), (90, 60), (10_000, 30), (31, 30)];
        for (quiet, want) in table {
            tokio::time::advance(Duration::from_secs(quiet)).await;
            let lasts = record.eject(now_ms(), &rules());
            assert_eq!(lasts.as_secs(), want, "after {quiet} s");
            assert_eq!(record.until_ms(), now_ms() + want * 1_000);
            tokio::time::advance(lasts).await;
            record.come_back();
        }
        assert_eq!(record.ejections(), 10);
    }

    #[test]
    fn an_endpoint_that_comes_back_starts_from_the_beginning() {
        let record = Record::default();
        for _ in 0..10 {
            record.heard(Sign::GatewayError, &rules());
        }
        record.come_back();
        assert_eq!(record.heard(Sign::GatewayError, &rules()), Judgement::Keep);
    }

    #[test]
    fn so_many_of_so_many_may_be_ejected() {
        #[rustfmt::skip]
        let table = [(1, 50, 0), (2, 50, 1), (3, 50, 1), (4, 50, 2), (3, 10, 1), (20, 10, 2), (3, 0, 0), (1, 100, 1), (3, 100, 3)];
        for (endpoints, max_percent, most) in table {
            let rules = OutlierRules {
                max_percent,
                ..rules()
            };
            let ejected = (0..10)
                .take_while(|ejected| rules.has_room(endpoints, *ejected))
                .count();
            assert_eq!(ejected, most, "{max_percent} % of {endpoints}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_part_but_one_of_several(endpoints in 0..2_000_usize, max_percent in 0..=100_u32) {
            let rules = OutlierRules { max_percent, ..rules() };
            let most = (0..=endpoints).take_while(|ejected| rules.has_room(endpoints, *ejected)).count();
            prop_assert!(most <= endpoints);
            let part = endpoints as f64 * f64::from(max_percent) / 100.0;
            prop_assert!(most as f64 <= part || (most == 1 && endpoints > 1));
        }
    }
}
