//! The endpoints of one upstream in one worker, and which of them comes next. It refuses to know how an exchange is carried
//! out.

mod group;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::balance::{Dice, Policy};
use super::member::Member;
use super::picker::Picker;
use super::pool::Slot;
use super::settings::Settings;
use super::shared::{Roster, Seat, Shared};
use crate::clock;

use group::{Group, Standing, preferred};

/// How often the weights of endpoints that start slowly are worked out again.
const REWEIGH_NS: u64 = 100_000_000;
/// What a weight is multiplied by, so that a part of it is a whole number.
const PARTS: f64 = 100.0;

/// Which endpoint an exchange wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Aim<'a> {
    /// The [`Member::id`] of the endpoint that is taken if it may be.
    pub stick: Option<u64>,
    /// What decides where the policy goes by a key.
    pub key: Option<u64>,
    /// Endpoints that are not chosen while there are others. Those that the exchange uses now are added.
    pub tried: Option<&'a Tried>,
    /// Who picks the endpoint, in place of the policy.
    pub picker: Option<&'a dyn Picker>,
}

/// Endpoints that an exchange has used.
#[derive(Debug, Default, Clone)]
pub struct Tried(RefCell<Vec<Arc<Member>>>);

impl Tried {
    pub(super) fn add(&self, member: &Arc<Member>) {
        self.0.borrow_mut().push(Arc::clone(member));
    }

    pub(super) fn has(&self, member: &Arc<Member>) -> bool {
        self.0.borrow().iter().any(|tried| Arc::ptr_eq(tried, member))
    }
}

/// The endpoints as they were at one version of what the workers share.
#[derive(Debug)]
pub(super) struct Lineup {
    settings: Arc<Settings>,
    version: u64,
    roster: Arc<Roster>,
    /// In the order of the roster, as the next.
    slots: Vec<Rc<Slot>>,
    standings: Vec<Standing>,
    /// Endpoints that are preferred: those of the gateway's zone, or all.
    near: Group,
    far: Group,
    /// The part of the exchanges that goes to the preferred ones, of 1000.
    near_part: u64,
    growth: Growth,
    dice: Dice,
}

/// Whether weights change with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    None,
    /// They are to be worked out again at this time.
    Until(u64),
}

