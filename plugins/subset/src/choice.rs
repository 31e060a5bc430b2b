//! One of the endpoints that fit: of two at random, the one with less to do for its weight (Mitzenmacher, *The Power of Two
//! Choices in Randomized Load Balancing*, 2001). Knows no request.

use portcullis::Endpoint;

/// The index of an endpoint that fits; none if none does. Those that are not healthy only where no other fits. `drawn` is any
/// number.
pub(crate) fn choose(endpoints: &[Endpoint], fits: impl Fn(&Endpoint) -> bool, drawn: u64) -> Option<usize> {
    let of = |healthy: bool| -> Vec<usize> {
        let indexed = endpoints.iter().enumerate();
        let fitting = indexed.filter(|(_, endpoint)| endpoint.healthy == healthy && fits(endpoint));
        fitting.map(|(index, _)| index).collect()
    };
    let mut fitting = of(true);
    if fitting.is_empty() {
        fitting = of(false);
    }
    let count = fitting.len() as u64;
    let at = |index: u64| fitting.get(usize::try_from(index).ok()?).copied();
    let first = at(drawn.checked_rem(count)?)?;
    if count == 1 {
        return Some(first);
    }
    // Another one: one of those that are left, counted from the first on.
    let step = 1 + (drawn / count) % (count - 1);
    let second = at((drawn % count + step) % count)?;
    Some(if load(endpoints, second) < load(endpoints, first) {
        second
    } else {
        first
    })
}

fn load(endpoints: &[Endpoint], index: usize) -> f64 {
    endpoints.get(index).map_or(f64::MAX, |endpoint| {
        (f64::from(endpoint.in_flight) + 1.0) / f64::from(endpoint.weight.max(1))
    })
}
