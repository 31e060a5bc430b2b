//! The endpoint that a key belongs to, whatever the policy: one that may not be chosen is passed over without moving the
//! keys of the others. It refuses to know where keys come from.

use super::Policy;
use super::maglev::Maglev;
use super::ring::Ring;

/// Entries that are looked at before all endpoints are.
const STEPS: usize = 512;

/// What keys are looked up in. It is made when the endpoints change, and shared by all workers.
#[derive(Debug)]
pub(in super::super) struct Table {
    kind: Kind,
    endpoints: usize,
}

#[derive(Debug)]
enum Kind {
    Ring(Ring),
    Maglev(Maglev),
}

impl Table {
    /// The table of endpoints with these names and weights; none for a policy that has none.
    pub(in super::super) fn new(policy: Policy, endpoints: &[(&str, u32)]) -> Option<Self> {
        let kind = match policy {
            Policy::RingHash => Kind::Ring(Ring::new(endpoints)),
            Policy::Maglev => Kind::Maglev(Maglev::new(endpoints)),
            _ => return None,
        };
        Some(Self {
            kind,
            endpoints: endpoints.len(),
        })
    }

    /// The index of the endpoint that `key` belongs to, of those that `may` be chosen; none if there is none.
    pub(in super::super) fn choose(&self, key: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let found = match &self.kind {
            Kind::Ring(ring) => ring.from(key).take(STEPS).find(|index| may(*index)),
            Kind::Maglev(maglev) => maglev.from(key).take(STEPS).find(|index| may(*index)),
        };
        found.or_else(|| {
            let start = usize::try_from(key.checked_rem(self.endpoints as u64)?).ok()?;
            (start..self.endpoints).chain(0..start).find(|index| may(*index))
        })
    }
}
