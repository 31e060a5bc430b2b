//! Active health checks: what the results of checks make of an endpoint. It refuses to know how a check is made.

mod grpc;
pub(super) mod probe;

use std::time::Duration;

use crate::message::statuses::Statuses;

/// When and how an endpoint is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRules {
    /// What is asked.
    pub probe: Probe,
    /// From the end of one check to the next, up to a tenth more or less.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// What turns an endpoint from healthy to unhealthy and back.
    pub thresholds: Thresholds,
    /// The port that is asked, if it is another than that of the endpoint.
    pub port: Option<u16>,
}

/// What a check asks of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// That it accepts a connection.
    Tcp,
    /// That it answers a request.
    Http(HttpProbe),
    /// That it says that it serves, by the health protocol of gRPC. Its servers speak HTTP/2.
    Grpc(GrpcProbe),
}

/// The call of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcProbe {
    /// The service; empty for the server as a whole.
    pub service: String,
    /// The authority; the endpoint itself if it is none.
    pub host: Option<String>,
}

/// The request of a check, and its good answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// The method.
    pub method: http::Method,
    /// Path and query.
    pub path: String,
    /// The Host field; the endpoint itself if it is none.
    pub host: Option<String>,
    /// The statuses of good answers.
    pub expect: Statuses,
}

/// Results in a row that change what an endpoint counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed checks that make an unhealthy endpoint healthy, at least 1.
    pub healthy: u32,
    /// Failed checks that make a healthy endpoint unhealthy, at least 1.
    pub unhealthy: u32,
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Well.
    Passed,
    /// Not well, or not in time.
    Failed,
}

/// What the checks so far make of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// It was not checked yet.
    #[default]
    Unknown,
    /// It is healthy; the latest checks, so many, failed.
    Healthy(u32),
    /// It is unhealthy; the latest checks, so many, passed.
    Unhealthy(u32),
}

/// An endpoint counts as something else from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is healthy, which was not known or not so.
    Recovered,
    /// It is unhealthy, which was not known or not so.
    Lost,
}

impl Standing {
    /// What it is after one more check.
    #[must_use]
    pub fn after(self, checked: Checked, thresholds: &Thresholds) -> (Self, Option<Change>) {
        match self {
            Self::Unknown => Self::unknown(checked),
            Self::Healthy(failed) => Self::healthy(failed, checked, thresholds),
            Self::Unhealthy(passed) => Self::unhealthy(passed, checked, thresholds),
        }
    }

    /// The first check decides alone.
    fn unknown(checked: Checked) -> (Self, Option<Change>) {
        match checked {
            Checked::Passed => (Self::Healthy(0), Some(Change::Recovered)),
            Checked::Failed => (Self::Unhealthy(0), Some(Change::Lost)),
        }
    }

    fn healthy(failed: u32, checked: Checked, thresholds: &Thresholds) -> (Self, Option<Change>) {
        match checked {
            Checked::Passed => (Self::Healthy(0), None),
            Checked::Failed if failed.saturating_add(1) >= thresholds.unhealthy => {
                (Self::Unhealthy(0), Some(Change::Lost))
            }
            Checked::Failed => (Self::Healthy(failed.saturating_add(1)), None),
        }
    }

    fn unhealthy(passed: u32, checked: Checked, thresholds: &Thresholds) -> (Self, Option<Change>) {
        match checked {
            Checked::Failed => (Self::Unhealthy(0), None),
            Checked::Passed if passed.saturating_add(1) >= thresholds.healthy => {
                (Self::Healthy(0), Some(Change::Recovered))
            }
            Checked::Passed => (Self::Unhealthy(passed.saturating_add(1)), None),
        }
    }
}

impl HealthRules {
    /// The time to the next check: the interval, up to a tenth more or less, so that checks of many endpoints and of many
    /// gateways spread. `random` is any number.
    #[must_use]
    pub fn pause(&self, random: u64) -> Duration {
        let part = (random % 2_001) as f64 / 1_000.0 - 1.0;
        self.interval.mul_f64(1.0 + part / 10.0)
    }

    /// The time to the first check of an endpoint: at once, but not all in the same moment. `random` is any number.
    #[must_use]
    pub fn first_pause(&self, random: u64) -> Duration {
        let part = (random % 1_000) as f64 / 1_000.0;
        self.interval.min(FIRST_WITHIN).mul_f64(part)
    }
}

/// First checks of endpoints begin within this.
const FIRST_WITHIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> HealthRules {
        HealthRules {
            probe: Probe::Tcp,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            thresholds: Thresholds {
                healthy: 2,
                unhealthy: 3,
            },
            port: None,
        }
    }

    #[test]
    fn every_standing_after_every_check() {
        use Change::{Lost, Recovered};
        use Checked::{Failed, Passed};
        use Standing::{Healthy, Unhealthy, Unknown};
        #[rustfmt::skip]
        let table = [
            (Unknown, Passed, Healthy(0), Some(Recovered)),
            (Unknown, Failed, Unhealthy(0), Some(Lost)),
            (Healthy(0), Passed, Healthy(0), None),
            (Healthy(0), Failed, Healthy(1), None),
            (Healthy(1), Failed, Healthy(2), None),
            (Healthy(2), Passed, Healthy(0), None),
            (Healthy(2), Failed, Unhealthy(0), Some(Lost)),
            (Unhealthy(0), Failed, Unhealthy(0), None),
            (Unhealthy(0), Passed, Unhealthy(1), None),
            (Unhealthy(1), Failed, Unhealthy(0), None),
            (Unhealthy(1), Passed, Healthy(0), Some(Recovered)),
            // A reload may have lowered the thresholds meanwhile.
            (Healthy(9), Failed, Unhealthy(0), Some(Lost)),
            (Unhealthy(u32::MAX), Passed, Healthy(0), Some(Recovered)),
        ];
        for (before, checked, after, change) in table {
            let found = before.after(checked, &rules().thresholds);
            assert_eq!(found, (after, change), "{before:?} after {checked:?}");
        }
    }

    #[test]
    fn a_row_of_checks_changes_what_it_counts_as_at_the_thresholds() {
        let mut standing = Standing::default();
        let mut changes = Vec::new();
        for (at, letter) in "..x.xx.xxx.x..xxx".chars().enumerate() {
            let checked = if letter == 'x' {
                Checked::Failed
            } else {
                Checked::Passed
            };
            let (next, change) = standing.after(checked, &rules().thresholds);
            standing = next;
            changes.extend(change.map(|change| (at, change)));
        }
        use Change::{Lost, Recovered};
        assert_eq!(changes, [(0, Recovered), (9, Lost), (13, Recovered), (16, Lost)]);
    }

    #[test]
    fn checks_spread_by_a_tenth_around_the_interval() {
        let pauses = [0, 500, 1_000, 2_000, 2_001].map(|random| rules().pause(random).as_millis());
        assert_eq!(pauses, [9_000, 9_500, 10_000, 11_000, 9_000]);
        let first = [0, 500, 999].map(|random| rules().first_pause(random).as_micros());
        assert_eq!(first, [0, 50_000, 99_900]);
        let often = HealthRules {
            interval: Duration::from_millis(10),
            ..rules()
        };
        assert_eq!(often.first_pause(500).as_micros(), 5_000);
    }
}
