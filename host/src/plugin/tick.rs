//! Background work of one unit: when it is due, its one instance, and what is known of the newest call. A state machine
//! beside the health of requests, which faults in here never touch. It refuses to know which thread it is on, and which
//! generation is in force.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::hook::{Fault, FaultKind, Hook};
use super::instance::{At, Fiber};
use super::{Instance, Unit, Warmer};
use crate::abi::Outside;
use crate::clock;
use crate::engine::CpuMeter;
use crate::ids::new_span_id;
use crate::telemetry::events::PluginFault;
use crate::telemetry::{PluginStats, Telemetry};

/// The first call comes within this, or within the period if that is shorter.
const SOON: Duration = Duration::from_secs(1);
/// Longest pause after faults, unless the period is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A call that took longer than its period is followed by a rest of this part of the period.
const REST: u32 = 10;

/// What is known of a unit's background work. Read by whoever shows it, written by its [`Ticker`].
#[derive(Debug, Default)]
pub struct TickLog {
    in_a_row: AtomicU32,
    faults: AtomicU64,
    calls: AtomicU64,
    /// Unix time in ms of the next call after a fault that is answered by a longer pause; 0 = none.
    pause_until_ms: AtomicU64,
    last: Mutex<Option<LastTick>>,
    reset: Notify,
}

/// The newest call that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTick {
    /// When it began, Unix time in ms.
    pub at_ms: u64,
    /// How long it took.
    pub took: Duration,
    /// What it failed of.
    pub fault: Option<Arc<str>>,
}

impl TickLog {
    /// The newest call that has ended.
    #[must_use]
    pub fn last(&self) -> Option<LastTick> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls that have ended.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Those that failed.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Until when it is let alone after faults, Unix time in ms; none where it is called as its period says.
    #[must_use]
    pub fn pause_until_ms(&self) -> Option<u64> {
        Some(self.pause_until_ms.load(Ordering::Relaxed)).filter(|until| *until > 0)
    }

    /// Forgets the faults in a row: the next call is due at once if it was put off.
    pub fn reset(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        if self.pause_until_ms.swap(0, Ordering::Relaxed) > 0 {
            self.reset.notify_one();
        }
    }

    /// Notes the end of a call; gives the time from its beginning to the next.
    fn ended(&self, last: LastTick, period: Duration, random: u64) -> Duration {
        let fault = last.fault.is_some();
        let at_ms = last.at_ms;
        let took = last.took;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        self.calls.fetch_add(1, Ordering::Relaxed);
        let after = took + period / REST;
        if !fault {
            self.in_a_row.store(0, Ordering::Relaxed);
            self.pause_until_ms.store(0, Ordering::Relaxed);
            return period.max(after);
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        let row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let pause = pause_after(row, period, random);
        let put_off = pause > period;
        let until = at_ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.pause_until_ms
            .store(if put_off { until } else { 0 }, Ordering::Relaxed);
        pause.max(after)
    }
}

/// The time to the next call after so many faults in a row: the period, then twice as long after each further one, at most a
/// minute (or the period). Up to a quarter is taken off at random, so that many gateways do not try again together, never
/// less than the period.
fn pause_after(faults: u32, period: Duration, random: u64) -> Duration {
    let doubled = 1_u32 << faults.saturating_sub(1).min(16);
    let full = period.saturating_mul(doubled).min(LONGEST_PAUSE).max(period);
    let part = u32::try_from(random % 1_000).unwrap_or(0);
    (full - full / 4_000 * part).max(period)
}

/// When the first call is due.
fn first(period: Duration, random: u64) -> Duration {
    let part = u32::try_from(random % 1_000).unwrap_or(0);
    period.min(SOON) / 1_000 * part
}

/// Runs the background work of one unit, one call after the other. It is not for several threads.
#[derive(Debug)]
pub struct Ticker {
    unit: Arc<Unit>,
    period: Duration,
    warmer: Warmer,
    outside: Rc<dyn Outside>,
    telemetry: Arc<Telemetry>,
    stats: Arc<PluginStats>,
    instance: Option<Own>,
    next: Instant,
}

impl Ticker {
    /// For a unit with background work that has a period; none for others. The first call is due soon.
    #[must_use]
    pub fn new(
        unit: &Arc<Unit>,
        warmer: &Warmer,
        outside: Rc<dyn Outside>,
        telemetry: &Arc<Telemetry>,
    ) -> Option<Self> {
        let period = unit.tick_period()?;
        Some(Self {
            unit: Arc::clone(unit),
            period,
            warmer: warmer.clone(),
            outside,
            stats: telemetry.plugin(crate::telemetry::BACKGROUND, &unit.entry.name),
            telemetry: Arc::clone(telemetry),
            instance: None,
            next: Instant::now() + first(period, new_span_id()),
        })
    }

    /// Waits until the next call is due.
    pub async fn rest(&mut self) {
        tokio::select! {
            () = sleep_until(self.next) => {}
            () = self.unit.ticks.reset.notified() => {}
        }
    }

