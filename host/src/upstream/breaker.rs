//! A circuit breaker: counts how exchanges end, and lets none through for a while when too many end badly. It
//! refuses to know what an exchange is, who asks, and what a refusal is answered with.
//!
//! It is shared by all workers without a lock. While it is closed, an arrival costs one load, and an exchange that
//! ends well one atomic operation more if ratios are watched.

mod state;
mod window;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use self::state::{Event, Phase, Reply, State, Trial};
use self::window::{Counts, Window};

pub use self::state::Pauses;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerRules {
    /// Opens after so many failures in a row.
    pub consecutive: Option<u32>,
    /// Opens when at least this part of the window's exchanges failed, in per cent from 1 to 100.
    pub error_percent: Option<u32>,
    /// Opens when at least this part of the window's exchanges was slow, in per cent from 1 to 100.
    pub slow_percent: Option<u32>,
    /// An exchange is slow whose response head took at least this long, or which failed after this long.
    pub slow_after: Duration,
    /// Exchanges that the window must hold before a part of it says anything.
    pub min_requests: u32,
    /// How far the window reaches back.
    pub window: Duration,
    /// How long it stays open, and what is tried then.
    pub pauses: Pauses,
}

impl BreakerRules {
    fn row(&self, in_a_row: u32) -> Option<Cause> {
        (in_a_row >= self.consecutive?).then_some(Cause::Consecutive)
    }

    fn ratio(&self, counts: Counts) -> Option<Cause> {
        if counts.all < u64::from(self.min_requests.max(1)) {
            return None;
        }
        let reached = |part: u64, percent: Option<u32>| {
            percent.is_some_and(|percent| part * 100 >= counts.all * u64::from(percent))
        };
        if reached(counts.failed, self.error_percent) {
            return Some(Cause::ErrorRatio);
        }
        reached(counts.slow, self.slow_percent).then_some(Cause::SlowRatio)
    }
}

/// How an exchange ended, for a breaker and for the ejection of outliers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Well, as far as the upstream is concerned.
    Passed,
    /// Badly, by the upstream's doing.
    Failed,
    /// In a way that says nothing: the client left, or the request was never sent.
    Void,
}

/// The permission to go through a breaker; whoever has it reports the end to [`Breaker::ended`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Passage {
    /// The breaker is closed.
    Free,
    /// The breaker is half-open and this is one of its trials.
    Trial(u16),
}

/// The breaker lets nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it may be worth asking again.
    pub retry_after: Duration,
}

impl Refused {
    fn after(ms: u64) -> Self {
        Self {
            retry_after: Duration::from_millis(ms),
        }
    }
}

/// What made a breaker open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Failures in a row.
    Consecutive,
    /// The part of the window that failed.
    ErrorRatio,
    /// The part of the window that was slow.
    SlowRatio,
    /// A trial.
    Trial,
}

impl Cause {
    /// One word for the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive-errors",
            Self::ErrorRatio => "error-ratio",
            Self::SlowRatio => "slow-ratio",
            Self::Trial => "trial",
        }
    }
}

/// A breaker went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It lets nothing through for so long.
    Opened(Cause, Duration),
    /// It lets trials through.
    HalfOpened,
    /// It lets everything through.
    Closed,
}

/// What a breaker does at the moment, for metrics and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything goes through.
    Closed,
    /// Nothing goes through.
    Open,
    /// Trials go through.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Its place in [`Self::ALL`].
    const fn place(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }

    /// One word for metrics and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// One breaker, closed at first. It keeps no rules, for a reload may change them. Times are milliseconds of
/// [`clock::monotonic_ns`](crate::clock::monotonic_ns).
#[derive(Debug, Default)]
pub struct Breaker {
    /// A packed [`State`].
    state: AtomicU64,
    in_a_row: AtomicU32,
    window: Window,
    /// Transitions to each of [`BreakerState::ALL`].
    transitions: [AtomicU64; BreakerState::ALL.len()],
}

