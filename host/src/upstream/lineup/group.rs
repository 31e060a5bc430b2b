//! Endpoints of a lineup that are chosen among together, and which group each belongs to. It refuses to know why one is
//! marked.

use std::rc::Rc;

use super::super::balance::{Chooser, Dice, Field, Policy};
use super::super::member::Mark;
use super::super::pool::Slot;
use super::super::shared::Seat;

/// How much more than its part of the load a zone takes, in per cent, before exchanges leave it: Envoy's overprovisioning
/// factor.
const MARGIN_PERCENT: u64 = 140;

/// Whether an endpoint may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Near,
    Far,
    Out,
}

/// The standing of each seat, and the part of the exchanges, of 1000, that goes to those that are near.
///
/// When fewer than `panic_percent` of the endpoints are healthy, all are taken for healthy; only an open breaker still
/// counts. Near are those in `zone`, or all when it has none that may be chosen. As long as 1/1.4 of the zone's weight may
/// be chosen, it gets all the exchanges, below that in proportion.
pub(super) fn preferred(seats: &[Seat], panic_percent: u32, zone: Option<&str>) -> (Vec<Standing>, u64) {
    let available = seats.iter().filter(|seat| seat.member.is_available()).count();
    let panic = available * 100 < seats.len() * usize::try_from(panic_percent).unwrap_or(0);
    let open = |seat: &Seat| {
        seat.member.is_available() || panic && !seat.member.marks().any(|mark| mark == Mark::Open)
    };
    let own = |seat: &Seat| zone.is_none() || seat.zone.as_deref() == zone;
    let weight = |filter: &dyn Fn(&Seat) -> bool| -> u64 {
        let seats = seats.iter().filter(|seat| filter(seat));
        seats.map(|seat| u64::from(seat.weight)).sum()
    };
    let (usable, all) = (weight(&|seat| own(seat) && open(seat)), weight(&own));
    let standing = |seat: &Seat| match (open(seat), own(seat) || usable == 0) {
        (false, _) => Standing::Out,
        (true, true) => Standing::Near,
        (true, false) => Standing::Far,
    };
    let standings: Vec<_> = seats.iter().map(standing).collect();
    let part = if usable == 0 || !standings.contains(&Standing::Far) {
        1000
    } else {
        (usable * MARGIN_PERCENT * 10 / all.max(1)).min(1000)
    };
    (standings, part)
}

/// Endpoints of one standing.
#[derive(Debug)]
pub(super) struct Group {
    /// Their indices in the lineup.
    indices: Vec<usize>,
    chooser: Chooser,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            indices: Vec::new(),
            chooser: Chooser::new(Policy::RoundRobin, Vec::new()),
        }
    }
}

impl Group {
    /// Takes in all that have this standing. Turns go on where the same do.
    pub(super) fn renew(&mut self, policy: Policy, all: &[Standing], standing: Standing, dice: &mut Dice) {
        let fits = |(index, other): (usize, &Standing)| (*other == standing).then_some(index);
        let indices: Vec<usize> = all.iter().enumerate().filter_map(fits).collect();
        let first = self.indices.is_empty();
        if indices == self.indices && !first {
            return;
        }
        self.chooser = Chooser::new(policy, vec![1; indices.len()]);
        if !first {
            // Whoever is first in the list is not the first after every change.
            self.chooser.start_at(dice.index(indices.len()));
        }
        self.indices = indices;
    }

    /// Takes over the weights; `weights` are those of the whole lineup.
    pub(super) fn weigh(&mut self, weights: &[u32]) {
        let weight = |index: &usize| weights.get(*index).copied().unwrap_or(1);
        self.chooser.weigh(self.indices.iter().map(weight).collect());
    }