impl Lineup {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let mut lineup = Self {
            settings: Arc::clone(shared.settings()),
            version: shared.version(),
            roster: Arc::default(),
            slots: Vec::new(),
            standings: Vec::new(),
            near: Group::default(),
            far: Group::default(),
            near_part: 1000,
            growth: Growth::None,
            dice: Dice::new(),
        };
        lineup.renew(shared);
        lineup
    }

    /// The slots in the order of the roster.
    pub(super) fn slots(&self) -> &[Rc<Slot>] {
        &self.slots
    }

    /// Takes over what changed since the last call: one load when nothing did.
    pub(super) fn follow(&mut self, shared: &Arc<Shared>) {
        let version = shared.version();
        if version != self.version {
            self.version = version;
            self.renew(shared);
        }
    }

    #[cold]
    fn renew(&mut self, shared: &Arc<Shared>) {
        let roster = shared.roster();
        if !Arc::ptr_eq(&roster, &self.roster) {
            let now = Instant::now();
            let before = std::mem::take(&mut self.slots);
            let slot = |seat: &Seat| {
                let known = before.iter().find(|slot| Arc::ptr_eq(&slot.member, &seat.member));
                known.map_or_else(|| Slot::new(Arc::clone(&seat.member), shared, now), Rc::clone)
            };
            self.slots = roster.seats.iter().map(slot).collect();
            self.roster = roster;
        }
        let zone = self.settings.zone.as_deref();
        (self.standings, self.near_part) = preferred(&self.roster.seats, self.settings.panic_percent, zone);
        let policy = self.settings.policy;
        for (group, standing) in [(&mut self.near, Standing::Near), (&mut self.far, Standing::Far)] {
            group.renew(policy, &self.standings, standing, &mut self.dice);
        }
        self.weigh();
    }

    /// Works out the weights that endpoints have now.
    #[cold]
    fn weigh(&mut self) {
        let (now, slow) = (clock::monotonic_ns(), self.settings.slow_start);
        let mut growth = Growth::None;
        let mut weight = |seat: &Seat| {
            let since = seat.member.since_ns();
            let age = Duration::from_nanos(now.saturating_sub(since));
            match slow {
                Some(slow) if since > 0 && age < slow.window => {
                    growth = Growth::Until(now + REWEIGH_NS);
                    scaled(seat.weight, slow.share(age))
                }
                Some(_) => scaled(seat.weight, 1.0),
                None => seat.weight,
            }
        };
        let weights: Vec<u32> = self.roster.seats.iter().map(&mut weight).collect();
        self.near.weigh(&weights);
        self.far.weigh(&weights);
        self.growth = growth;
    }

    /// The endpoint for the next exchange, one that was tried only when all were; none when none may be chosen.
    pub(super) fn choose(&mut self, aim: Aim<'_>) -> Option<Rc<Slot>> {
        if let Growth::Until(time) = self.growth
            && clock::monotonic_ns() >= time
        {
            self.weigh();
        }
        let index = match aim.tried {
            None => self.find(aim, |_| true),
            Some(tried) => {
                let fresh = self.find(aim, |slot| !tried.has(&slot.member));
                fresh.or_else(|| self.find(aim, |_| true))
            }
        };
        self.slots.get(index?).map(Rc::clone)
    }

    /// The endpoint that the exchange sticks to, if it may be chosen and was not tried.
    pub(super) fn stuck(&self, aim: Aim<'_>) -> Option<Rc<Slot>> {
        let id = aim.stick?;
        let at = self.roster.seats.iter().position(|seat| seat.member.id() == id)?;
        let slot = self.slots.get(at)?;
        let open = self.standings.get(at)? != &Standing::Out;
        let tried = aim.tried.is_some_and(|tried| tried.has(&slot.member));
        (open && !tried).then(|| Rc::clone(slot))
    }

    /// At most `most` endpoints with their seats, of those that may be chosen and are `wanted`: the preferred ones first. Of more,
    /// as many as there is room for from one that is drawn.
    pub(super) fn open(&mut self, most: usize, wanted: impl Fn(&Rc<Slot>) -> bool) -> Vec<(Rc<Slot>, &Seat)> {
        let mut open = Vec::new();
        for standing in [Standing::Near, Standing::Far] {
            let indices = self.standings.iter().enumerate();
            let fits = |(index, other): (usize, &Standing)| {
                let slot = self.slots.get(index).filter(|_| *other == standing)?;
                wanted(slot).then_some(index)
            };
            let mut fitting: Vec<usize> = indices.filter_map(fits).collect();
            let room = most - open.len();
            if fitting.len() > room {
                let first = self.dice.index(fitting.len());
                fitting.rotate_left(first);
                fitting.truncate(room);
            }
            open.append(&mut fitting);
        }
        let of = |index: usize| Some((Rc::clone(self.slots.get(index)?), self.roster.seats.get(index)?));
        open.into_iter().filter_map(of).collect()
    }

    /// The index of one that may be chosen and is `wanted`.
    fn find(&mut self, aim: Aim<'_>, wanted: impl Fn(&Slot) -> bool) -> Option<usize> {
        let wants = |index: usize| self.slots.get(index).is_some_and(|slot| wanted(slot));
        if let Some(id) = aim.stick {
            let mut seats = self.roster.seats.iter();
            let stuck = seats.position(|seat| seat.member.id() == id);
            let open = |index: &usize| self.standings.get(*index).is_some_and(|s| *s != Standing::Out);
            if let Some(index) = stuck.filter(open).filter(|index| wants(*index)) {
                return Some(index);
            }
        }
        let drawn = |dice: &mut Dice| aim.key.map_or_else(|| dice.below(1000), |key| key % 1000);
        let near_first = self.near_part >= 1000 || drawn(&mut self.dice) < self.near_part;
        if let (Some(key), Some(table)) = (aim.key, &self.roster.table) {
            let of = |standing: Standing| {
                table.choose(key, |index| {
                    self.standings.get(index) == Some(&standing) && wants(index)
                })
            };
            let (first, second) = if near_first {
                (Standing::Near, Standing::Far)
            } else {
                (Standing::Far, Standing::Near)
            };
            return of(first).or_else(|| of(second));
        }
        let now = match self.settings.policy {
            Policy::PeakEwma(_) => clock::monotonic_ns(),
            _ => 0,
        };
        let (first, second) = if near_first {
            (&mut self.near, &mut self.far)
        } else {
            (&mut self.far, &mut self.near)
        };
        let mut of = |group: &mut Group| group.choose(&mut self.dice, &self.slots, now, &wanted);
        of(first).or_else(|| of(second))
    }
}

/// A part of a weight, in hundredths, at least one.
fn scaled(weight: u32, share: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a weight of at most 10,000 times 100"
    )]
    let parts = (f64::from(weight) * share * PARTS).round() as u32;
    parts.max(1)
}

#[cfg(test)]
mod tests;
