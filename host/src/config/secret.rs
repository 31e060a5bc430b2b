//! A string of the configuration with where it came from. Content that came through a reference is secret.
//!
//! It refuses to show a secret: `Debug` and [`Text::shown`] name the variable or the file instead.

use std::fmt;

use super::source::Span;

/// Longest value that a message quotes, in characters.
const QUOTED: usize = 80;

/// Where a [`Text`] came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Provenance {
    /// It stands in the file.
    Literal,
    /// The environment variable of this name.
    Environment(String),
    /// The file of this path, as written.
    File(String),
}

/// A string of the configuration.
#[derive(Clone)]
pub(super) struct Text {
    value: String,
    provenance: Provenance,
    at: Span,
}

impl Text {
    /// A string that stands, or whose reference stands, at `at`.
    pub(super) fn new(value: String, provenance: Provenance, at: Span) -> Self {
        Self {
            value,
            provenance,
            at,
        }
    }

    /// The string itself.
    pub(super) fn as_str(&self) -> &str {
        &self.value
    }

    /// Where it stands in the file.
    pub(super) fn at(&self) -> &Span {
        &self.at
    }

    /// Where it came from.
    pub(super) fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Whether messages may quote it.
    pub(super) fn is_secret(&self) -> bool {
        self.provenance != Provenance::Literal
    }

    /// How messages name it: quoted, or by where it came from.
    pub(super) fn shown(&self) -> String {
        match &self.provenance {
            Provenance::Literal => quoted(&self.value),
            Provenance::Environment(name) => format!("the value of environment variable {}", quoted(name)),
            Provenance::File(path) => format!("the content of {}", quoted(path)),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// A text in backquotes, cut to a bounded length, without control characters.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_literal_is_quoted() {
        let text = |provenance| Text::new("hunter2".to_owned(), provenance, 0..0);
        let literal = text(Provenance::Literal);
        assert_eq!(literal.shown(), "`hunter2`");
        assert!(!literal.is_secret());
        let variable = text(Provenance::Environment("TOKEN".to_owned()));
        assert_eq!(variable.shown(), "the value of environment variable `TOKEN`");
        assert_eq!(format!("{variable:?}"), variable.shown());
        assert!(variable.is_secret());
        let file = text(Provenance::File("token.txt".to_owned()));
        assert_eq!(file.shown(), "the content of `token.txt`");
        assert_eq!(file.as_str(), "hunter2");
    }

    #[test]
    fn quotes_are_bounded() {
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), QUOTED + 3);
        assert_eq!(quoted("a\u{1b}[0m\nb"), "`a [0m b`");
    }
}
