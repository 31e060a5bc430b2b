//! The next endpoint of a group by the policy of the upstream, where no key decides. It refuses to know what the endpoints
//! of the group are.

use super::Policy;
use super::dice::Dice;
use super::edf::Edf;
use super::smooth::Smooth;
use super::two;

/// How often another endpoint is drawn before all are looked at.
const DRAWS: usize = 4;

/// What a choice looks at: endpoints by their index in the group.
pub(in super::super) trait Field {
    /// Whether it may be chosen.
    fn may(&self, index: usize) -> bool;
    /// What is in flight with it.
    fn load(&self, index: usize) -> f64;
    /// What one more exchange has to expect of it.
    fn cost(&self, index: usize) -> f64;
}

/// The state of a policy for a group of endpoints.
#[derive(Debug)]
pub(in super::super) struct Chooser {
    policy: Policy,
    weights: Vec<u32>,
    spread: Spread,
    next: usize,
    smooth: Smooth,
    edf: Edf,
    /// The sums of the weights up to and with each endpoint.
    sums: Vec<u64>,
}

/// How the weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    Even,
    Uneven,
}

impl Chooser {
    /// A choice among endpoints with these weights.
    pub(in super::super) fn new(policy: Policy, weights: Vec<u32>) -> Self {
        let mut chooser = Self {
            policy,
            weights: Vec::new(),
            spread: Spread::Even,
            next: 0,
            smooth: Smooth::default(),
            edf: Edf::default(),
            sums: Vec::new(),
        };
        chooser.weigh(weights);
        chooser
    }

    /// Goes on with other weights; turns that were gained are kept.
    pub(in super::super) fn weigh(&mut self, weights: Vec<u32>) {
        self.spread = match weights.split_first() {
            Some((first, rest)) if rest.iter().any(|weight| weight != first) => Spread::Uneven,
            _ => Spread::Even,
        };
        let mut sum = 0;
        let add = |weight: &u32| {
            sum += u64::from(*weight);
            sum
        };
        self.sums = match (self.policy, self.spread) {
            (Policy::Random, Spread::Uneven) => weights.iter().map(add).collect(),
            _ => Vec::new(),
        };
        self.weights = weights;
    }

    /// Gives the next turn to the endpoint with this index.
    pub(in super::super) fn start_at(&mut self, index: usize) {
        self.next = index;
    }

    /// The index of the next endpoint, of those that may be chosen; none if there is none.
    pub(in super::super) fn choose(&mut self, dice: &mut Dice, field: &impl Field) -> Option<usize> {
        let may = |index| field.may(index);
        match (self.policy, self.spread) {
            (Policy::RoundRobin | Policy::RingHash | Policy::Maglev | Policy::Picked(_), Spread::Even) => {
                self.turn(may)
            }
            (Policy::RoundRobin | Policy::RingHash | Policy::Maglev | Policy::Picked(_), Spread::Uneven) => {
                self.smooth.choose(&self.weights, may)
            }
            (Policy::Random, _) => self.random(dice, may),
            (Policy::LeastRequest, Spread::Even) => {
                two::choose(dice, self.weights.len(), may, |index| field.load(index))
            }
            (Policy::LeastRequest, Spread::Uneven) => {
                self.edf.choose(&self.weights, may, |index| field.load(index))
            }
            (Policy::PeakEwma(_), _) => {
                let weight = |index| f64::from(self.weights.get(index).copied().unwrap_or(1).max(1));
                two::choose(dice, self.weights.len(), may, |index| {
                    field.cost(index) / weight(index)
                })
            }
        }
    }

    /// Each after the other.
    fn turn(&mut self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.weights.len();
        for _ in 0..count {
            let turn = if self.next < count { self.next } else { 0 };
            self.next = turn + 1;
            if may(turn) {
                return Some(turn);
            }
        }
        None
    }

    fn random(&self, dice: &mut Dice, may: impl Fn(usize) -> bool) -> Option<usize> {
        for _ in 0..DRAWS.min(self.weights.len()) {
            let drawn = self.draw(dice);
            if may(drawn) {
                return Some(drawn);
            }
        }
        // Of those that may be chosen, each by its share.
        let open = || self.weights.iter().enumerate().filter(|(index, _)| may(*index));
        let mut left = dice.below(open().map(|(_, weight)| u64::from(*weight)).sum());
        let fits = |(_, weight): &(usize, &u32)| {
            let here = left < u64::from(**weight);
            left = left.saturating_sub(u64::from(**weight));
            here
        };
        open().find(fits).map(|(index, _)| index)
    }

    fn draw(&self, dice: &mut Dice) -> usize {
        match self.sums.last() {
            None => dice.index(self.weights.len()),
            Some(all) => {
                let drawn = dice.below(*all);
                self.sums.partition_point(|sum| *sum <= drawn)
            }
        }
    }
}