    /// Makes one call, and an instance for it if there is none. If it is given up half-way, its instance is gone.
    pub async fn tick(&mut self) {
        let (began, at_ms) = (Instant::now(), clock::unix_ms());
        let fault = self.call().await.err();
        if let Some(fault) = &fault {
            let detail = format!("{} [entry at {}]", fault.detail, self.unit.entry.origin);
            PluginFault {
                plugin: &self.unit.entry.name,
                hook: fault.hook,
                kind: fault.kind,
                detail: &detail,
            }
            .emit(&self.telemetry);
        }
        let last = LastTick {
            at_ms,
            took: began.elapsed(),
            fault: fault.map(|fault| fault.to_string().into()),
        };
        self.next = began + self.unit.ticks.ended(last, self.period, new_span_id());
    }

    async fn call(&mut self) -> Result<(), Fault> {
        let rules = &self.unit.entry.tick;
        let mut own = match self.instance.take() {
            Some(own) => own,
            None => {
                let busy = || {
                    Fault::new(
                        Hook::OnTick,
                        FaultKind::Start,
                        "no instance could be made in time",
                    )
                };
                let made = self.warmer.request(&self.unit).ok_or_else(busy)?;
                let mut instance = made.await.map_err(|_| busy())??;
                instance.set_budget(CpuMeter::new(rules.cpu, rules.timeout));
                Own::new(instance, &self.stats)
            }
        };
        let began = Instant::now();
        let at = At {
            stage: 0,
            // Always on a fiber: a call that computes gives the thread away to those of other entries.
            fiber: Some(Fiber {
                until: began + rules.timeout,
                outside: Some(Rc::clone(&self.outside)).filter(|_| self.unit.may_wait()),
            }),
        };
        let called = own.instance.tick(at).await;
        self.stats.call(Hook::OnTick, began.elapsed());
        if own.instance.is_usable() && !own.instance.is_worn(self.unit.budget()) {
            self.instance = Some(own);
        }
        called
    }
}

/// The instance of a ticker, counted as long as it lives.
#[derive(Debug)]
struct Own {
    instance: Box<Instance>,
    stats: Arc<PluginStats>,
}

impl Own {
    fn new(instance: Box<Instance>, stats: &Arc<PluginStats>) -> Self {
        stats.instance_created();
        Self {
            instance,
            stats: Arc::clone(stats),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stats.instance_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    fn tick(fault: Option<&str>) -> LastTick {
        LastTick {
            at_ms: 1_000,
            took: Duration::from_millis(1),
            fault: fault.map(Into::into),
        }
    }

    #[test]
    fn a_call_that_works_is_followed_by_the_next_after_the_period() {
        let log = TickLog::default();
        assert_eq!(log.ended(tick(None), PERIOD, 7), PERIOD);
        assert_eq!((log.calls(), log.faults(), log.pause_until_ms()), (1, 0, None));
        assert_eq!(log.last(), Some(tick(None)));
    }

    #[test]
    fn a_call_that_took_longer_than_the_period_is_followed_by_a_rest() {
        let slow = LastTick {
            took: PERIOD * 3,
            ..tick(None)
        };
        assert_eq!(
            TickLog::default().ended(slow, PERIOD, 7),
            PERIOD * 3 + PERIOD / 10
        );
    }

    #[test]
    fn faults_in_a_row_put_the_next_call_off_and_one_that_works_ends_that() {
        let log = TickLog::default();
        let pauses: Vec<_> = (0..4).map(|_| log.ended(tick(Some("trap")), PERIOD, 0)).collect();
        assert_eq!(pauses, [PERIOD, PERIOD * 2, PERIOD * 4, PERIOD * 8]);
        assert_eq!(log.pause_until_ms(), Some(1_800));
        assert_eq!(log.ended(tick(None), PERIOD, 0), PERIOD);
        assert_eq!((log.faults(), log.pause_until_ms()), (4, None));
        assert_eq!(log.ended(tick(Some("trap")), PERIOD, 0), PERIOD, "counted anew");
    }

    #[test]
    fn a_pause_is_at_most_a_minute_or_the_period_and_at_least_the_period() {
        for random in [0, 1, 999, u64::MAX] {
            let pause = pause_after(u32::MAX, PERIOD, random);
            assert!(
                pause <= LONGEST_PAUSE && pause >= LONGEST_PAUSE * 3 / 4,
                "{pause:?}"
            );
            assert_eq!(pause_after(9, LONGEST_PAUSE * 5, random), LONGEST_PAUSE * 5);
            assert!(first(PERIOD, random) < PERIOD && first(LONGEST_PAUSE, random) < SOON);
        }
    }

    #[tokio::test]
    async fn a_reset_makes_a_call_due_that_was_put_off() {
        let log = TickLog::default();
        log.ended(tick(Some("trap")), PERIOD, 0);
        log.ended(tick(Some("trap")), PERIOD, 0);
        log.reset();
        log.reset.notified().await;
        assert_eq!(log.pause_until_ms(), None);
        assert_eq!(log.ended(tick(Some("trap")), PERIOD, 0), PERIOD, "counted anew");
    }
}
