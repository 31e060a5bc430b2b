//! Pipelines of listeners and routes, and the named lists (`[pipelines]`) that they are made of.
//!
//! It refuses to know what a plugin does, and never goes round in circles.

use std::sync::Arc;

use toml::de::{DeArray, DeValue};

use super::super::model::{Element, PluginEntry, Step};
use super::super::names::{Form, Name, Names, check_name};
use super::super::reader::{Reader, is_text};
use super::super::scope::{Node, Scope};
use super::super::secret::{Text, quoted};
use super::entry::{Entries, Place};

/// Most stages of one pipeline: those of the listener and of the route, with all lists put in.
pub(super) const MAX_STAGES: usize = 64;
/// Fewest and most members of `{ any = [..] }`.
const ANY: std::ops::RangeInclusive<usize> = 2..=8;
/// Deepest nesting of named lists.
const MAX_DEPTH: usize = 16;

/// All entries and named lists, to make pipelines of.
pub(super) struct Pipelines<'a> {
    entries: Entries<'a>,
    names: Names<'a>,
    lists: Vec<List<'a>>,
    /// The lists that are being put together, the outermost first.
    open: Vec<usize>,
}

struct List<'a> {
    scope: &'a Scope<'a>,
    node: &'a Node<'a>,
    /// None until it was put together.
    elements: Option<Vec<Element>>,
}

impl<'a> Pipelines<'a> {
    /// The lists `NAME = [..]` under `[pipelines]` of all files.
    pub(super) fn read(files: &mut [Reader<'a>], entries: Entries<'a>) -> Self {
        let (mut names, mut lists) = (Vec::new(), Vec::new());
        for file in files {
            let scope = file.scope();
            for (text, at, node) in file.free_entries("pipelines") {
                check_name(scope, &at, &quoted(text), text);
                names.push(Name { text, scope, at });
                lists.push(List {
                    scope,
                    node,
                    elements: None,
                });
            }
        }
        let mut pipelines = Self {
            entries,
            names: Names::new("pipeline", "pipelines", Form::Lists, names),
            lists,
            open: Vec::new(),
        };
        for index in 0..pipelines.lists.len() {
            pipelines.put_together(index);
        }
        pipelines
    }

    /// The key `pipeline` of a listener or route called `owner`.
    pub(super) fn of(&mut self, reader: &mut Reader<'a>, owner: &str) -> Vec<Element> {
        let scope = reader.scope();
        match reader.list("pipeline") {
            Some(list) => self.elements(scope, list, owner),
            None => Vec::new(),
        }
    }

    /// The entries, for an upstream that is a plugin.
    pub(super) fn entries(&mut self) -> &mut Entries<'a> {
        &mut self.entries
    }

    /// The names of entries and of lists, and all entries, the named ones first.
    pub(super) fn into_parts(self) -> (PipelineNames<'a>, Vec<PluginEntry>) {
        let (plugins, list) = self.entries.into_parts();
        let names = PipelineNames {
            plugins,
            lists: self.names,
        };
        (names, list)
    }

    fn elements(&mut self, scope: &Scope<'_>, list: &'a DeArray<'a>, owner: &str) -> Vec<Element> {
        let mut elements = Vec::new();
        let mut stages = 0;
        // Every element but an empty list has a stage.
        for (index, node) in list.iter().enumerate() {
            let before = elements.len();
            elements.extend(self.element(scope, node, owner, index));
            stages += count(elements.get(before..).unwrap_or_default());
            if stages > MAX_STAGES {
                let message = format!("a pipeline has at most {MAX_STAGES} stages");
                let help = "those of named lists and of `any` count one by one";
                scope.error_with_help(&node.span(), message, help);
                elements.truncate(before);
                break;
            }
        }
        elements
    }

    /// What one element of a pipeline stands for: many when it names a list.
    fn element(&mut self, scope: &Scope<'_>, node: &'a Node<'a>, owner: &str, index: usize) -> Vec<Element> {
        let step = if is_text(node) {
            let Some(text) = scope.text("an element of `pipeline`", node) else {
                return Vec::new();
            };
            if let Some(name) = text.as_str().strip_prefix('@') {
                let name = Text::new(name.to_owned(), text.provenance().clone(), node.span());
                return self.list(scope, &name);
            }
            self.entries.find(scope, &text).map(Step::Stage)
        } else if is_any(node) {
            self.any(scope, node, owner, index)
        } else {
            let place = Place::Pipeline(index);
            let entry = self.entries.with_overrides(scope, node, owner, place);
            entry.map(Step::Stage)
        };
        let element = |step| Element {
            step,
            origin: scope.origin(&node.span()),
            lists: Vec::new(),
        };
        step.map(element).into_iter().collect()
    }

