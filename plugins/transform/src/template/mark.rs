//! Marks that a rendered text carries, so that whoever puts it into a URL can tell the template's own text from values:
//! the template says what is a delimiter, a value never does. Knows no URL.
//!
//! A mark is one control character, which no text of a template and no value keeps.

/// Where a piece of a rendered text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The template, or a value that it vouched for by `|safe`.
    Template,
    /// A part of the request's URL, percent-encoded already.
    Url,
    /// Any other value.
    Value,
}

const VALUE: char = '\u{1}';
const URL: char = '\u{2}';
const VOUCHED: char = '\u{3}';
const END: char = '\u{4}';

const ALL: [char; 4] = [VALUE, URL, VOUCHED, END];

impl Origin {
    fn mark(self) -> char {
        match self {
            Self::Template => VOUCHED,
            Self::Url => URL,
            Self::Value => VALUE,
        }
    }
}

/// Whether the text carries marks.
pub(super) fn is_marked(text: &str) -> bool {
    text.contains(ALL)
}

/// The text as a piece of this origin; characters of its own that look like marks become U+FFFD.
pub(super) fn marked(text: &str, origin: Origin) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(origin.mark());
    if is_marked(text) {
        out.push_str(&text.replace(ALL, "\u{fffd}"));
    } else {
        out.push_str(text);
    }
    out.push(END);
    out
}

/// A text that a filter or a block put together from marked pieces; what is not marked counts as of this origin.
pub(super) fn remarked(text: &str, origin: Origin) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for (origin, piece) in scan(text, origin) {
        out.push_str(&marked(piece, origin));
    }
    out
}

/// The pieces of a rendered text in order.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = (Origin, &str)> {
    scan(text, Origin::Template)
}

fn scan(text: &str, unmarked: Origin) -> impl Iterator<Item = (Origin, &str)> {
    let mut rest = text;
    let mut origin = unmarked;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (piece, after) = match rest.find(ALL) {
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            };
            let found = (origin, piece);
            let mut after = after.chars();
            match after.next() {
                Some(VALUE) => origin = Origin::Value,
                Some(URL) => origin = Origin::Url,
                Some(VOUCHED) => origin = Origin::Template,
                _ => origin = unmarked,
            }
            rest = after.as_str();
            if !piece.is_empty() {
                return Some(found);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Origin::{Template, Url, Value};

    #[test]
    fn pieces_come_back_with_their_origins() {
        let text = format!(
            "/a/{}{}?{}",
            marked("v", Value),
            marked("/u", Url),
            marked("x&y", Template)
        );
        let all: Vec<_> = pieces(&text).collect();
        let expected = [
            (Template, "/a/"),
            (Value, "v"),
            (Url, "/u"),
            (Template, "?"),
            (Template, "x&y"),
        ];
        assert_eq!(all, expected);
        assert_eq!(pieces("").count(), 0);
    }

    #[test]
    fn a_value_cannot_bring_marks() {
        let text = marked("a\u{4}/b\u{3}", Value);
        assert_eq!(
            pieces(&text).collect::<Vec<_>>(),
            [(Value, "a\u{fffd}/b\u{fffd}")]
        );
    }

    #[test]
    fn a_text_put_together_keeps_the_origins_of_its_pieces() {
        let joined = format!("/path{}", marked("v", Value));
        let text = remarked(&joined, Url);
        assert_eq!(pieces(&text).collect::<Vec<_>>(), [(Url, "/path"), (Value, "v")]);
        // A filter cut the first mark off: the rest is no template text.
        let text = remarked("v\u{4}/x", Url);
        assert!(pieces(&text).all(|(origin, _)| origin == Url));
    }
}
