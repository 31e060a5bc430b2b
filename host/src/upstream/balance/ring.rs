//! A ring of points, several for each endpoint, as libketama has it (R. Jones, 2007, after Karger et al., STOC 1997): a key
//! belongs to the endpoint of the next point. It refuses to know which endpoints may be chosen.

use super::hash::{hash, mix};

/// Points of an endpoint of middle weight, as libketama.
const POINTS: usize = 160;
/// Points of a ring, at most, but for one of each endpoint.
const MOST: usize = 1 << 16;

/// Points in the order of their place, each with the index of its endpoint.
#[derive(Debug)]
pub(super) struct Ring(Vec<(u64, u32)>);

impl Ring {
    /// The ring of endpoints with these names and weights.
    pub(super) fn new(endpoints: &[(&str, u32)]) -> Self {
        let all = (endpoints.len() * POINTS).min(MOST) as u64;
        let sum: u64 = endpoints.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut points = Vec::new();
        for ((name, weight), index) in endpoints.iter().zip(0..) {
            let name = hash(name.as_bytes());
            let count = (all * u64::from(*weight)).div_ceil(sum.max(1)).max(1);
            points.extend((0..count).map(|point| (mix(name.wrapping_add(mix(point + 1))), index)));
        }
        points.sort_unstable();
        Self(points)
    }

    /// The endpoints from the one of `key` onwards, with repetitions, once around the ring.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let start = self.0.partition_point(|(place, _)| *place < key);
        let (before, after) = self.0.split_at_checked(start).unwrap_or((&[], &self.0));
        let around = after.iter().chain(before);
        around.filter_map(|(_, index)| usize::try_from(*index).ok())
    }
}
