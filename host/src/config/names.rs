//! Names that the user gives: which are possible, and what the file refers to by them.
//!
//! It refuses to know what the named things are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::diagnostic::Severity;
use super::origin::Origin;
use super::scope::Scope;
use super::secret::{Text, quoted};
use super::source::Span;
use super::suggest;

/// Longest name of a listener, plugin entry, named list, route or upstream, in bytes.
const MAX_NAME: usize = 128;
/// Most names that a help text lists.
const LISTED: usize = 20;

/// A name where it is given to something.
#[derive(Clone)]
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
    pub(super) scope: &'a Scope<'a>,
    pub(super) at: Span,
}

/// How something gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `[SECTION.NAME]`.
    Tables,
    /// `NAME = [..]` in `[SECTION]`.
    Lists,
}

/// Names with the index that each stands for, to resolve what the configuration refers to by name.
pub(super) struct Names<'a> {
    noun: &'static str,
    section: &'static str,
    form: Form,
    list: Vec<Name<'a>>,
    index: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    /// The names of a section, of which one is called a `noun`. Reports those that are given twice.
    pub(super) fn new(noun: &'static str, section: &'static str, form: Form, list: Vec<Name<'a>>) -> Self {
        let mut index = HashMap::new();
        for (at, name) in list.iter().enumerate() {
            match index.entry(name.text) {
                Entry::Vacant(place) => {
                    place.insert(at);
                }
                Entry::Occupied(first) => {
                    let first: Option<&Name<'_>> = list.get(*first.get());
                    let first = first.map(|first| first.scope.origin(&first.at));
                    taken(name.scope, &name.at, &quoted(name.text), noun, first.as_ref());
                }
            }
        }
        Self {
            noun,
            section,
            form,
            list,
            index,
        }
    }

    /// The names, in the order of their indices.
    pub(super) fn list(&self) -> &[Name<'a>] {
        &self.list
    }

    /// The index of the name that `text` is. Reports an unknown one.
    pub(super) fn find(&self, scope: &Scope<'_>, text: &Text) -> Option<usize> {
        let index = self.index.get(text.as_str()).copied();
        if index.is_none() {
            scope.report(Severity::Error, text.at(), &[], || {
                let message = if text.is_secret() {
                    format!("{} is not the name of any {}", text.shown(), self.noun)
                } else {
                    format!("unknown {} {}", self.noun, text.shown())
                };
                (message, Some(self.help(text)))
            });
        }
        index
    }

    fn help(&self, text: &Text) -> String {
        let known = self.list.iter().map(|name| name.text);
        let (section, name) = (self.section, text.as_str());
        let add = match (self.form, text.is_secret()) {
            (Form::Tables, true) => return format!("add it as a table of `[{section}]`"),
            (Form::Lists, true) => return format!("add it as a list of `[{section}]`"),
            (Form::Tables, false) => format!("add a table `[{section}.{name}]`"),
            (Form::Lists, false) => format!("add a list {} to `[{section}]`", quoted(name)),
        };
        if let Some(near) = suggest::nearest(name, known.clone()) {
            return format!("did you mean `{near}`?");
        }
        if self.list.is_empty() {
            return add;
        }
        let more = if self.list.len() > LISTED { ", ..." } else { "" };
        let known = known.take(LISTED).collect::<Vec<_>>();
        format!("{add}, or use one of: {}{more}", known.join(", "))
    }
}

/// Reports that a name is already that of another thing of its kind, which is at `first`.
pub(super) fn taken(scope: &Scope<'_>, at: &Span, shown: &str, noun: &str, first: Option<&Origin>) {
    let place = match first {
        Some(first) if first.file == scope.origin(at).file => format!(" on line {}", first.line),
        Some(first) => format!(" at {first}"),
        None => String::new(),
    };
    scope.error(at, format!("{shown} is already the name of the {noun}{place}"));
}

/// Reports a name that cannot be one. Names stand in file names, metrics and logs.
pub(super) fn check_name(scope: &Scope<'_>, at: &Span, shown: &str, name: &str) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let starts = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !starts || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        scope.error_with_help(
            at,
            format!("{shown} is not a possible name"),
            format!("a name is up to {MAX_NAME} of the characters A-Z a-z 0-9 - _ . and starts with a letter or digit"),
        );
    }
}
