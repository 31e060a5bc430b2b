//! The breaker's states and what leads from one to the next: one function per state. It refuses to know what is
//! counted, and that several threads may ask at once.
//!
//! Closed, open, half-open is the circuit breaker of M. Nygard ("Release It!"); the quota of trials and the growing
//! time that it stays open are those of resilience4j.

use std::time::Duration;

/// Longest time that fits a packed state, in milliseconds: more than a century.
const MAX_MS: u64 = (1 << 42) - 1;
/// Most openings in a row that are told apart.
const MAX_ROUNDS: u8 = 63;
/// Eras are counted modulo this.
const ERAS: u16 = 1 << 14;
/// Largest count of trials that fits a packed state.
pub(super) const MAX_TRIALS: u16 = (1 << 12) - 1;

/// The times and the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// How long it stays open the first time; each further time in a row twice as long.
    pub first: Duration,
    /// The longest that it stays open.
    pub longest: Duration,
    /// How many trials half-open lets through, from 1 to 1000.
    pub trials: u16,
    /// How many of them must pass to close it, from 1 to `trials`.
    pub successes: u16,
}

impl Pauses {
    /// How long it stays open the `round`th time in a row, from 1.
    fn of(&self, round: u8) -> u64 {
        let doublings = u32::from(round.saturating_sub(1)).min(31);
        let pause = self.first.saturating_mul(1_u32 << doublings).min(self.longest);
        u64::try_from(pause.as_millis()).map_or(MAX_MS, |ms| ms.clamp(1, MAX_MS))
    }
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trial {
    Passed,
    Failed,
    /// It says nothing of the upstream: its place is free again.
    Withdrawn,
}

/// What happens to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A request wants to go through.
    Arrival,
    /// What was counted while it was closed is too bad.
    Trip,
    /// A trial of this era has ended.
    Trial(u16, Trial),
}

/// What an arrival is told; other events are told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// Go through.
    Pass,
    /// Go through as a trial of this era.
    Trial(u16),
    /// Do not; trials are let through in so many milliseconds.
    Refused(u64),
    Nothing,
}

/// A breaker at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Counts openings, so that a late trial is told from those of today.
    pub(super) era: u16,
    /// Openings since it was last closed.
    pub(super) rounds: u8,
}

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Open {
        until_ms: u64,
    },
    HalfOpen {
        under_way: u16,
        passed: u16,
        failed: u16,
    },
}

impl State {
    /// Closed, nothing has happened.
    #[cfg(test)]
    pub(super) const START: Self = Self {
        phase: Phase::Closed,
        era: 0,
        rounds: 0,
    };

    /// The state after `event`, and what is told to whoever caused it.
    pub(super) fn on(self, event: Event, now_ms: u64, pauses: &Pauses) -> (Self, Reply) {
        match self.phase {
            Phase::Closed => self.closed(event, now_ms, pauses),
            Phase::Open { until_ms } => self.open(event, until_ms, now_ms),
            Phase::HalfOpen { .. } => self.half_open(event, now_ms, pauses),
        }
    }

    /// Everything goes through, until what is counted is too bad.
    fn closed(self, event: Event, now_ms: u64, pauses: &Pauses) -> (Self, Reply) {
        match event {
            Event::Arrival => (self, Reply::Pass),
            Event::Trip => (self.opened(now_ms, pauses), Reply::Nothing),
            Event::Trial(..) => (self, Reply::Nothing),
        }
    }

    /// Nothing goes through until the time is over; the first arrival after it is a trial.
    fn open(self, event: Event, until_ms: u64, now_ms: u64) -> (Self, Reply) {
        match event {
            Event::Arrival if now_ms < until_ms => (self, Reply::Refused(until_ms - now_ms)),
            Event::Arrival => {
                let phase = Phase::HalfOpen {
                    under_way: 1,
                    passed: 0,
                    failed: 0,
                };
                (Self { phase, ..self }, Reply::Trial(self.era))
            }
            Event::Trip | Event::Trial(..) => (self, Reply::Nothing),
        }
    }

