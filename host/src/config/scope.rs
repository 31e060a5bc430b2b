//! What every check of one file shares: the source, the resolver of references, and where to report problems.
//!
//! It refuses to know what the checks are, and what is in the other files.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Severity};
use super::findings::Findings;
use super::inputs::Inputs;
use super::origin::Origin;
use super::reference::{Environment, Kind, ReferenceError, Resolver};
use super::secret::{Provenance, Text, quoted};
use super::source::{Source, Span};

/// A value of the file with its range.
pub(super) type Node<'d> = Spanned<DeValue<'d>>;

/// What all files of one configuration share.
pub(super) struct Shared<'e> {
    /// Where variables are looked up.
    pub(super) environment: &'e dyn Environment,
    /// What has been read.
    pub(super) inputs: Inputs,
    /// What is wrong so far.
    pub(super) findings: Findings,
    /// Of every table, by its path, the keys that were asked for.
    #[cfg(test)]
    pub(super) asked: Asked,
}

/// Keys by the path of their table.
#[cfg(test)]
pub(super) type Asked =
    std::cell::RefCell<std::collections::BTreeMap<String, std::collections::BTreeSet<&'static str>>>;

impl<'e> Shared<'e> {
    /// Nothing read, nothing wrong.
    pub(super) fn new(environment: &'e dyn Environment) -> Self {
        Self {
            environment,
            inputs: Inputs::new(),
            findings: Findings::default(),
            #[cfg(test)]
            asked: Asked::default(),
        }
    }
}

/// Shared by all checks of one file.
pub(super) struct Scope<'e> {
    source: Arc<Source>,
    rank: usize,
    resolver: Resolver<'e>,
    findings: &'e Findings,
    #[cfg(test)]
    asked: &'e Asked,
}

impl<'e> Scope<'e> {
    /// A scope for the file of this rank: 0 is the one that names the others. `file` is the path that relative paths
    /// start from.
    pub(super) fn new(file: &Path, source: Arc<Source>, rank: usize, shared: &'e Shared<'e>) -> Self {
        Self {
            source,
            rank,
            resolver: Resolver::new(file, shared.environment, &shared.inputs),
            findings: &shared.findings,
            #[cfg(test)]
            asked: &shared.asked,
        }
    }

    /// Notes which keys a table can have, to be compared with the manual.
    #[cfg(test)]
    pub(super) fn note(&self, path: &str, asked: &[&'static str]) {
        self.asked
            .borrow_mut()
            .entry(path.to_owned())
            .or_default()
            .extend(asked);
    }

    /// The text of the file.
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The place where `at` starts.
    pub(super) fn origin(&self, at: &Span) -> Origin {
        self.source.origin(at.start)
    }

    /// A path of the configuration as a path of this process.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.resolver.path(written)
    }

    /// The folder that relative paths start from.
    pub(super) fn folder(&self) -> &Path {
        self.resolver.folder()
    }

    /// Reports an error.
    pub(super) fn error(&self, at: &Span, message: impl Into<String>) {
        self.report(Severity::Error, at, &[], || (message.into(), None));
    }

    /// Reports an error with what to do about it.
    pub(super) fn error_with_help(&self, at: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Error, at, &[], || (message.into(), Some(help.into())));
    }

    /// Reports a doubt with what to do about it.
    pub(super) fn warning(&self, at: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, at, &[], || (message.into(), Some(help.into())));
    }

    /// Reports a doubt about the file as a whole.
    pub(super) fn warning_on_file(&self, message: &str, help: &str) {
        self.findings.add(self.rank, Severity::Warning, || Diagnostic {
            severity: Severity::Warning,
            origin: self.source.whole(),
            message: message.to_owned(),
            help: Some(help.to_owned()),
            excerpt: None,
        });
    }

    /// Reports something whose message is costly to make, or whose line needs `masks` besides those of the source.
    pub(super) fn report(
        &self,
        severity: Severity,
        at: &Span,
        masks: &[Span],
        text: impl FnOnce() -> (String, Option<String>),
    ) {
        self.findings.add(self.rank, severity, || {
            let (message, help) = text();
            let mut diagnostic = self.source.diagnostic_masking(severity, at, message, masks);
            diagnostic.help = help;
            diagnostic
        });
    }

    /// The string that a value is, or that its reference refers to. Reports anything else; `name` says what it is.
    pub(super) fn text(&self, name: &str, node: &Node<'_>) -> Option<Text> {
        self.text_like(name, "a string", node)
    }

    /// As [`Scope::text`], where a message says which kind of string is `expected`.
    pub(super) fn text_like(&self, name: &str, expected: &str, node: &Node<'_>) -> Option<Text> {
        let at = node.span();
        let table = match node.get_ref() {
            DeValue::String(value) => return Some(Text::new(value.to_string(), Provenance::Literal, at)),
            DeValue::Table(table) => table,
            _ => return self.wrong_type(name, expected, node),
        };
        let Some(kind) = Kind::of(table) else {
            return self.wrong_type(name, expected, node);
        };
        let target = self.target(node)?;
        let (content, provenance) = match kind {
            Kind::Env => (
                self.resolver.variable(target),
                Provenance::Environment(target.to_owned()),
            ),
            Kind::File => (self.resolver.file(target), Provenance::File(target.to_owned())),
            Kind::Files => {
                self.error(
                    &at,
                    format!("{name} must be {expected}, and `files` gives a list"),
                );
                return None;
            }
        };
        let content = self.resolved(&at, content)?;
        Some(Text::new(content, provenance, at))
    }

    /// The contents of all files that a reference `{ files = ".." }` names.
    pub(super) fn files(&self, node: &Node<'_>) -> Option<Vec<String>> {
        let pattern = self.target(node)?;
        self.resolved(&node.span(), self.resolver.files(pattern))
    }

    /// Reports that a value has the wrong type; always none.
    pub(super) fn wrong_type<T>(&self, name: &str, expected: &str, node: &Node<'_>) -> Option<T> {
        let found = type_of(node.get_ref());
        self.error(&node.span(), format!("{name} must be {expected}, not {found}"));
        None
    }

    /// `text` as a value of its own type, reported when it is none: `what` names the type.
    pub(super) fn parse<T, E: Display>(
        &self,
        text: &Text,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text.as_str()) {
            Ok(value) => Some(value),
            // The reason may quote the text.
            Err(_) if text.is_secret() => {
                self.error(text.at(), format!("{} is not {what}", text.shown()));
                None
            }
            Err(reason) => {
                self.error_with_help(
                    text.at(),
                    format!("{} is not {what}", text.shown()),
                    reason.to_string(),
                );
                None
            }
        }
    }

    /// What a reference refers to: the string under its one key.
    fn target<'n>(&self, node: &'n Node<'_>) -> Option<&'n str> {
        let (key, value) = node.get_ref().as_table()?.iter().next()?;
        match value.get_ref().as_str() {
            Some(target) => Some(target),
            None => self.wrong_type(&quoted(key.get_ref()), "a string", value),
        }
    }

    fn resolved<T>(&self, at: &Span, content: Result<T, ReferenceError>) -> Option<T> {
        content.map_err(|error| self.error(at, error.to_string())).ok()
    }
}

/// What a value is, for a message.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
