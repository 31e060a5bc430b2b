//! Warnings about what nothing uses: plugin entries, named lists, upstreams.
//!
//! It refuses to call unused what a plugin may use: an upstream that the `config` of an entry names. Nor does it look at
//! components, so an entry that works by itself (`on-tick`) is one whose TOML says so: by `tick`.

use std::collections::HashSet;

use serde_json::Value;

use super::super::model::{Element, Fallback, Policy, Target};
use super::super::names::{Name, Names};
use super::super::secret::quoted;
use super::Checked;
use super::pipeline::PipelineNames;

/// Warns of all of them.
pub(super) fn warn(checked: &Checked, names: &PipelineNames<'_>, upstreams: &Names<'_>) {
    let used = Used::of(checked);
    for (index, name) in names.plugins.list().iter().enumerate() {
        let ticks = checked
            .plugins
            .get(index)
            .is_some_and(|entry| entry.tick.every.is_some());
        if !ticks && !used.plugins.contains(&index) && !used.bases.contains(name.text) {
            tell(
                name,
                "plugin entry",
                "name it in a `pipeline`, as an `upstream`, in `routers` or in the `balance` of an upstream; or set `tick`, if it works by itself",
            );
        }
    }
    for name in names.lists.list() {
        if !used.lists.contains(name.text) {
            let help = format!("name it `\"@{}\"` in a `pipeline`", name.text);
            tell(name, "pipeline", &help);
        }
    }
    let unnamed = upstreams.list().iter().enumerate();
    let unnamed: Vec<_> = unnamed
        .filter(|(index, _)| !used.upstreams.contains(index))
        .map(|(_, name)| name)
        .collect();
    let mentioned = mentioned(checked, unnamed.iter().map(|name| name.text).collect());
    for name in unnamed {
        if !mentioned.contains(name.text) {
            let help = "name it as the `upstream` of a route, or in the `config` of a plugin that chooses";
            tell(name, "upstream", help);
        }
    }
}

/// Warns of stores that no entry is granted.
pub(super) fn warn_of_stores(checked: &Checked, stores: &Names<'_>) {
    let granted = checked
        .plugins
        .iter()
        .filter_map(|entry| entry.grants.store.as_ref());
    let granted: HashSet<&str> = granted.map(|store| &*store.name).collect();
    for name in stores.list().iter().filter(|name| !granted.contains(name.text)) {
        tell(
            name,
            "store",
            "grant it to a plugin: `allow = { store = \"NAME\" }`",
        );
    }
}

fn tell(name: &Name<'_>, noun: &str, help: &str) {
    let message = format!("nothing uses {noun} {}", quoted(name.text));
    name.scope.warning(&name.at, message, help);
}

/// What is used.
#[derive(Default)]
struct Used<'c> {
    /// Indices of entries.
    plugins: HashSet<usize>,
    /// Names of the entries that used ones with overrides start from.
    bases: HashSet<&'c str>,
    lists: HashSet<&'c str>,
    upstreams: HashSet<usize>,
}

impl<'c> Used<'c> {
    fn of(checked: &'c Checked) -> Self {
        let mut used = Self::default();
        used.plugins.extend(&checked.gateway.routers);
        for listener in &checked.listeners {
            used.pipeline(&listener.pipeline);
        }
        for route in &checked.routes {
            used.pipeline(&route.pipeline);
            match route.target {
                Target::Upstream(upstream) => used.upstreams.insert(upstream),
                Target::Responder(plugin) => used.plugins.insert(plugin),
            };
            used.upstreams
                .extend(route.mirror.as_ref().map(|mirror| mirror.upstream));
        }
        for upstream in &checked.upstreams {
            if let Policy::Plugin { entry, .. } = upstream.balance.policy {
                used.plugins.insert(entry);
            }
            if let Some(Fallback::Upstream(other)) = upstream.recourse.fallback {
                used.upstreams.insert(other);
            }
        }
        let entries = used
            .plugins
            .iter()
            .filter_map(|index| checked.plugins.get(*index));
        // The name of an entry with overrides is `NAME@OWNER#INDEX`; no other has an `@`.
        let bases = entries.filter_map(|entry| Some(entry.name.split_once('@')?.0));
        used.bases = bases.collect();
        used
    }

    fn pipeline(&mut self, elements: &'c [Element]) {
        for element in elements {
            self.plugins.extend(element.step.entries());
            self.lists.extend(element.lists.iter().map(|list| &**list));
        }
    }
}