    /// So many trials go through; their outcome decides.
    fn half_open(self, event: Event, now_ms: u64, pauses: &Pauses) -> (Self, Reply) {
        let Phase::HalfOpen {
            mut under_way,
            mut passed,
            mut failed,
        } = self.phase
        else {
            return (self, Reply::Nothing);
        };
        match event {
            Event::Arrival if under_way + passed + failed < pauses.trials => under_way += 1,
            Event::Arrival => return (self, Reply::Refused(1)),
            Event::Trial(era, outcome) if era == self.era && under_way > 0 => {
                under_way -= 1;
                match outcome {
                    Trial::Passed => passed += 1,
                    Trial::Failed => failed += 1,
                    Trial::Withdrawn => {}
                }
            }
            Event::Trip | Event::Trial(..) => return (self, Reply::Nothing),
        }
        if passed >= pauses.successes {
            let closed = Self {
                phase: Phase::Closed,
                rounds: 0,
                ..self
            };
            return (closed, Reply::Nothing);
        }
        if failed > pauses.trials.saturating_sub(pauses.successes) {
            return (self.opened(now_ms, pauses), Reply::Nothing);
        }
        let phase = Phase::HalfOpen {
            under_way,
            passed,
            failed,
        };
        let reply = match event {
            Event::Arrival => Reply::Trial(self.era),
            _ => Reply::Nothing,
        };
        (Self { phase, ..self }, reply)
    }

    fn opened(self, now_ms: u64, pauses: &Pauses) -> Self {
        let rounds = self.rounds.saturating_add(1).min(MAX_ROUNDS);
        let until_ms = now_ms.saturating_add(pauses.of(rounds)).min(MAX_MS);
        Self {
            phase: Phase::Open { until_ms },
            era: (self.era + 1) % ERAS,
            rounds,
        }
    }

    /// The state in one word: 2 bits for the phase, 14 for the era, 6 for the rounds, 42 for the phase's own.
    pub(super) fn pack(self) -> u64 {
        let (tag, own) = match self.phase {
            Phase::Closed => (0, 0),
            Phase::Open { until_ms } => (1, until_ms.min(MAX_MS)),
            Phase::HalfOpen {
                under_way,
                passed,
                failed,
            } => {
                let field = |count: u16| u64::from(count.min(MAX_TRIALS));
                (2, field(under_way) << 24 | field(passed) << 12 | field(failed))
            }
        };
        tag << 62 | u64::from(self.era % ERAS) << 48 | u64::from(self.rounds.min(MAX_ROUNDS)) << 42 | own
    }

