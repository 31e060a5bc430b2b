//! Regular expressions on bytes, bounded, and what their groups found. Knows no request and no template.
//!
//! The crate's engine is linear in the text. Classes such as `\d` and `\w` are of ASCII.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

/// Longest expression, in bytes.
const MAX_SOURCE: usize = 4 << 10;
/// Bytes that a compiled expression may take.
const MAX_COMPILED: usize = 1 << 20;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    names: Arc<[Option<String>]>,
}

/// What the groups of an expression found; group 0 is the whole match.
#[derive(Clone, Debug)]
pub(crate) struct Captures {
    names: Arc<[Option<String>]>,
    texts: Vec<String>,
}

impl Pattern {
    /// Compiles an expression; the error names its `key`.
    pub(crate) fn new(key: &str, source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("`{key}` is longer than {MAX_SOURCE} bytes"));
        }
        let regex = RegexBuilder::new(source)
            .unicode(false)
            .size_limit(MAX_COMPILED)
            .build()
            .map_err(|error| format!("`{key}` is no regular expression: {error}"))?;
        let names = regex
            .capture_names()
            .map(|name| name.map(str::to_owned))
            .collect();
        Ok(Self { regex, names })
    }

    /// Whether it matches somewhere in the text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }

    /// The groups of the first match. One that took no part found "".
    pub(crate) fn captures(&self, text: &str) -> Option<Captures> {
        let found = self.regex.captures(text.as_bytes())?;
        Some(Captures {
            names: Arc::clone(&self.names),
            texts: found.iter().map(|group| group_text(group.as_ref())).collect(),
        })
    }

    /// The groups as they are when all found "".
    pub(crate) fn no_captures(&self) -> Captures {
        Captures {
            names: Arc::clone(&self.names),
            texts: vec![String::new(); self.names.len()],
        }
    }

    /// Calls `piece` for everything in order: the text between matches, and the groups of each match.
    pub(crate) fn walk<'t>(
        &self,
        text: &'t str,
        mut between: impl FnMut(&'t [u8], Option<&[Option<&'t [u8]>]>),
    ) {
        let bytes = text.as_bytes();
        let mut from = 0;
        for found in self.regex.captures_iter(bytes) {
            let groups: Vec<_> = found
                .iter()
                .map(|group| group.map(|group| group.as_bytes()))
                .collect();
            if let Some(whole) = found.get(0) {
                between(bytes.get(from..whole.start()).unwrap_or_default(), Some(&groups));
                from = whole.end();
            }
        }
        between(bytes.get(from..).unwrap_or_default(), None);
    }

    /// The number of the group with this name or number.
    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        index_of(&self.names, name)
    }
}

impl Captures {
    /// What the group with this name or number found; none when the expression has no such group.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(index_of(&self.names, name)?).map(String::as_str)
    }
}

fn index_of(names: &[Option<String>], name: &str) -> Option<usize> {
    let named = names.iter().position(|known| known.as_deref() == Some(name));
    named.or_else(|| name.parse().ok().filter(|index| *index < names.len()))
}

fn group_text(group: Option<&regex::bytes::Match<'_>>) -> String {
    group.map_or_else(String::new, |group| {
        String::from_utf8_lossy(group.as_bytes()).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(source: &str) -> Pattern {
        Pattern::new("regex", source).unwrap()
    }

    #[test]
    fn groups_are_found_by_name_and_number() {
        let captures = pattern(r"^/(?<kind>\w+)/(\d+)(/x)?$")
            .captures("/orders/42")
            .unwrap();
        for (name, text) in [
            ("0", "/orders/42"),
            ("kind", "orders"),
            ("1", "orders"),
            ("2", "42"),
            ("3", ""),
        ] {
            assert_eq!(captures.get(name), Some(text), "{name}");
        }
        assert_eq!((captures.get("4"), captures.get("sort")), (None, None));
        assert!(pattern("^/a$").captures("/b").is_none());
    }

    #[test]
    fn classes_are_of_ascii_and_a_dot_is_any_byte() {
        assert!(!pattern(r"^\w$").matches("\u{e9}"));
        assert!(pattern("^..$").matches("\u{e9}"));
        assert_eq!(
            pattern("^(.)").captures("\u{e9}").unwrap().get("1"),
            Some("\u{fffd}")
        );
    }

    #[test]
    fn a_bad_or_huge_expression_is_refused() {
        for (source, reason) in [
            ("(", "`regex` is no regular expression"),
            (r"\p{Greek}", "`regex` is no regular expression"),
            ("(?:a{1000}){1000}", "`regex` is no regular expression"),
            (&"a".repeat(5_000), "`regex` is longer than 4096 bytes"),
        ] {
            let error = Pattern::new("regex", source).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
