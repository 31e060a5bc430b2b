//! One file of the configuration: its text, parsed to tables with spans.
//!
//! It refuses to know which file names which, and what the tables mean.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::diagnostic::{Diagnostic, Severity};
use super::source::Source;

/// A parsed file.
pub(super) struct Document<'t> {
    /// Its text.
    pub(super) source: Arc<Source>,
    /// Its tables; when it is broken, those that could be made out.
    pub(super) tables: DeTable<'t>,
    /// The first syntax error.
    pub(super) broken: Option<Diagnostic>,
}

impl<'t> Document<'t> {
    /// Parses the text of `file`.
    pub(super) fn parse(file: &Path, text: &'t str) -> Self {
        // The tables of a text with syntax errors serve to mask what stands beside the error.
        let (tables, errors) = DeTable::parse_recoverable(text);
        let tables = tables.into_inner();
        let source = Source::new(file, text).with_masks(&tables);
        let broken = errors.first().map(|error| {
            let span = error.span().unwrap_or(0..0);
            source.diagnostic(Severity::Error, &span, error.message().to_owned())
        });
        Self {
            source: Arc::new(source),
            tables,
            broken,
        }
    }
}