impl Breaker {
    /// What it does now: an open one whose time is over counts as half-open.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> BreakerState {
        match State::unpack(self.state.load(Ordering::Relaxed)).phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until_ms } if now_ms < until_ms => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How often it went to `state`.
    #[must_use]
    pub fn transitions(&self, state: BreakerState) -> u64 {
        let count = self.transitions.get(state.place());
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Whether [`Breaker::admit`] would let an exchange through now.
    ///
    /// # Errors
    /// [`Refused`] if not.
    pub fn ask(&self, rules: &BreakerRules, now_ms: impl FnOnce() -> u64) -> Result<(), Refused> {
        let state = State::unpack(self.state.load(Ordering::Relaxed));
        if state.phase == Phase::Closed {
            return Ok(());
        }
        match state.on(Event::Arrival, now_ms(), &rules.pauses) {
            (_, Reply::Refused(ms)) => Err(Refused::after(ms)),
            _ => Ok(()),
        }
    }

    /// Asks for an exchange, which must then come to [`Breaker::ended`]. The transition is given to the one who caused it.
    ///
    /// # Errors
    /// [`Refused`] while it is open, and half-open with its quota used up.
    pub fn admit(
        &self,
        rules: &BreakerRules,
        now_ms: impl FnOnce() -> u64,
    ) -> Result<(Passage, Option<Transition>), Refused> {
        if State::unpack(self.state.load(Ordering::Relaxed)).phase == Phase::Closed {
            return Ok((Passage::Free, None));
        }
        let (before, _, reply) = self.step(Event::Arrival, rules, now_ms());
        match reply {
            Reply::Refused(ms) => Err(Refused::after(ms)),
            Reply::Trial(era) => {
                let first = matches!(before.phase, Phase::Open { .. });
                if first {
                    self.went_to(BreakerState::HalfOpen);
                }
                Ok((Passage::Trial(era), first.then_some(Transition::HalfOpened)))
            }
            Reply::Pass | Reply::Nothing => Ok((Passage::Free, None)),
        }
    }

    /// The end of an exchange that was admitted: how, and how long it took to the head of its response or its failure.
    /// The transition is given to the one who caused it.
    pub fn ended(
        &self,
        passage: Passage,
        verdict: Verdict,
        took: Duration,
        rules: &BreakerRules,
        now_ms: impl FnOnce() -> u64,
    ) -> Option<Transition> {
        let slow = rules.slow_percent.is_some() && took >= rules.slow_after;
        let outcome = Counts {
            all: 1,
            failed: u64::from(verdict == Verdict::Failed),
            slow: u64::from(slow),
        };
        match passage {
            Passage::Free if verdict == Verdict::Void => None,
            Passage::Free => self.count(outcome, rules, now_ms),
            Passage::Trial(era) => {
                let outcome = match verdict {
                    Verdict::Void => Trial::Withdrawn,
                    Verdict::Failed => Trial::Failed,
                    Verdict::Passed if slow => Trial::Failed,
                    Verdict::Passed => Trial::Passed,
                };
                let now_ms = now_ms();
                let (before, after, _) = self.step(Event::Trial(era, outcome), rules, now_ms);
                self.transition(before, after, Cause::Trial, now_ms)
            }
        }
    }

    /// Counts an exchange that went through while the breaker was closed.
    fn count(
        &self,
        outcome: Counts,
        rules: &BreakerRules,
        now_ms: impl FnOnce() -> u64,
    ) -> Option<Transition> {
        if State::unpack(self.state.load(Ordering::Relaxed)).phase != Phase::Closed {
            return None;
        }
        let failed = outcome.failed > 0;
        let in_a_row = match &rules.consecutive {
            None => 0,
            Some(_) if failed => self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            Some(_) => {
                if self.in_a_row.load(Ordering::Relaxed) != 0 {
                    self.in_a_row.store(0, Ordering::Relaxed);
                }
                0
            }
        };
        if rules.error_percent.is_none() && rules.slow_percent.is_none() {
            let cause = rules.row(in_a_row)?;
            return self.trip(cause, rules, now_ms());
        }
        let (now_ms, step) = (now_ms(), window::step(rules.window));
        self.window.add(outcome, step, now_ms);
        if outcome.failed + outcome.slow == 0 {
            return None;
        }
        let ratio = rules.ratio(self.window.sum(step, now_ms));
        let cause = ratio.or_else(|| rules.row(in_a_row))?;
        self.trip(cause, rules, now_ms)
    }

    fn trip(&self, cause: Cause, rules: &BreakerRules, now_ms: u64) -> Option<Transition> {
        let (before, after, _) = self.step(Event::Trip, rules, now_ms);
        self.transition(before, after, cause, now_ms)
    }

    fn step(&self, event: Event, rules: &BreakerRules, now_ms: u64) -> (State, State, Reply) {
        let mut word = self.state.load(Ordering::Relaxed);
        loop {
            let before = State::unpack(word);
            let (after, reply) = before.on(event, now_ms, &rules.pauses);
            if before == after {
                return (before, after, reply);
            }
            let swapped =
                self.state
                    .compare_exchange_weak(word, after.pack(), Ordering::AcqRel, Ordering::Relaxed);
            match swapped {
                Ok(_) => return (before, after, reply),
                Err(now) => word = now,
            }
        }
    }

    /// What a step changed for others to know. What was counted before says nothing any more.
    fn transition(&self, before: State, after: State, cause: Cause, now_ms: u64) -> Option<Transition> {
        let (transition, state) = match (before.phase, after.phase) {
            (Phase::Closed | Phase::HalfOpen { .. }, Phase::Open { until_ms }) => {
                let pause = Duration::from_millis(until_ms.saturating_sub(now_ms));
                (Transition::Opened(cause, pause), BreakerState::Open)
            }
            (Phase::HalfOpen { .. }, Phase::Closed) => (Transition::Closed, BreakerState::Closed),
            _ => return None,
        };
        self.went_to(state);
        self.in_a_row.store(0, Ordering::Relaxed);
        self.window.clear();
        Some(transition)
    }

    fn went_to(&self, state: BreakerState) {
        if let Some(count) = self.transitions.get(state.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
