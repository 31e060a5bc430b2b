//! Cells by name and worker: what the routes, plugins, upstreams and listeners of the metric registry have in common.
//!
//! It knows when a name was asked for and when it was retired; not what its cells count.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are no longer in the configuration and are still rendered, so that their last counts are not lost.
pub(super) const MAX_RETIRED: usize = 256;

/// One set of cells per name and worker. Asked on (re)load and by the scrape, never per request.
#[derive(Debug)]
pub(super) struct Family<S> {
    slots: usize,
    names: Mutex<Names<S>>,
}

#[derive(Debug)]
struct Names<S> {
    members: BTreeMap<Box<str>, Member<S>>,
    /// The earliest retired first.
    retired: VecDeque<Box<str>>,
}

#[derive(Debug)]
struct Member<S> {
    cells: Box<[Option<Arc<S>>]>,
    retired: bool,
}

impl<S: Default> Family<S> {
    /// For workers 0 to `workers` - 1, and one more for threads that are none of them.
    pub(super) const fn new(workers: usize) -> Self {
        let names = Names {
            members: BTreeMap::new(),
            retired: VecDeque::new(),
        };
        Self {
            slots: workers + 1,
            names: Mutex::new(names),
        }
    }

    /// The cells of `name` that `worker` writes; any number that is no worker's has the cells of the others.
    pub(super) fn cells(&self, worker: usize, name: &str) -> Arc<S> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.members.contains_key(name) {
            let member = Member {
                cells: (0..self.slots).map(|_| None).collect(),
                retired: false,
            };
            names.members.insert(name.into(), member);
        }
        names.revive(name);
        let slot = worker.min(self.slots - 1);
        let cells = names
            .members
            .get_mut(name)
            .and_then(|member| member.cells.get_mut(slot));
        // The member was just put there; the fallback is unreachable.
        cells.map_or_else(Arc::default, |cells| Arc::clone(cells.get_or_insert_default()))
    }

    /// Retires the names that `keep` refuses and brings back those that it accepts.
    pub(super) fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, gone): (Vec<_>, Vec<_>) = names.members.keys().cloned().partition(|name| keep(name));
        for name in kept {
            names.revive(&name);
        }
        for name in gone {
            names.retire(name);
        }
    }

    /// What `sum` makes of the cells of each name, sorted by name.
    pub(super) fn sums<T: Default>(&self, sum: impl Fn(&mut T, &S)) -> Vec<(Box<str>, T)> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let total = |member: &Member<S>| {
            let mut total = T::default();
            for cells in member.cells.iter().flatten() {
                sum(&mut total, cells);
            }
            total
        };
        names
            .members
            .iter()
            .map(|(name, member)| (name.clone(), total(member)))
            .collect()
    }
}

impl<S> Names<S> {
    fn revive(&mut self, name: &str) {
        if let Some(member) = self.members.get_mut(name).filter(|member| member.retired) {
            member.retired = false;
            self.retired.retain(|retired| **retired != *name);
        }
    }

    fn retire(&mut self, name: Box<str>) {
        let Some(member) = self.members.get_mut(&name).filter(|member| !member.retired) else {
            return;
        };
        member.retired = true;
        self.retired.push_back(name);
        if self.retired.len() > MAX_RETIRED
            && let Some(oldest) = self.retired.pop_front()
        {
            self.members.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::cell::Counter;

    fn names(family: &Family<Counter>) -> Vec<(String, u64)> {
        let sums = family.sums(|sum: &mut u64, counter| *sum += counter.get());
        sums.into_iter().map(|(name, sum)| (name.into(), sum)).collect()
    }

    #[test]
    fn workers_have_their_own_cells_and_one_name_the_same() {
        let family = Family::<Counter>::new(2);
        family.cells(0, "b").add(1);
        family.cells(1, "b").add(2);
        family.cells(usize::MAX, "b").add(4);
        family.cells(0, "a");
        assert!(!Arc::ptr_eq(&family.cells(0, "b"), &family.cells(1, "b")));
        assert!(Arc::ptr_eq(&family.cells(2, "b"), &family.cells(9, "b")));
        assert_eq!(names(&family), [("a".to_owned(), 0), ("b".to_owned(), 7)]);
    }

    #[test]
    fn retired_names_are_kept_up_to_a_bound_and_can_come_back() {
        let family = Family::<Counter>::new(1);
        for n in 0..MAX_RETIRED + 10 {
            family.cells(0, &format!("{n:04}")).add(1);
        }
        family.cells(0, "live");
        family.retain(|name| name == "live");
        assert_eq!(names(&family).len(), MAX_RETIRED + 1);
        assert_eq!(names(&family)[0].0, "0010", "the first retired were forgotten");
        family.cells(0, "0010").add(1);
        family.retain(|name| name == "live" || name == "0010");
        family.cells(0, "one-more");
        family.retain(|name| name == "live" || name == "0010");
        assert_eq!(names(&family)[0], ("0010".to_owned(), 2));
    }
}
