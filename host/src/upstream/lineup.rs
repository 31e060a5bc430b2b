//! The endpoints of one upstream in one worker, and which of them may be chosen now. It refuses to know how an exchange is
//! carried out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use super::member::Member;
use super::pool::Slot;
use super::shared::{Roster, Shared};

/// Which endpoint an exchange wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Aim<'a> {
    /// What decides where the policy goes by a key.
    pub key: Option<u64>,
    /// Endpoints that are not chosen while there are others. Those that the exchange uses now are added.
    pub tried: Option<&'a Tried>,
}

/// Endpoints that an exchange has used.
#[derive(Debug, Default)]
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
    version: u64,
    roster: Arc<Roster>,
    /// In the order of the roster.
    slots: Vec<Rc<Slot>>,
    /// Indices of those that may be chosen.
    eligible: Vec<usize>,
    next: usize,
}

impl Lineup {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let mut lineup = Self {
            version: shared.version(),
            roster: Arc::default(),
            slots: Vec::new(),
            eligible: Vec::new(),
            next: 0,
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
        if !Arc::ptr_eq(&roster, &self.roster) || self.slots.is_empty() {
            let now = Instant::now();
            let before = std::mem::take(&mut self.slots);
            let slot = |member: &Arc<Member>| {
                let known = before.iter().find(|slot| Arc::ptr_eq(&slot.member, member));
                known.map_or_else(|| Slot::new(Arc::clone(member), shared, now), Rc::clone)
            };
            self.slots = roster.seats.iter().map(|seat| slot(&seat.member)).collect();
            self.roster = roster;
        }
        let available = |(index, slot): (usize, &Rc<Slot>)| slot.member.is_available().then_some(index);
        self.eligible = self.slots.iter().enumerate().filter_map(available).collect();
    }

    /// The endpoint for the next exchange, one that was tried only when all were; none when none may be chosen.
    pub(super) fn choose(&mut self, aim: Aim<'_>) -> Option<Rc<Slot>> {
        let count = self.eligible.len();
        let first = self.take_turn()?;
        let Some(tried) = aim.tried else {
            return Some(first);
        };
        let mut chosen = first;
        for _ in 1..count {
            if !tried.has(&chosen.member) {
                break;
            }
            chosen = self.take_turn()?;
        }
        Some(chosen)
    }

    /// The endpoint whose turn it is.
    fn take_turn(&mut self) -> Option<Rc<Slot>> {
        let turn = if self.next < self.eligible.len() {
            self.next
        } else {
            0
        };
        self.next = turn + 1;
        self.slots.get(*self.eligible.get(turn)?).map(Rc::clone)
    }
}
