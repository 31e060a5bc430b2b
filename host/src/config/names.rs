//! Names that the user gives: which are possible, and what the file refers to by them.
//!
//! It refuses to know what the named things are.

use std::collections::HashMap;

use super::diagnostic::Severity;
use super::reader::Named;
use super::scope::Scope;
use super::secret::Text;
use super::source::Span;
use super::suggest;

/// Longest name of a listener, plugin entry, route or upstream, in bytes.
const MAX_NAME: usize = 128;
/// Most names that a help text lists.
const LISTED: usize = 20;

/// Names with the index that each stands for, to resolve what the file refers to by name.
pub(super) struct Names<'a> {
    noun: &'static str,
    section: &'static str,
    list: Vec<&'a str>,
    index: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    /// The names of `[SECTION.NAME]`, of which one is called a `noun`.
    pub(super) fn new(noun: &'static str, section: &'static str, named: &[Named<'a>]) -> Self {
        let list: Vec<&'a str> = named.iter().map(|named| named.name).collect();
        let index = list
            .iter()
            .enumerate()
            .map(|(index, name)| (*name, index))
            .collect();
        Self {
            noun,
            section,
            list,
            index,
        }
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
        if text.is_secret() {
            return format!("add it as a table of `[{}]`", self.section);
        }
        if let Some(near) = suggest::nearest(text.as_str(), self.list.iter().copied()) {
            return format!("did you mean `{near}`?");
        }
        let add = format!("add a table `[{}.{}]`", self.section, text.as_str());
        if self.list.is_empty() {
            return add;
        }
        let more = if self.list.len() > LISTED { ", ..." } else { "" };
        let known = self.list.iter().take(LISTED).copied().collect::<Vec<_>>();
        format!("{add}, or use one of: {}{more}", known.join(", "))
    }
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
