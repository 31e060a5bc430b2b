//! Plugin entries: `[plugins.NAME]`, and the pipelines and routes that use them or make their own with overrides.
//!
//! It refuses to look at a component's file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::super::model::{Gateway, PluginEntry};
use super::super::names::Names;
use super::super::plugin_config::PluginConfig;
use super::super::reader::{Named, Reader};
use super::super::scope::{Node, Scope};
use super::super::secret::{Text, quoted};
use super::{budget, grants, tick};

/// All plugin entries found so far.
pub(super) struct Entries<'a> {
    names: Names<'a>,
    list: Vec<PluginEntry>,
    /// Names of the entries with overrides.
    made: HashSet<String>,
}

impl<'a> Entries<'a> {
    /// The entries of `[plugins.NAME]`, which have these `names`.
    pub(super) fn read(
        plugins: Vec<Named<'a>>,
        names: Names<'a>,
        gateway: &Gateway,
        known: &grants::Known<'_, '_>,
    ) -> Self {
        Self {
            names,
            list: plugins
                .into_iter()
                .map(|named| read_entry(named, gateway, known))
                .collect(),
            made: HashSet::new(),
        }
    }

    /// The index of a named entry. Reports an unknown one.
    pub(super) fn find(&self, scope: &Scope<'_>, name: &Text) -> Option<usize> {
        self.names.find(scope, name)
    }

    /// The entry that a table `{ plugin = "NAME", .. }` makes: the named one itself if nothing is overridden.
    pub(super) fn with_overrides(
        &mut self,
        scope: &Scope<'_>,
        node: &Node<'_>,
        owner: &str,
        place: Place,
    ) -> Option<usize> {
        let at = node.span();
        let mut reader = Reader::of(scope, node, at.clone(), place.path());
        let help = "the entry to start from, for example `{ plugin = \"NAME\", config = {} }`";
        let base = reader
            .required_text("plugin", help)
            .and_then(|name| self.names.find(scope, &name));
        let inherited = base.and_then(|index| self.list.get(index)).cloned();
        let budget = budget::read(
            &mut reader,
            &inherited
                .as_ref()
                .map(|entry| entry.budget.clone())
                .unwrap_or_default(),
        );
        let config = reader
            .entry("config")
            .map(|(at, node)| PluginConfig::read(scope, &at, node));
        let overridden = config.is_some() || reader.has_any(&budget::KEYS);
        reader.finish();

        let entry = inherited?;
        if !overridden {
            return base;
        }
        let name = format!("{}@{owner}#{}", entry.name, place.suffix());
        if !self.made.insert(name.clone()) {
            let message = format!("there are two entries {}", quoted(&name));
            scope.error_with_help(
                &at,
                message,
                "a listener, a route and `pipelines.NAME` with such entries cannot have the same name",
            );
        }
        self.list.push(PluginEntry {
            name: name.into(),
            config: config.unwrap_or_else(|| entry.config.clone()),
            budget,
            origin: scope.origin(&at),
            ..entry
        });
        self.list.len().checked_sub(1)
    }

    /// The names, and all entries: the named ones first.
    pub(super) fn into_parts(self) -> (Names<'a>, Vec<PluginEntry>) {
        (self.names, self.list)
    }
}

/// Where in a listener, route or named list an entry with overrides stands.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// At this index of its `pipeline`.
    Pipeline(usize),
    /// In the `any` at an index of its `pipeline`, at an index of that.
    Any(usize, usize),
    /// As its `upstream`.
    Upstream,
}

impl Place {
    /// How messages name it.
    fn path(self) -> String {
        match self {
            Self::Pipeline(index) => format!("pipeline[{index}]"),
            Self::Any(index, inner) => format!("pipeline[{index}].any[{inner}]"),
            Self::Upstream => "upstream".to_owned(),
        }
    }

    /// What makes the entry's name different from others of the same owner.
    fn suffix(self) -> String {
        match self {
            Self::Pipeline(index) => index.to_string(),
            Self::Any(index, inner) => format!("{index}.{inner}"),
            Self::Upstream => "upstream".to_owned(),
        }
    }
}