    /// The index in the lineup of the next one that is `wanted`. `now_ns` is only looked at where time counts.
    pub(super) fn choose(
        &mut self,
        dice: &mut Dice,
        slots: &[Rc<Slot>],
        now_ns: u64,
        wanted: &impl Fn(&Slot) -> bool,
    ) -> Option<usize> {
        let candidates = Candidates {
            slots,
            indices: &self.indices,
            now_ns,
            wanted,
        };
        let chosen = self.chooser.choose(dice, &candidates)?;
        self.indices.get(chosen).copied()
    }
}

struct Candidates<'a, F> {
    slots: &'a [Rc<Slot>],
    indices: &'a [usize],
    now_ns: u64,
    wanted: &'a F,
}

impl<F> Candidates<'_, F> {
    fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots.get(*self.indices.get(index)?).map(|slot| &**slot)
    }
}

impl<F: Fn(&Slot) -> bool> Field for Candidates<'_, F> {
    fn may(&self, index: usize) -> bool {
        self.slot(index).is_some_and(self.wanted)
    }

    fn load(&self, index: usize) -> f64 {
        let load = self.slot(index).map_or(0, |slot| slot.member.in_flight());
        f64::from(u32::try_from(load).unwrap_or(u32::MAX))
    }

    fn cost(&self, index: usize) -> f64 {
        let slot = self.slot(index);
        slot.map_or(0.0, |slot| slot.member.cost(self.now_ns, slot.settings.policy))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::{Endpoint, Member};
    use super::*;

    /// One letter each: upper case in zone `a`, lower case in `b`; `x` and `X` unhealthy, `o` and `O` with an open breaker.
    fn seats(letters: &str) -> Vec<Seat> {
        let seat = |letter: char| {
            let endpoint = Endpoint {
                host: "10.0.0.1".to_owned(),
                port: 80,
            };
            let member = Member::new(endpoint, None);
            match letter {
                'x' | 'X' => member.mark(Mark::Unhealthy),
                'o' | 'O' => member.mark(Mark::Open),
                _ => false,
            };
            Seat {
                member: Arc::new(member),
                weight: 1,
                zone: Some(if letter.is_uppercase() { "a" } else { "b" }.into()),
                labels: Arc::default(),
            }
        };
        letters.chars().map(seat).collect()
    }

    fn shown(letters: &str, panic_percent: u32, zone: Option<&str>) -> (String, u64) {
        let (standings, part) = preferred(&seats(letters), panic_percent, zone);
        let letter = |standing: &Standing| match standing {
            Standing::Near => 'n',
            Standing::Far => 'f',
            Standing::Out => '-',
        };
        (standings.iter().map(letter).collect(), part)
    }

    #[test]
    fn without_a_zone_all_that_may_be_chosen_are_near() {
        assert_eq!(shown("AbxO", 0, None), ("nn--".to_owned(), 1000));
        assert_eq!(shown("", 50, None), (String::new(), 1000));
    }

    #[test]
    fn below_the_threshold_health_counts_no_more_but_breakers_do() {
        assert_eq!(shown("AAxx", 50, None).0, "nn--");
        assert_eq!(shown("Axxo", 50, None).0, "nnn-");
        assert_eq!(shown("xxx", 0, None).0, "---");
        assert_eq!(shown("xxx", 1, None).0, "nnn");
    }

    #[test]
    fn the_own_zone_gets_all_until_too_much_of_it_is_out() {
        assert_eq!(shown("AAAAbb", 0, Some("a")), ("nnnnff".to_owned(), 1000));
        assert_eq!(shown("AAAXbb", 0, Some("a")), ("nnn-ff".to_owned(), 1000));
        assert_eq!(shown("AAXXbb", 0, Some("a")), ("nn--ff".to_owned(), 700));
        assert_eq!(shown("AXXXbb", 0, Some("a")).1, 350);
        assert_eq!(shown("AXXXxx", 0, Some("a")).1, 1000);
        assert_eq!(shown("XXbb", 0, Some("a")), ("--nn".to_owned(), 1000));
        assert_eq!(shown("AAbb", 0, Some("c")), ("nnnn".to_owned(), 1000));
    }
}
