//! Reads one table of the file: a method per kind of value, each of which reports what is wrong and goes on.
//!
//! A key that nobody asked for is unknown: [`Reader::finish`] says so, and names the keys that were asked for.
//! It refuses to know what the tables mean.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeArray, DeTable, DeValue};

use crate::units::{ByteSize, TimeSpan};

use super::diagnostic::Severity;
use super::names::{Name, check_name};
use super::reference::Kind;
use super::scope::{Node, Scope};
use super::secret::{Text, quoted};
use super::source::{Span, leaves};
use super::suggest;

/// One table of the file, or the place where one could be.
pub(super) struct Reader<'a> {
    scope: &'a Scope<'a>,
    /// None when the table is not there: then every value has its default.
    table: Option<&'a DeTable<'a>>,
    at: Span,
    path: String,
    asked: Vec<&'static str>,
    refused: Vec<&'static str>,
}

/// A table under a name of the user's choice, as in `[listeners.NAME]`.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) reader: Reader<'a>,
}

impl<'a> Named<'a> {
    /// The name with its place.
    pub(super) fn name(&self) -> Name<'a> {
        Name {
            text: self.name,
            scope: self.reader.scope,
            at: self.reader.at.clone(),
        }
    }
}

impl<'a> Reader<'a> {
    /// The whole file.
    pub(super) fn root(scope: &'a Scope<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(scope, Some(table), 0..0, String::new())
    }