/// One entry: a table with these keys.
pub(super) fn read_entry(
    Named { name, mut reader }: Named<'_>,
    gateway: &Gateway,
    known: &grants::Known<'_, '_>,
) -> PluginEntry {
    let scope = reader.scope();
    let wasm = reader.parsed("wasm", "the name or path of a component", |wasm| match wasm {
        "" => Err("an empty name names nothing"),
        wasm => Ok(component(scope, &gateway.plugin_dir, wasm)),
    });
    let entry = PluginEntry {
        name: name.into(),
        wasm: wasm.unwrap_or_else(|| gateway.plugin_dir.join(format!("{name}.wasm"))),
        sha256: reader.parsed("sha256", "a SHA-256 digest", digest),
        config: match reader.entry("config") {
            Some((at, node)) => PluginConfig::read(scope, &at, node),
            None => PluginConfig::empty(scope, reader.at()),
        },
        grants: grants::read(reader.section("allow"), known),
        allow_fail_open: reader.flag("allow-fail-open").unwrap_or(false),
        budget: budget::read(&mut reader, &gateway.plugin_defaults),
        tick: tick::read(&mut reader),
        // Set when upstreams are read.
        balances: None,
        origin: scope.origin(reader.at()),
    };
    reader.finish();
    entry
}

/// A bare name is a component of the plugin folder, anything else a path.
fn component(scope: &Scope<'_>, plugin_dir: &Path, wasm: &str) -> PathBuf {
    if wasm.contains('/') || wasm.ends_with(".wasm") {
        scope.path(wasm)
    } else {
        plugin_dir.join(format!("{wasm}.wasm"))
    }
}

