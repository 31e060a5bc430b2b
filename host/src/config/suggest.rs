//! "did you mean": the known name that is nearest to an unknown one.
//!
//! It refuses to compare long names: the cost is bounded.

/// Longer names are not compared, in characters.
const LONGEST: usize = 64;

/// The candidate with the smallest edit distance to `name`, if at most a third of the name (and at least one
/// character) would have to change.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(LONGEST + 1).collect();
    if name.len() > LONGEST {
        return None;
    }
    let allowed = (name.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours, each costs 1.
fn distance(left: &[char], right: &str) -> usize {
    let right: Vec<char> = right.chars().take(LONGEST + 1).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    let mut above: Option<char> = None;
    for (row, &letter) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut beside: Option<char> = None;
        for (column, &other) in right.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let substitute = at(&previous, column) + usize::from(letter != other);
            let mut best = substitute
                .min(at(&previous, column + 1) + 1)
                .min(at(&current, column) + 1);
            if above == Some(other)
                && beside == Some(letter)
                && let Some(corner) = column.checked_sub(1)
            {
                best = best.min(at(&before, corner) + 1);
            }
            current.push(best);
            beside = Some(other);
        }
        above = Some(letter);
        before = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn between(left: &str, right: &str) -> usize {
        distance(&left.chars().collect::<Vec<_>>(), right)
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(between("address", "address"), 0);
        assert_eq!(between("adress", "address"), 1);
        assert_eq!(between("addrses", "address"), 1);
        assert_eq!(between("kitten", "sitting"), 3);
        assert_eq!(between("", "abc"), 3);
        assert_eq!(between("abc", ""), 3);
    }

    #[test]
    fn the_nearest_name_is_suggested_only_when_it_is_near() {
        let known = ["address", "pipeline", "limits"];
        assert_eq!(nearest("pipline", known), Some("pipeline"));
        assert_eq!(nearest("adres", known), None);
        assert_eq!(nearest("limit", known), Some("limits"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(1000), known), None);
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(left in "[abc]{0,8}", right in "[abc]{0,8}") {
            let distance = between(&left, &right);
            prop_assert_eq!(distance, between(&right, &left));
            prop_assert!(distance <= left.len().max(right.len()));
            prop_assert_eq!(distance == 0, left == right);
        }
    }
}
