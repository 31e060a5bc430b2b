//! What `/status` says of an entry's background work. It refuses to know who does it.

use serde::Serialize;

use crate::clock;
use crate::plugin::Unit;

/// The background work of one entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Tick {
    period_ms: u64,
    calls: u64,
    faults: u64,
    /// RFC 3339; there after faults that put the next call off.
    #[serde(skip_serializing_if = "Option::is_none")]
    backing_off_until: Option<String>,
    /// The newest call that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Last {
    /// When it began, RFC 3339.
    at: String,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl Tick {
    /// That of a unit, if it has some.
    pub(super) fn of(unit: &Unit) -> Option<Self> {
        let time = |ms| clock::rfc3339(ms).as_str().to_owned();
        let log = &unit.ticks;
        Some(Self {
            period_ms: millis(unit.tick_period()?),
            calls: log.calls(),
            faults: log.faults(),
            backing_off_until: log.pause_until_ms().map(time),
            last: log.last().map(|last| Last {
                at: time(last.at_ms),
                took_ms: millis(last.took),
                fault: last.fault.as_deref().map(str::to_owned),
            }),
        })
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