/// Those of the `names` that stand, as words, in the `config` of an entry.
fn mentioned<'n>(checked: &Checked, mut names: HashSet<&'n str>) -> HashSet<&'n str> {
    let mut found = HashSet::new();
    for entry in &checked.plugins {
        let mut waiting = vec![entry.config.value()];
        while let Some(value) = waiting.pop() {
            if names.is_empty() {
                return found;
            }
            match value {
                Value::String(text) => take(text, &mut names, &mut found),
                Value::Array(list) => waiting.extend(list),
                Value::Object(table) => {
                    for (key, value) in table {
                        take(key, &mut names, &mut found);
                        waiting.push(value);
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }
    found
}

/// Moves the words of `text` from `names` to `found`.
fn take<'n>(text: &str, names: &mut HashSet<&'n str>, found: &mut HashSet<&'n str>) {
    let part_of_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    for word in text.split(|letter| !part_of_name(letter)) {
        if let Some(name) = names.take(word) {
            found.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Problems;
    use crate::config::tests::parsed;

    const LISTENER: &str = "[listeners.l]\naddress = '127.0.0.1:0'\n";

    fn warnings(text: &str) -> Problems {
        Problems(parsed(&format!("{LISTENER}{text}")).warnings)
    }

    #[test]
    fn what_nothing_uses_is_doubtful() {
        let text = "pipeline = ['a']\n[plugins.a]\n[plugins.b]\n[upstreams.u]\nendpoints = ['127.0.0.1:1']\n\
                    [pipelines]\nbase = ['a', '@more']\nmore = ['b']\n";
        insta::assert_snapshot!(warnings(text), @r#"
        warning: nothing uses plugin entry `b`
         --> conf/gateway.toml:5:10
          |
        5 | [plugins.b]
          |          ^
          = help: name it in a `pipeline`, as an `upstream`, in `routers` or in the `balance` of an upstream; or set `tick`, if it works by itself

        warning: nothing uses upstream `u`
         --> conf/gateway.toml:6:12
          |
        6 | [upstreams.u]
          |            ^
          = help: name it as the `upstream` of a route, or in the `config` of a plugin that chooses

        warning: nothing uses pipeline `base`
         --> conf/gateway.toml:9:1
          |
        9 | base = ['a', '@more']
          | ^^^^
          = help: name it `"@base"` in a `pipeline`

        warning: nothing uses pipeline `more`
          --> conf/gateway.toml:10:1
           |
        10 | more = ['b']
           | ^^^^
           = help: name it `"@more"` in a `pipeline`
        "#);
    }

    #[test]
    fn every_way_to_use_a_plugin_entry_counts() {
        let text = "pipeline = ['@base', { plugin = 'b', cpu = '1ms' }]\n[gateway]\nrouters = ['c']\n\
                    [plugins.a]\n[plugins.b]\n[plugins.c]\n[plugins.d]\n[plugins.e]\n[plugins.f]\n[plugins.g]\n[plugins.h]\n\
                    [upstreams.u]\nendpoints = ['127.0.0.1:1']\nbalance = { plugin = 'h' }\n\
                    [[routes]]\nname = 'u'\nmatch.path = '/u'\nupstream = 'u'\n\
                    [pipelines]\nbase = ['a', '@more']\nmore = [{ any = ['d', { plugin = 'e', cpu = '1ms' }] }]\n\
                    [[routes]]\nname = 'r'\nmatch.path = '/r'\nupstream = { plugin = 'f', cpu = '1ms' }\n\
                    [[routes]]\nname = 's'\nupstream = { plugin = 'g' }\n";
        assert_eq!(warnings(text).0, []);
    }

    #[test]
    fn an_entry_with_a_period_works_by_itself() {
        assert_eq!(warnings("[plugins.a]\ntick = '10s'\n").0, []);
        let budget = "[plugins.a]\ntick-cpu = '1s'\n";
        assert_eq!(warnings(budget).0.len(), 1, "it says nothing of when");
    }

    #[test]
    fn an_upstream_that_a_plugins_config_names_is_used() {
        let text = "pipeline = ['a']\n[upstreams]\n\
                    stable = { endpoints = ['127.0.0.1:1'] }\ncanary = { endpoints = ['127.0.0.1:1'] }\n\
                    beta-2 = { endpoints = ['127.0.0.1:1'] }\nbet = { endpoints = ['127.0.0.1:1'] }\n\
                    [plugins.a.config]\nweights = { stable = 9 }\nrules = [{ to = \"x ? 'canary' : 'beta-2'\" }]\n";
        let messages: Vec<_> = warnings(text).0.into_iter().map(|w| w.message).collect();
        assert_eq!(messages, ["nothing uses upstream `bet`"]);
    }

    #[test]
    fn nothing_seems_unused_because_its_user_is_wrong() {
        let text = format!("{LISTENER}pipeline = ['a', 5]\n[plugins.a]\n[plugins.b]\n");
        let problems = crate::config::parse(
            std::path::Path::new("gateway.toml"),
            &text,
            &std::collections::BTreeMap::new(),
        );
        assert_eq!(problems.unwrap_err().0.len(), 1);
    }
}