/// 64 hexadecimal digits.
fn digest(text: &str) -> Result<[u8; 32], &'static str> {
    let help = "write 64 hexadecimal digits, as `sha256sum` prints them";
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return Err(help);
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (nibble(*high).ok_or(help)? << 4) | nibble(*low).ok_or(help)?;
    }
    Ok(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::config::tests::{entries, errors, parsed};

    use super::*;

    #[test]
    fn a_component_is_named_or_a_path() {
        let config = parsed(
            "[plugins.a]\n[plugins.b]\nwasm = 'rate-limit'\n[plugins.c]\nwasm = 'target/x'\n\
             [plugins.d]\nwasm = 'x.wasm'\n[plugins.e]\nwasm = '/opt/x.wasm'\n",
        );
        let paths: Vec<_> = config
            .plugins
            .iter()
            .map(|entry| entry.wasm.to_str().unwrap())
            .collect();
        assert_eq!(
            paths,
            [
                "conf/plugins/a.wasm",
                "conf/plugins/rate-limit.wasm",
                "conf/target/x",
                "conf/x.wasm",
                "/opt/x.wasm"
            ]
        );
    }

    #[test]
    fn every_key_is_read() {
        let config = parsed(&format!(
            "[plugins.a]\nsha256 = '{}'\nallow = {{ attributes = ['auth.'] }}\nallow-fail-open = true\n\
             config = {{ b = 1 }}\n[plugins.b]\n",
            "0aF1".repeat(16)
        ));
        let entry = &config.plugins[0];
        assert_eq!(entry.sha256.unwrap()[..2], [0x0a, 0xf1]);
        assert_eq!(entry.grants.attributes, ["auth."]);
        assert!(entry.allow_fail_open && !config.plugins[1].allow_fail_open);
        assert_eq!(entry.config.json(), r#"{"b":1}"#);
        assert_eq!(config.plugins[1].config.json(), "{}");
        assert_eq!(config.plugins[1].sha256, None);
    }

    #[test]
    fn overrides_make_an_entry_of_its_own() {
        let config = parsed(
            "[plugins.limit]\nallow.attributes = ['auth.']\nconfig = { a = 1 }\ncpu = '7ms'\n\
             [listeners.public]\naddress = '127.0.0.1:0'\n\
             pipeline = ['limit', { plugin = 'limit' }, { plugin = 'limit', config = { b = 2 } }]\n\
             [[routes]]\nname = 'orders'\npipeline = [{ plugin = 'limit', max-body = '1KiB' }]\nupstream = 'u'\n\
             [upstreams.u]\nendpoints = ['127.0.0.1:1']\n",
        );
        let names: Vec<_> = config.plugins.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, ["limit", "limit@public#2", "limit@orders#0"]);
        assert_eq!(entries(&config.listeners[0].pipeline), [0, 0, 1]);
        assert_eq!(entries(&config.routes[0].pipeline), [2]);
        let [base, with_config, with_body] = &config.plugins[..] else {
            panic!()
        };
        assert_eq!(with_config.config.value(), &json!({ "b": 2 }));
        assert_eq!(with_config.budget, base.budget);
        assert_eq!(with_config.wasm, base.wasm);
        assert_eq!(with_config.grants.attributes, ["auth."]);
        assert_eq!(with_config.origin.to_string(), "conf/gateway.toml:7:44");
        assert_eq!(with_body.config.value(), &json!({ "a": 1 }));
        assert_eq!(with_body.budget.max_body, 1024);
        assert_eq!(with_body.budget.cpu, Duration::from_millis(7));
    }

    #[test]
    fn overrides_do_not_widen_grants() {
        let text = "[plugins.a]\n[listeners.l]\naddress = '127.0.0.1:0'\n\
                    pipeline = [{ plugin = 'a', allow = { attributes = ['auth.'] } }]\n";
        insta::assert_snapshot!(errors(text), @"
        error: unknown key `allow` in `pipeline[0]`
         --> gateway.toml:4:29
          |
        4 | pipeline = [{ plugin = 'a', allow = { attributes = […] } }]
          |                             ^^^^^
          = help: possible keys: body-overflow, config, cpu, max-age, max-body, max-calls, max-decoded-ratio, max-instances, max-leases, max-memory, max-outbound, on-fault, plugin, shared, timeout
        ");
    }

    #[test]
    fn an_unknown_plugin_is_refused_with_a_suggestion() {
        let text = "[plugins.rate-limit]\n[plugins.cors]\n[listeners.l]\naddress = '127.0.0.1:0'\n\
                    pipeline = ['rate-limt', 'jwt', 5, { config = {} }]\n";
        insta::assert_snapshot!(errors(text), @r#"
        error: unknown plugin `rate-limt`
         --> gateway.toml:5:13
          |
        5 | pipeline = ['rate-limt', 'jwt', 5, { config = {} }]
          |             ^^^^^^^^^^^
          = help: did you mean `rate-limit`?

        error: unknown plugin `jwt`
         --> gateway.toml:5:26
          |
        5 | pipeline = ['rate-limt', 'jwt', 5, { config = {} }]
          |                          ^^^^^
          = help: add a table `[plugins.jwt]`, or use one of: rate-limit, cors

        error: `pipeline[2]` must be a table, not an integer
         --> gateway.toml:5:33
          |
        5 | pipeline = ['rate-limt', 'jwt', 5, { config = {} }]
          |                                 ^

        error: missing key `plugin` in `pipeline[3]`
         --> gateway.toml:5:36
          |
        5 | pipeline = ['rate-limt', 'jwt', 5, { config = {} }]
          |                                    ^^^^^^^^^^^^^^^
          = help: the entry to start from, for example `{ plugin = "NAME", config = {} }`
        "#);
    }

    #[test]
    fn an_unknown_grant_is_refused_with_the_known_ones() {
        insta::assert_snapshot!(errors("[plugins.a]\nallow = { files = ['/a'], attributes = [''] }\n"), @"
        error: unknown grant `files` in `plugins.a.allow`
         --> gateway.toml:2:11
          |
        2 | allow = { files = […], attributes = [''] }
          |           ^^^^^
          = help: possible grants: attributes, flights, http, private-networks, store

        error: `` is not a prefix of attributes
         --> gateway.toml:2:41
          |
        2 | allow = { files = ['/a'], attributes = [''] }
          |                                         ^^
          = help: an empty prefix would grant them all
        ");
    }

    #[test]
    fn a_digest_has_64_digits() {
        insta::assert_snapshot!(errors("[plugins.a]\nsha256 = 'abc'\n"), @"
        error: `abc` is not a SHA-256 digest
         --> gateway.toml:2:10
          |
        2 | sha256 = 'abc'
          |          ^^^^^
          = help: write 64 hexadecimal digits, as `sha256sum` prints them
        ");
        assert!(digest(&"g".repeat(64)).is_err());
    }

    #[test]
    fn a_name_is_safe_in_a_path() {
        insta::assert_snapshot!(errors("[plugins.'../a']\n"), @"
        error: `../a` is not a possible name
         --> gateway.toml:1:10
          |
        1 | [plugins.'../a']
          |          ^^^^^^
          = help: a name is up to 128 of the characters A-Z a-z 0-9 - _ . and starts with a letter or digit
        ");
    }

    #[test]
    fn two_entries_with_overrides_cannot_share_a_name() {
        let text = "[plugins.a]\n[upstreams.u]\nendpoints = ['127.0.0.1:1']\n[listeners.public]\n\
                    address = '127.0.0.1:0'\npipeline = [{ plugin = 'a', cpu = '1ms' }]\n[[routes]]\n\
                    name = 'public'\npipeline = [{ plugin = 'a', cpu = '2ms' }]\nupstream = 'u'\n";
        insta::assert_snapshot!(errors(text), @"
        error: there are two entries `a@public#0`
         --> gateway.toml:9:13
          |
        9 | pipeline = [{ plugin = 'a', cpu = '2ms' }]
          |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          = help: a listener, a route and `pipelines.NAME` with such entries cannot have the same name
        ");
    }
}
