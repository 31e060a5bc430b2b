//! Replacement of what a pattern finds, by text and groups. Knows no path.

use crate::pattern::Pattern;

/// A pattern and what takes the place of its matches.
#[derive(Debug)]
pub(crate) struct Replacement {
    pattern: Pattern,
    with: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// Reads `with`: `$1`, `${1}` and `${name}` are groups, `$$` is a dollar sign.
    pub(crate) fn new(pattern: Pattern, with: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = with;
        while let Some((text, after)) = rest.split_once('$') {
            push_text(&mut parts, text);
            if let Some(after) = after.strip_prefix('$') {
                push_text(&mut parts, "$");
                rest = after;
                continue;
            }
            let (name, after) =
                name_of(after).ok_or("a `$` is followed by a number, by `{name}` or by another `$`")?;
            let group = pattern
                .group(name)
                .ok_or_else(|| format!("the expression has no group `{name}`"))?;
            parts.push(Part::Group(group));
            rest = after;
        }
        push_text(&mut parts, rest);
        Ok(Self { pattern, with: parts })
    }

    /// The text with every match replaced; none when there is none, or when it would be longer than `max` bytes.
    pub(crate) fn apply(&self, text: &str, max: usize) -> Replaced {
        let mut out = Vec::with_capacity(text.len());
        let mut matched = false;
        let mut full = false;
        self.pattern.walk(text, |between, groups| {
            if full {
                return;
            }
            out.extend_from_slice(between);
            for part in groups.map(|_| &self.with).into_iter().flatten() {
                match part {
                    Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                    Part::Group(index) => {
                        let group = groups.and_then(|groups| groups.get(*index)).copied().flatten();
                        out.extend_from_slice(group.unwrap_or_default());
                    }
                }
            }
            matched |= groups.is_some();
            full = out.len() > max;
        });
        match (matched, full) {
            (_, true) => Replaced::TooLong,
            (false, _) => Replaced::Unchanged,
            (true, _) => Replaced::Text(String::from_utf8_lossy(&out).into_owned()),
        }
    }
}

/// What became of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// Nothing matched.
    Unchanged,
    /// This.
    Text(String),
    /// It would be longer than allowed.
    TooLong,
}

/// The group behind a `$`, and what follows it.
fn name_of(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}');
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(regex: &str, with: &str, text: &str) -> Replaced {
        let pattern = Pattern::new("regex", regex).unwrap();
        Replacement::new(pattern, with).unwrap().apply(text, 100)
    }

    #[test]
    fn every_match_is_replaced_by_text_and_groups() {
        for (regex, with, text, result) in [
            (r"^/v1/(\d+)$", "/v2/$1", "/v1/42", "/v2/42"),
            (r"^/(?<a>\w+)/(\w+)", "/$2/${a}x$2a", "/p/q/r", "/q/pxqa/r"),
            ("/a", "/b", "/a/a/ab", "/b/b/bb"),
            ("a", "$$1$0", "/a", "/$1a"),
            ("(x)?/", "[$1]", "/x/", "[][x]"),
            ("", "-", "ab", "-a-b-"),
        ] {
            assert_eq!(
                replaced(regex, with, text),
                Replaced::Text(result.to_owned()),
                "{regex} {with}"
            );
        }
        assert_eq!(replaced("^/b", "/c", "/a"), Replaced::Unchanged);
    }

    #[test]
    fn the_result_is_bounded() {
        assert_eq!(replaced("a", &"b".repeat(50), "aaa"), Replaced::TooLong);
    }

    #[test]
    fn a_bad_replacement_is_refused() {
        for (with, reason) in [
            ("$", "a `$` is followed by"),
            ("$x", "a `$` is followed by"),
            ("${a", "a `$` is followed by"),
            ("$2", "no group `2`"),
            ("${b}", "no group `b`"),
            ("$99999999999999999999", "no group"),
        ] {
            let pattern = Pattern::new("regex", "(?<a>x)").unwrap();
            let error = Replacement::new(pattern, with).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
