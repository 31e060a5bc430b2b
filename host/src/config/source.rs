//! The text of a configuration file: byte offset to line and column, and the excerpt that a diagnostic shows.
//!
//! It refuses to show masked ranges (literal values inside a plugin's `config` may be secrets) and unbounded lines.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Excerpt, Severity};
use super::origin::Origin;

/// A range of bytes of a configuration file.
pub(super) type Span = Range<usize>;

/// Longest excerpt, in characters.
const EXCERPT: usize = 120;
/// How much of a longer line is shown before the caret, in characters.
const BEFORE_CARET: usize = 40;
/// What stands for a masked range.
const MASK: char = '…';

/// The text of one configuration file.
pub(super) struct Source {
    file: Arc<Path>,
    text: String,
    /// Byte offset of the start of every line.
    lines: Vec<usize>,
    /// Ranges that are never shown, in order.
    masks: Vec<Span>,
}

impl Source {
    /// A source of which nothing is masked.
    pub(super) fn new(file: &Path, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file: Arc::from(file),
            text: text.to_owned(),
            lines: std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect(),
            masks: Vec::new(),
        }
    }

    /// Masks every value below a key `config`, except the names inside references.
    pub(super) fn with_masks(mut self, root: &DeTable<'_>) -> Self {
        self.masks = config_values(root);
        self
    }

    /// The file as a whole.
    pub(super) fn whole(&self) -> Origin {
        Origin::whole(&self.file)
    }

    /// The place of a byte offset.
    pub(super) fn origin(&self, offset: usize) -> Origin {
        let (line, start) = self.line_of(offset);
        let before = self.text.get(start..offset).unwrap_or_default();
        Origin {
            file: Arc::clone(&self.file),
            line,
            column: before.chars().count() + 1,
        }
    }

    /// A diagnostic about `span`, with its source line.
    pub(super) fn diagnostic(&self, severity: Severity, span: &Span, message: String) -> Diagnostic {
        self.diagnostic_masking(severity, span, message, &[])
    }

    /// As [`Source::diagnostic`], with `more` ranges (in order) masked.
    pub(super) fn diagnostic_masking(
        &self,
        severity: Severity,
        span: &Span,
        message: String,
        more: &[Span],
    ) -> Diagnostic {
        Diagnostic {
            severity,
            origin: self.origin(span.start),
            message,
            help: None,
            excerpt: Some(self.excerpt(span, more)),
        }
    }

    /// Number and start of the line that holds an offset.
    fn line_of(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.lines.get(index));
        (line.max(1), start.copied().unwrap_or(0))
    }

    fn excerpt(&self, span: &Span, more: &[Span]) -> Excerpt {
        let (line, start) = self.line_of(span.start);
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or_default();
        let text = text.trim_end();

        // An empty range still gets its caret.
        let span = span.start..span.end.max(span.start.saturating_add(1));
        // One cell per shown character: the character, and whether a caret belongs under it.
        let mut cells: Vec<(char, bool)> = Vec::new();
        let mut masked: Option<&Span> = None;
        for (offset, character) in text.char_indices() {
            let offset = start + offset;
            let hit = span.contains(&offset);
            let mask = range_at(&self.masks, offset).or_else(|| range_at(more, offset));
            match (mask, masked) {
                (Some(mask), Some(last)) if mask == last => {
                    if let Some(cell) = cells.last_mut() {
                        cell.1 |= hit;
                    }
                }
                (Some(_), _) => cells.push((MASK, hit)),
                (None, _) if character.is_control() => cells.push((' ', hit)),
                (None, _) => cells.push((character, hit)),
            }
            masked = mask;
        }

        let caret = cells.iter().position(|(_, hit)| *hit).unwrap_or(cells.len());
        let skipped = if cells.len() > EXCERPT {
            caret.saturating_sub(BEFORE_CARET)
        } else {
            0
        };
        let shown = cells.get(skipped..).unwrap_or_default();
        let shown = shown.get(..EXCERPT).unwrap_or(shown);
        Excerpt {
            text: shown.iter().map(|(character, _)| *character).collect(),
            caret: caret - skipped,
            width: shown.iter().filter(|(_, hit)| *hit).count().max(1),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// The one of `ranges`, which are in order and do not overlap, that holds `offset`.
fn range_at(ranges: &[Span], offset: usize) -> Option<&Span> {
    let after = ranges.partition_point(|range| range.start <= offset);
    let range = ranges.get(after.checked_sub(1)?)?;
    range.contains(&offset).then_some(range)
}

/// The ranges, in order, of all values that are no tables or lists below `node`, except the names inside references.
pub(super) fn leaves(node: &Spanned<DeValue<'_>>) -> Vec<Span> {
    let mut found = Vec::new();
    let mut waiting = vec![node];
    while let Some(node) = waiting.pop() {
        match node.get_ref() {
            DeValue::Table(table) if super::reference::Kind::of(table).is_some() => {}
            DeValue::Table(table) => waiting.extend(table.values()),
            DeValue::Array(array) => waiting.extend(array.iter()),
            _ => found.push(node.span()),
        }
    }
    found.sort_by_key(|range| range.start);
    found
}

/// The ranges of all values below keys `config`. No recursion: the depth of a file is not bounded here.
fn config_values(root: &DeTable<'_>) -> Vec<Span> {
    let mut found = Vec::new();
    let mut waiting = vec![root];
    while let Some(table) = waiting.pop() {
        for (key, value) in table {
            if key.get_ref() == "config" {
                found.extend(leaves(value));
                continue;
            }
            let mut inside = vec![value];
            while let Some(value) = inside.pop() {
                match value.get_ref() {
                    DeValue::Table(table) => waiting.push(table),
                    DeValue::Array(array) => inside.extend(array.iter()),
                    _ => {}
                }
            }
        }
    }
    found.sort_by_key(|range| range.start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        let root = DeTable::parse(text).unwrap();
        Source::new(Path::new("gateway.toml"), text).with_masks(root.get_ref())
    }

    fn excerpt(text: &str, part: &str) -> String {
        let at = text.find(part).unwrap();
        let excerpt = source(text).excerpt(&(at..at + part.len()), &[]);
        let (caret, width) = (excerpt.caret, excerpt.width);
        format!("{}\n{:caret$}{:^>width$}", excerpt.text, "", "")
    }

    #[test]
    fn columns_count_characters() {
        let text = "a = 1\n\"é\" = 'x'\n";
        let origin = source(text).origin(text.find("'x'").unwrap());
        assert_eq!((origin.line, origin.column), (2, 7));
    }

    #[test]
    fn offsets_beyond_the_end_are_on_the_last_line() {
        let source = source("a = 1\n");
        assert_eq!(source.origin(6).line, 2);
        assert_eq!(source.origin(600).line, 2);
        assert_eq!(source.excerpt(&(600..700), &[]).width, 1);
    }

    #[test]
    fn values_below_config_are_masked_wherever_they_stand() {
        let text = "[plugins.a.config.deep]\nkey = 'hidden'\nmore = ['hidden', { x = 5 }]\n";
        assert_eq!(excerpt(text, "key"), "key = …\n^^^");
        assert_eq!(excerpt(text, "more"), "more = […, { x = … }]\n^^^^");
        let text = "routes = [{ pipeline = [{ plugin = 'a', config = { k = 'hidden' } }] }]\n";
        assert_eq!(
            excerpt(text, "'a'"),
            "routes = [{ pipeline = [{ plugin = 'a', config = { k = … } }] }]\n                                   ^^^"
        );
    }

    #[test]
    fn the_middle_of_a_masked_text_stays_masked() {
        let text = "[plugins.a.config]\nkey = '''\nhidden one\nhidden two'''\nnext = 1\n";
        assert_eq!(excerpt(text, "one"), "…\n^");
        assert_eq!(excerpt(text, "next"), "next = …\n^^^^");
    }

    #[test]
    fn names_inside_references_are_shown() {
        let text = "[plugins.a]\nconfig = { key = { env = 'KEY' } }\n";
        assert_eq!(
            excerpt(text, "'KEY'"),
            "config = { key = { env = 'KEY' } }\n                         ^^^^^"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("a = ['{}', 'here', '{}']", "x".repeat(500), "y".repeat(500));
        let at = text.find("'here'").unwrap();
        let excerpt = source(&text).excerpt(&(at..at + 6), &[]);
        assert_eq!(excerpt.text.chars().count(), EXCERPT);
        assert_eq!((excerpt.caret, excerpt.width), (BEFORE_CARET, 6));
    }

    #[test]
    fn debug_does_not_show_the_text() {
        assert!(!format!("{:?}", source("a = 'hidden'")).contains("hidden"));
    }
}