    /// The table that `node` is. Reports anything else, and is empty then. `path` names it in messages.
    pub(super) fn of(scope: &'a Scope<'a>, node: &'a Node<'a>, at: Span, path: String) -> Self {
        let table = match node.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => scope.wrong_type(&quoted(&path), "a table", node),
        };
        Self::new(scope, table, at, path)
    }

    fn new(scope: &'a Scope<'a>, table: Option<&'a DeTable<'a>>, at: Span, path: String) -> Self {
        Self {
            scope,
            table,
            at,
            path,
            asked: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// What all readers of the file share.
    pub(super) fn scope(&self) -> &'a Scope<'a> {
        self.scope
    }

    /// Where the table starts.
    pub(super) fn at(&self) -> &Span {
        &self.at
    }

    /// Whether the table is there.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// The value of a key with the range of the key.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<(Span, &'a Node<'a>)> {
        self.asked.push(key);
        let (key, value) = self.table?.get_key_value(key)?;
        Some((key.span(), value))
    }

    /// Whether the table has any of these keys.
    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        self.table
            .is_some_and(|table| keys.iter().any(|key| table.contains_key(*key)))
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Text> {
        let (_, node) = self.entry(key)?;
        self.scope.text(&quoted(key), node)
    }

    /// A string that must be there.
    pub(super) fn required_text(&mut self, key: &'static str, help: &str) -> Option<Text> {
        self.require(key, help);
        self.text(key)
    }

    /// A string with a form of its own.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &'static str,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        self.scope.parse(&text, what, parse)
    }

    /// A path, relative to the folder of the file.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.parsed(key, "a path", |path| match path {
            "" => Err("an empty path names nothing"),
            path => Ok(path.to_owned()),
        })?;
        Some(self.scope.path(&path))
    }

    /// A span of time; `default` when it is absent.
    pub(super) fn time(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        self.optional_time(key, range).unwrap_or(default)
    }

    /// A span of time that may be absent.
    pub(super) fn optional_time(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (_, node) = self.entry(key)?;
        let text = self
            .scope
            .text_like(&quoted(key), "a duration such as \"20ms\"", node)?;
        let TimeSpan(time) = self.scope.parse(&text, "a duration", str::parse::<TimeSpan>)?;
        if !range.contains(&time) {
            let (least, most) = (TimeSpan(*range.start()), TimeSpan(*range.end()));
            self.scope
                .error(text.at(), format!("`{key}` must be between {least} and {most}"));
            return None;
        }
        Some(time)
    }

    /// An amount of bytes; `default` when it is absent.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.optional_size(key, range).unwrap_or(default)
    }

    /// An amount of bytes that may be absent.
    pub(super) fn optional_size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let (_, node) = self.entry(key)?;
        let text = self
            .scope
            .text_like(&quoted(key), "a size such as \"64KiB\"", node)?;
        let ByteSize(size) = self.scope.parse(&text, "a size", str::parse::<ByteSize>)?;
        if !range.contains(&size) {
            let (least, most) = (ByteSize(*range.start()), ByteSize(*range.end()));
            self.scope
                .error(text.at(), format!("`{key}` must be between {least} and {most}"));
            return None;
        }
        Some(size)
    }

    /// As [`Reader::size`], for what lies in memory as a whole.
    pub(super) fn length(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> usize {
        usize::try_from(self.size(key, range, default)).unwrap_or(usize::MAX)
    }

    /// A whole number; `default` when it is absent.
    pub(super) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        self.optional_number(key, range).unwrap_or(default)
    }

    /// A whole number that may be absent.
    pub(super) fn optional_number<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let (_, node) = self.entry(key)?;
        let DeValue::Integer(integer) = node.get_ref() else {
            return self.scope.wrong_type(&quoted(key), "an integer", node);
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.scope.error(
                &node.span(),
                format!("`{key}` must be between {least} and {most}"),
            );
        }
        number
    }

    /// `true` or `false`, none when it is absent.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let (_, node) = self.entry(key)?;
        match node.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.scope.wrong_type(&quoted(key), "true or false", node),
        }
    }

    /// One of a few words; `default` when it is absent.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)], default: T) -> T {
        let Some(text) = self.text(key) else {
            return default;
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.as_str()) {
            return *value;
        }
        let words = choices.iter().map(|(word, _)| *word);
        let known = words.clone().map(quoted).collect::<Vec<_>>().join(", ");
        let near = suggest::nearest(text.as_str(), words).filter(|_| !text.is_secret());
        let help = match near {
            Some(near) => format!("did you mean `{near}`? possible values: {known}"),
            None => format!("possible values: {known}"),
        };
        let message = format!("{} is not a possible value of `{key}`", text.shown());
        self.scope.error_with_help(text.at(), message, help);
        default
    }

    /// A list.
    pub(super) fn list(&mut self, key: &'static str) -> Option<&'a DeArray<'a>> {
        let (_, node) = self.entry(key)?;
        match node.get_ref() {
            DeValue::Array(list) => Some(list),
            _ => self.scope.wrong_type(&quoted(key), "a list", node),
        }
    }

    /// A list of strings, none when it is absent; elements that are no strings are reported and left out.
    /// An empty list is reported with `empty`, unless that is empty itself.
    pub(super) fn texts(&mut self, key: &'static str, empty: &str) -> Option<Vec<Text>> {
        let (at, _) = self.entry(key)?;
        let list = self.list(key)?;
        if list.is_empty() && !empty.is_empty() {
            self.scope
                .error_with_help(&at, format!("`{key}` is empty"), empty);
        }
        let name = format!("an element of `{key}`");
        Some(
            list.iter()
                .filter_map(|node| self.scope.text(&name, node))
                .collect(),
        )
    }

    /// A table inside this one; all its values are absent when it is.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let path = self.below(key);
        match self.entry(key) {
            Some((at, node)) => Self::of(self.scope, node, at, path),
            None => Self::new(self.scope, None, self.at.clone(), path),
        }
    }

    /// A table that is not there, for what has only defaults.
    pub(super) fn absent(&self) -> Self {
        Self::new(self.scope, None, self.at.clone(), String::new())
    }

    /// All entries of the table that is under `key`, whatever their names, in the order of the file.
    pub(super) fn free_entries(&mut self, key: &'static str) -> Vec<(&'a str, Span, &'a Node<'a>)> {
        let mut entries: Vec<_> = self
            .section(key)
            .table
            .into_iter()
            .flatten()
            .map(|(name, node)| (&**name.get_ref(), name.span(), node))
            .collect();
        entries.sort_by_key(|(_, at, _)| at.start);
        entries
    }

    /// The tables `[KEY.NAME]`, in the order of the file.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<Named<'a>> {
        let scope = self.scope;
        self.free_entries(key)
            .into_iter()
            .map(|(name, at, node)| {
                check_name(scope, &at, &quoted(name), name);
                Named {
                    name,
                    reader: Self::of(scope, node, at, format!("{key}.{name}")),
                }
            })
            .collect()
    }

    /// Reports when a key is there that only another table can have; it is no possible key of this one.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str, help: &str) {
        if let Some((key, _)) = self.table.and_then(|table| table.get_key_value(key)) {
            self.scope.error_with_help(&key.span(), message, help);
        }
        self.refused.push(key);
    }

    /// Reports when a key is not there.
    pub(super) fn require(&self, key: &str, help: &str) {
        if let Some(table) = self.table
            && !table.contains_key(key)
        {
            let message = format!("missing key `{key}`{}", self.place());
            self.scope.error_with_help(&self.at, message, help);
        }
    }

    /// Reports all keys that were not asked for.
    pub(super) fn finish(self) {
        self.finish_as("key");
    }

    /// As [`Reader::finish`], for a table whose keys are called something else.
    pub(super) fn finish_as(self, noun: &str) {
        #[cfg(test)]
        self.scope.note(&self.path, &self.asked);
        for (key, value) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) || self.refused.contains(&name) {
                continue;
            }
            self.scope
                .report(Severity::Error, &key.span(), &leaves(value), || {
                    let message = format!("unknown {noun} {}{}", quoted(name), self.place());
                    let mut asked = self.asked.clone();
                    asked.sort_unstable();
                    asked.dedup();
                    let known = format!("possible {noun}s: {}", asked.join(", "));
                    let help = match suggest::nearest(name, asked) {
                        Some(near) => format!("did you mean `{near}`? {known}"),
                        None => known,
                    };
                    (message, Some(help))
                });
        }
    }

    fn place(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!(" in {}", quoted(&self.path))
        }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// Whether a value stands where a string or a table may: a reference counts as a string.
pub(super) fn is_text(node: &Node<'_>) -> bool {
    match node.get_ref() {
        DeValue::String(_) => true,
        DeValue::Table(table) => Kind::of(table).is_some(),
        _ => false,
    }
}