    /// `{ any = [..] }`.
    fn any(&mut self, scope: &Scope<'_>, node: &'a Node<'a>, owner: &str, index: usize) -> Option<Step> {
        let mut reader = Reader::of(scope, node, node.span(), format!("pipeline[{index}]"));
        let list = reader.list("any");
        reader.finish();
        let list = list?;
        if !ANY.contains(&list.len()) {
            let (least, most) = (ANY.start(), ANY.end());
            let message = format!("`any` must have {least} to {most} elements, not {}", list.len());
            scope.error(&node.span(), message);
        }
        let mut members = Vec::new();
        for (inner, node) in list.iter().take(*ANY.end()).enumerate() {
            let place = Place::Any(index, inner);
            let member = if is_text(node) {
                let text = scope.text("an element of `any`", node)?;
                if text.as_str().starts_with('@') {
                    let help = "name the entries of the list one by one";
                    scope.error_with_help(&node.span(), "an element of `any` cannot be a list", help);
                    continue;
                }
                self.entries.find(scope, &text)
            } else if is_any(node) {
                let help = "put its elements into the outer one";
                scope.error_with_help(&node.span(), "an `any` cannot stand in another", help);
                None
            } else {
                self.entries.with_overrides(scope, node, owner, place)
            };
            match member {
                Some(entry) if members.contains(&entry) => {
                    scope.error(&node.span(), "the entry stands in this `any` already");
                }
                member => members.extend(member),
            }
        }
        Some(Step::Any(members))
    }

    /// The elements of the list that `name` is.
    fn list(&mut self, scope: &Scope<'_>, name: &Text) -> Vec<Element> {
        let Some(index) = self.names.find(scope, name) else {
            return Vec::new();
        };
        if let Some(start) = self.open.iter().position(|open| *open == index) {
            let circle = self.open.iter().skip(start).chain([&index]);
            let circle: Vec<_> = circle.map(|list| format!("@{}", self.name(*list))).collect();
            let message = format!("the list `@{}` contains itself", self.name(index));
            scope.error_with_help(name.at(), message, circle.join(" -> "));
            return Vec::new();
        }
        let too_deep = || {
            let message = format!("named lists are nested deeper than {MAX_DEPTH} levels");
            scope.error(name.at(), message);
            Vec::new()
        };
        if self.open.len() >= MAX_DEPTH {
            return too_deep();
        }
        self.put_together(index);
        let through: Arc<str> = self.name(index).into();
        let mut elements = self
            .lists
            .get(index)
            .and_then(|list| list.elements.clone())
            .unwrap_or_default();
        if elements.iter().any(|element| element.lists.len() >= MAX_DEPTH) {
            return too_deep();
        }
        for element in &mut elements {
            element.lists.insert(0, Arc::clone(&through));
        }
        elements
    }

    /// Works out what a list stands for, once.
    fn put_together(&mut self, index: usize) {
        let Some(&List {
            scope,
            node,
            elements: None,
        }) = self.lists.get(index)
        else {
            return;
        };
        let owner = format!("pipelines.{}", self.name(index));
        self.open.push(index);
        let elements = match node.get_ref() {
            DeValue::Array(list) => self.elements(scope, list, &owner),
            _ => scope
                .wrong_type(&quoted(&owner), "a list", node)
                .unwrap_or_default(),
        };
        self.open.pop();
        if let Some(list) = self.lists.get_mut(index) {
            list.elements = Some(elements);
        }
    }

    fn name(&self, list: usize) -> &'a str {
        self.names.list().get(list).map_or("", |name| name.text)
    }
}

/// What pipelines are made of, by name.
pub(super) struct PipelineNames<'a> {
    /// Entries.
    pub(super) plugins: Names<'a>,
    /// Named lists.
    pub(super) lists: Names<'a>,
}

/// How many stages these elements are.
pub(super) fn count(elements: &[Element]) -> usize {
    elements.iter().map(|element| element.step.entries().len()).sum()
}

/// Whether an element is written as `{ any = .. }`.
fn is_any(node: &Node<'_>) -> bool {
    matches!(node.get_ref(), DeValue::Table(table) if table.contains_key("any"))
}

#[cfg(test)]
mod tests;