    /// The state that [`State::pack`] made a word of.
    pub(super) fn unpack(word: u64) -> Self {
        let bits = |shift: u32, width: u32| word >> shift & ((1 << width) - 1);
        let count = |shift| u16::try_from(bits(shift, 12)).unwrap_or(MAX_TRIALS);
        let phase = match bits(62, 2) {
            1 => Phase::Open {
                until_ms: bits(0, 42),
            },
            2 => Phase::HalfOpen {
                under_way: count(24),
                passed: count(12),
                failed: count(0),
            },
            _ => Phase::Closed,
        };
        Self {
            phase,
            era: u16::try_from(bits(48, 14)).unwrap_or(0),
            rounds: u8::try_from(bits(42, 6)).unwrap_or(MAX_ROUNDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAUSES: Pauses = Pauses {
        first: Duration::from_millis(100),
        longest: Duration::from_millis(350),
        trials: 3,
        successes: 2,
    };

    fn open(era: u16, rounds: u8, until_ms: u64) -> State {
        State {
            phase: Phase::Open { until_ms },
            era,
            rounds,
        }
    }

    fn half_open(era: u16, under_way: u16, passed: u16, failed: u16) -> State {
        State {
            phase: Phase::HalfOpen {
                under_way,
                passed,
                failed,
            },
            era,
            rounds: 1,
        }
    }

    #[test]
    fn every_state_answers_every_event() {
        use Event::{Arrival, Trip};
        use Trial::{Failed, Passed, Withdrawn};
        let closed = State {
            era: 4,
            ..State::START
        };
        let trial = |era, outcome| Event::Trial(era, outcome);
        let nothing = Reply::Nothing;
        #[rustfmt::skip]
        let table = [
            // Closed.
            (closed, Arrival, closed, Reply::Pass),
            (closed, trial(4, Failed), closed, nothing),
            (closed, Trip, open(5, 1, 1_100), nothing),
            // Open: until the time is over, and then.
            (open(5, 1, 1_001), Arrival, open(5, 1, 1_001), Reply::Refused(1)),
            (open(5, 1, 1_000), Arrival, half_open(5, 1, 0, 0), Reply::Trial(5)),
            (open(5, 1, 1_000), Trip, open(5, 1, 1_000), nothing),
            (open(5, 1, 1_000), trial(5, Passed), open(5, 1, 1_000), nothing),
            // Half-open: the quota is of all trials, whatever became of them.
            (half_open(5, 1, 0, 0), Arrival, half_open(5, 2, 0, 0), Reply::Trial(5)),
            (half_open(5, 3, 0, 0), Arrival, half_open(5, 3, 0, 0), Reply::Refused(1)),
            (half_open(5, 1, 1, 1), Arrival, half_open(5, 1, 1, 1), Reply::Refused(1)),
            (half_open(5, 3, 0, 0), trial(5, Withdrawn), half_open(5, 2, 0, 0), nothing),
            (half_open(5, 3, 0, 0), trial(5, Passed), half_open(5, 2, 1, 0), nothing),
            (half_open(5, 2, 1, 0), trial(5, Passed), State { era: 5, ..State::START }, nothing),
            (half_open(5, 3, 0, 0), trial(5, Failed), half_open(5, 2, 0, 1), nothing),
            (half_open(5, 2, 0, 1), trial(5, Failed), open(6, 2, 1_200), nothing),
            // Neither a trial of another era nor what was counted before says anything.
            (half_open(5, 3, 0, 0), trial(4, Failed), half_open(5, 3, 0, 0), nothing),
            (half_open(5, 0, 0, 0), trial(5, Passed), half_open(5, 0, 0, 0), nothing),
            (half_open(5, 1, 0, 0), Trip, half_open(5, 1, 0, 0), nothing),
        ];
        for (before, event, after, reply) in table {
            let found = before.on(event, 1_000, &PAUSES);
            assert_eq!(found, (after, reply), "{before:?} on {event:?}");
        }
    }

    #[test]
    fn each_opening_in_a_row_lasts_twice_as_long_up_to_the_longest() {
        let mut state = State::START;
        let mut lasted = Vec::new();
        for _ in 0..70 {
            (state, _) = state.on(Event::Trip, 0, &PAUSES);
            let Phase::Open { until_ms } = state.phase else {
                panic!("{state:?}")
            };
            lasted.push(until_ms);
            state.phase = Phase::Closed;
        }
        assert_eq!(lasted[..4], [100, 200, 350, 350]);
        assert_eq!(lasted.last(), Some(&350));
    }

    #[test]
    fn the_word_of_the_start_is_zero() {
        assert_eq!(State::START.pack(), 0);
    }

    proptest! {
        #[test]
        fn a_packed_state_is_the_same_unpacked(
            tag in 0..3_u8,
            era in 0..ERAS,
            rounds in 0..=MAX_ROUNDS,
            until_ms in 0..=MAX_MS,
            counts in [0..=MAX_TRIALS, 0..=MAX_TRIALS, 0..=MAX_TRIALS],
        ) {
            let phase = match tag {
                0 => Phase::Closed,
                1 => Phase::Open { until_ms },
                _ => Phase::HalfOpen { under_way: counts[0], passed: counts[1], failed: counts[2] },
            };
            let state = State { phase, era, rounds };
            prop_assert_eq!(State::unpack(state.pack()), state);
        }

        /// Whatever happens in whatever order, half-open never lets more through than its quota.
        #[test]
        fn trials_under_way_never_exceed_the_quota(
            events in prop::collection::vec((0..6_u8, 0..200_u64), 0..200),
            trials in 1..8_u16,
            successes in 1..8_u16,
        ) {
            let pauses = Pauses { trials, successes: successes.min(trials), ..PAUSES };
            let (mut state, mut now, mut out) = (State::START, 0, Vec::new());
            for (kind, wait) in events {
                now += wait;
                let event = match (kind, out.last().copied()) {
                    (0, _) => Event::Trip,
                    (1, Some(era)) => Event::Trial(era, Trial::Passed),
                    (2, Some(era)) => Event::Trial(era, Trial::Failed),
                    (3, Some(era)) => Event::Trial(era, Trial::Withdrawn),
                    _ => Event::Arrival,
                };
                if matches!(event, Event::Trial(..)) {
                    out.pop();
                }
                let (next, reply) = state.on(event, now, &pauses);
                if let Reply::Trial(era) = reply {
                    out.push(era);
                }
                if let Phase::HalfOpen { under_way, passed, failed } = next.phase {
                    prop_assert!(under_way + passed + failed <= trials);
                    prop_assert_eq!(usize::from(under_way), out.iter().filter(|era| **era == next.era).count());
                }
                state = next;
            }
        }
    }
}
