//! The manual against the checks, both ways, and against every example in the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use jsonschema::Validator;
use serde_json::Value as Json;

use super::tables::TABLES;
use super::*;
use crate::config::scope::Shared;
use crate::config::{Config, Problems, check_files, parse};
use crate::units::{ByteSize, TimeSpan};

type Pairs = &'static [(&'static str, &'static str)];

/// A configuration with a table of every kind: its heading, the kind, and the keys that it must have.
const EVERY_TABLE: &[(&str, &str, Pairs)] = &[
    ("", "file", &[]),
    ("[gateway]", "gateway", &[]),
    ("[gateway.log]", "log", &[]),
    ("[gateway.access-log]", "access-log", &[]),
    ("[gateway.dns]", "dns", &[]),
    ("[gateway.plugin-defaults]", "plugin-defaults", &[]),
    (
        "[listeners.listener]",
        "listener",
        &[("address", "'127.0.0.1:0'")],
    ),
    ("[listeners.listener.limits]", "limits", &[]),
    ("[listeners.listener.http2]", "http2", &[]),
    (
        "[listeners.listener.tls]",
        "listener-tls",
        &[(
            "certificates",
            "[{ cert.env = 'site.pem', key.env = 'site.key' }]",
        )],
    ),
    (
        "[listeners.listener.tls.client-auth]",
        "client-auth",
        &[("ca", "{ env = 'ca.pem' }")],
    ),
    ("[listeners.other]", "", &[("address", "'127.0.0.1:0'")]),
    (
        "[[listeners.other.tls.certificates]]",
        "certificate",
        &[("cert", "{ env = 'site.pem' }"), ("key", "{ env = 'site.key' }")],
    ),
    ("[plugins.canary]", "", &[]),
    ("[plugins.plugin]", "plugin", &[]),
    ("[plugins.plugin.allow]", "allow", &[]),
    ("[store.store]", "store", &[("url", "'redis://127.0.0.1'")]),
    (
        "[upstreams.upstream]",
        "upstream",
        &[("endpoints", "['127.0.0.1:9001']")],
    ),
    (
        "[upstreams.upstream.tls]",
        "upstream-tls",
        &[
            ("ca", "{ env = 'ca.pem' }"),
            ("cert", "{ env = 'site.pem' }"),
            ("key", "{ env = 'site.key' }"),
        ],
    ),
    (
        "[upstreams.upstream.slow-start]",
        "slow-start",
        &[("window", "'30s'")],
    ),
    ("[upstreams.upstream.sticky]", "sticky", &[]),
    ("[upstreams.upstream.outlier]", "outlier", &[]),
    ("[upstreams.upstream.breaker]", "breaker", &[]),
    ("[upstreams.upstream.retries]", "retries", &[]),
    ("[upstreams.upstream.retry-budget]", "retry-budget", &[]),
    ("[upstreams.upstream.hedge]", "hedge", &[("after", "'50ms'")]),
    ("[upstreams.upstream.fallback]", "fallback", &[]),
    ("[upstreams.other]", "", &[]),
    // Not beside `protocol`: over HTTP/2 connections are not limited.
    (
        "[upstreams.other.limits]",
        "upstream-limits",
        &[("connections", "1")],
    ),
    ("[upstreams.other.balance]", "balance", &[("policy", "'maglev'")]),
    (
        "[[upstreams.other.endpoints]]",
        "endpoint",
        &[("address", "'127.0.0.1:9001'")],
    ),
    // Checks by gRPC need an upstream that speaks HTTP/2.
    (
        "[upstreams.calls]",
        "",
        &[("endpoints", "['127.0.0.1:9001']"), ("protocol", "'h2'")],
    ),
    ("[upstreams.calls.health-check]", "health-check", &[]),
    ("[upstreams.calls.balance]", "balancer", &[("plugin", "'plugin'")]),
    (
        "[[routes]]",
        "route",
        &[("name", "'route'"), ("upstream", "'upstream'")],
    ),
    ("[routes.match]", "match", &[]),
    ("[routes.mirror]", "mirror", &[("upstream", "'upstream'")]),
    ("[routes.match.headers.x-a]", "field", &[("present", "true")]),
    ("[[routes.pipeline]]", "overrides", &[("plugin", "'plugin'")]),
    (
        "[[routes.pipeline]]",
        "any",
        &[("any", "['plugin', { plugin = 'canary' }]")],
    ),
    (
        "[[routes]]",
        "",
        &[("name", "'other'"), ("upstream.plugin", "'plugin'")],
    ),
];

/// How the checks call the tables of that configuration; `*` is any one word.
const PATHS: &[(&str, &str)] = &[
    ("", "file"),
    ("gateway", "gateway"),
    ("gateway.log", "log"),
    ("gateway.access-log", "access-log"),
    ("gateway.dns", "dns"),
    ("gateway.plugin-defaults", "plugin-defaults"),
    ("listeners.listener", "listener"),
    ("listeners.listener.limits", "limits"),
    ("listeners.listener.http2", "http2"),
    ("listeners.listener.tls", "listener-tls"),
    ("listeners.listener.tls.client-auth", "client-auth"),
    ("listeners.other", "listener"),
    ("listeners.other.http2", "http2"),
    ("listeners.other.limits", "limits"),
    ("listeners.other.tls", "listener-tls"),
    ("listeners.other.tls.client-auth", "client-auth"),
    ("certificates[0]", "certificate"),
    ("plugins.canary", "plugin"),
    ("plugins.canary.allow", "allow"),
    ("plugins.plugin", "plugin"),
    ("plugins.plugin.allow", "allow"),
    ("store.store", "store"),
    ("endpoints[0]", "endpoint"),
    ("upstreams.*", "upstream"),
    ("upstreams.*.tls", "upstream-tls"),
    ("upstreams.calls.balance", "balancer"),
    ("upstreams.*.balance", "balance"),
    ("upstreams.*.slow-start", "slow-start"),
    ("upstreams.*.sticky", "sticky"),
    ("upstreams.*.health-check", "health-check"),
    ("upstreams.*.outlier", "outlier"),
    ("upstreams.*.breaker", "breaker"),
    ("upstreams.*.limits", "upstream-limits"),
    ("upstreams.*.retries", "retries"),
    ("upstreams.*.retry-budget", "retry-budget"),
    ("upstreams.*.hedge", "hedge"),
    ("upstreams.*.fallback", "fallback"),
    ("routes[0]", "route"),
    ("routes[0].match", "match"),
    ("routes[0].retries", "retries"),
    ("routes[0].mirror", "mirror"),
    ("routes[1]", "route"),
    ("routes[1].match", "match"),
    ("routes[1].retries", "retries"),
    ("routes[1].mirror", "mirror"),
    ("x-a", "field"),
    ("pipeline[0]", "overrides"),
    ("pipeline[1]", "any"),
    ("pipeline[1].any[1]", "overrides"),
    ("upstream", "overrides"),
];

/// What `key` takes the place of.
fn replaces(key: &str, kind: &str, name: &str) -> bool {
    name == key || kind == "field" || [("srv", "address"), ("cluster", "url")].contains(&(key, name))
}

/// That configuration, where the table of this kind has this key, and nothing that it takes the place of.
fn with(table: &str, key: &str, value: &str) -> String {
    let mut text = String::new();
    for (heading, kind, needed) in EVERY_TABLE {
        text.push_str(&format!("{heading}\n"));
        for (name, value) in *needed {
            if *kind != table || !replaces(key, kind, name) {
                text.push_str(&format!("{name} = {value}\n"));
            }
        }
        if *kind == table {
            text.push_str(&format!("{key} = {value}\n"));
        }
        if *kind == table && key == "successes" {
            text.push_str("trials = 1000\n");
        }
        if *kind == table && key == "service" {
            text.push_str("protocol = 'grpc'\n");
        }
    }
    text
}

fn read(text: &str) -> Result<Config, Problems> {
    parse(Path::new("gateway.toml"), text, &environment())
}

/// Variables with PEM text, by the names of the manual's files.
fn environment() -> BTreeMap<String, String> {
    static MADE: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    let make = || {
        let mut params = rcgen::CertificateParams::new(vec!["site.example".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let site = params.self_signed(&key).unwrap();
        let revoked = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2060, 1, 1),
            crl_number: rcgen::SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let issuer = rcgen::Issuer::from_params(&params, &key);
        let revoked = revoked.signed_by(&issuer).unwrap();
        let texts = [
            ("site.pem", site.pem()),
            ("ca.pem", site.pem()),
            ("site.key", key.serialize_pem()),
            ("revoked.pem", revoked.pem().unwrap()),
        ];
        texts.map(|(name, text)| (name.to_owned(), text)).into()
    };
    MADE.get_or_init(make).clone()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn json(toml: &str) -> Json {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

/// Keys with a value that can stand on a line, with their tables.
fn simple_keys() -> impl Iterator<Item = (&'static Table, &'static Key)> {
    let keys = TABLES
        .iter()
        .flat_map(|table| table.keys().map(move |key| (table, key)));
    keys.filter(|(_, key)| {
        !matches!(
            key.kind,
            Kind::Table(_)
                | Kind::Named(_)
                | Kind::Many(_)
                | Kind::Pipeline
                | Kind::Pipelines
                | Kind::Fields
                | Kind::Members
                | Kind::UpstreamOr(_)
                | Kind::ChoiceOr(..)
                | Kind::ValuesByName
        )
    })
}

/// Values of a key that are right, at its bounds if it has some.
fn right(kind: &Kind) -> Vec<String> {
    match kind {
        Kind::Text(example) => vec![format!("'{example}'")],
        Kind::Pem(file) => vec![format!("{{ env = '{file}' }}")],
        Kind::Choice(words) => words.iter().map(|word| format!("'{word}'")).collect(),
        Kind::Time(least, most) | Kind::Size(least, most) => vec![format!("'{least}'"), format!("'{most}'")],
        Kind::Number(least, most) => vec![least.to_string(), most.to_string()],
        Kind::Flag => vec!["true".to_owned()],
        Kind::Texts(example) | Kind::TextsOr(example, _) => vec![format!("['{example}']")],
        Kind::OneOrMore(example) => vec![format!("'{example}'"), format!("['{example}']")],
        Kind::Target => vec![
            "'upstream'".to_owned(),
            "{ plugin = 'plugin', cpu = '1ms' }".to_owned(),
        ],
        Kind::Free => vec!["{ any = [{ thing = 1 }] }".to_owned()],
        _ => Vec::new(),
    }
}

/// Values just outside of the bounds of a key.
fn wrong(kind: &Kind) -> Vec<String> {
    match kind {
        Kind::Choice(_) => vec!["'none-of-them'".to_owned()],
        Kind::Number(least, most) => vec![(least - 1).to_string(), (most + 1).to_string()],
        Kind::Time(least, most) => {
            let (TimeSpan(least), TimeSpan(most)) = (least.parse().unwrap(), most.parse().unwrap());
            let step = Duration::from_nanos(1);
            let below = least.checked_sub(step);
            let values = below.into_iter().chain([most + step]);
            values.map(|time| format!("'{}'", TimeSpan(time))).collect()
        }
        Kind::Size(least, most) => {
            let (ByteSize(least), ByteSize(most)) = (least.parse().unwrap(), most.parse().unwrap());
            let values = least.checked_sub(1).into_iter().chain(most.checked_add(1));
            values.map(|size| format!("'{}'", ByteSize(size))).collect()
        }
        _ => Vec::new(),
    }
}

fn is_like(pattern: &str, path: &str) -> bool {
    let (wanted, words) = (pattern.split('.'), path.split('.'));
    wanted.clone().count() == words.clone().count()
        && wanted
            .zip(words)
            .all(|(wanted, word)| wanted == "*" || wanted == word)
}

#[test]
fn the_manual_has_the_keys_that_the_checks_ask_for_and_no_others() {
    let environment = environment();
    let shared = Shared::new(&environment);
    check_files(&shared, Path::new("gateway.toml"), &with("none", "", ""));
    assert!(!shared.findings.has_errors());
    let mut asked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, keys) in shared.asked.into_inner() {
        let known = PATHS.iter().find(|(known, _)| is_like(known, &path));
        let (_, table) = known.unwrap_or_else(|| panic!("the table `{path}` is in no manual"));
        asked.entry(table).or_default().extend(keys);
    }
    let manual: BTreeMap<&str, BTreeSet<&str>> = TABLES
        .iter()
        .map(|table| (table.name, table.keys().map(|key| key.name).collect()))
        .collect();
    assert_eq!(asked, manual);
}

#[test]
fn what_the_manual_allows_is_right_and_what_is_beyond_its_bounds_is_not() {
    let schema = validator();
    for (table, key) in simple_keys() {
        let (table, name) = (table.name, key.name);
        for value in right(&key.kind) {
            let text = with(table, name, &value);
            let problems = read(&text).err().map(|problems| problems.to_string());
            // The example of an included file is not there.
            if name != "include" {
                assert_eq!(problems, None, "{table}.{name} = {value}");
            }
            let errors: Vec<_> = schema
                .iter_errors(&json(&text))
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{table}.{name} = {value}: {errors:?}");
        }
        for value in wrong(&key.kind) {
            let text = with(table, name, &value);
            let problems = read(&text).unwrap_err().to_string();
            assert!(
                problems.contains(&format!("`{name}`")),
                "{table}.{name} = {value}: {problems}"
            );
            if matches!(key.kind, Kind::Number(..) | Kind::Choice(_)) {
                assert!(!schema.is_valid(&json(&text)), "{table}.{name} = {value}");
            }
            if let Kind::Choice(words) = key.kind {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                let listed = format!("possible values: {}", words.join(", "));
                assert!(problems.contains(&listed), "{table}.{name}: {problems}");
            }
        }
    }
}

#[test]
fn the_defaults_of_the_manual_are_those_of_the_checks() {
    let shown = |text: &str| {
        let Config {
            gateway,
            listeners,
            plugins,
            routes,
            upstreams,
            ..
        } = read(text).unwrap_or_else(|problems| panic!("{problems}"));
        // An entry with overrides that say nothing new is still one of its own.
        let plugins: Vec<_> = plugins
            .iter()
            .filter(|entry| !entry.name.contains('@'))
            .cloned()
            .collect();
        format!("{gateway:?}{listeners:?}{plugins:?}{routes:?}{upstreams:?}")
    };
    for (table, key) in simple_keys() {
        if let Default::Value(value) = key.default
            && !matches!(table.name, "overrides")
        {
            let (said, unsaid) = (
                with(table.name, key.name, value),
                // A comment keeps the lines of what follows.
                with(table.name, "# nothing", ""),
            );
            assert_eq!(shown(&said), shown(&unsaid), "{}.{}", table.name, key.name);
        }
    }
}

#[test]
fn a_missing_or_unknown_key_is_wrong_for_the_schema_too() {
    let schema = validator();
    assert!(schema.is_valid(&json(&with("none", "", ""))));
    for table in TABLES {
        let text = with(table.name, "no-such-key", "1");
        assert!(!schema.is_valid(&json(&text)), "{}", table.name);
        for key in table.keys() {
            if matches!(key.default, Default::Required) {
                let text = with(table.name, key.name, "1").replace(&format!("{} = 1\n", key.name), "");
                assert!(!schema.is_valid(&json(&text)), "{}.{}", table.name, key.name);
                assert!(read(&text).is_err(), "{}.{}", table.name, key.name);
            }
        }
    }
}

#[test]
fn a_reference_is_valid_where_text_is() {
    let schema = validator();
    for (table, key) in simple_keys() {
        if matches!(
            key.kind,
            Kind::Text(_) | Kind::Choice(_) | Kind::Time(..) | Kind::Size(..)
        ) {
            let text = with(table.name, key.name, "{ env = 'X' }");
            assert!(schema.is_valid(&json(&text)), "{}.{}", table.name, key.name);
            let text = with(table.name, key.name, "{ env = 'X', file = 'Y' }");
            assert!(!schema.is_valid(&json(&text)), "{}.{}", table.name, key.name);
        }
    }
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder whose names end so.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found: Vec<_> = paths
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    assert!(!found.is_empty(), "{folder}");
    found
}

#[test]
fn every_example_of_the_repository_fits_the_schema() {
    let mut examples: Vec<(PathBuf, String)> = Vec::new();
    let mut whole = files("tests/bench", ".toml");
    whole.extend(files("xtask/demo", ".toml"));
    for path in whole {
        let text = fs::read_to_string(&path).unwrap();
        examples.push((path, text));
    }
    let mut documents = vec![root().join("README.md"), root().join("docs/configuration.md")];
    for plugin in fs::read_dir(root().join("plugins")).unwrap() {
        documents.push(plugin.unwrap().path().join("README.md"));
    }
    for path in documents {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for block in text.split("```toml\n").skip(1) {
            examples.push((path.clone(), block.split("```").next().unwrap().to_owned()));
        }
    }
    assert!(examples.len() > 10);
    let schema = validator();
    for (path, text) in examples {
        let errors: Vec<_> = schema
            .iter_errors(&json(&text))
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn the_manuals_example_has_no_error() {
    let document = markdown();
    let example = document
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let environment = BTreeMap::from([("ACME_KEY".to_owned(), "k".to_owned())]);
    let config = parse(Path::new("gateway.toml"), example, &environment).unwrap();
    // Of the pattern for files to include, which are not there.
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn the_document_is_up_to_date() {
    let document = fs::read_to_string(root().join("docs/configuration.md")).unwrap_or_default();
    assert!(
        document == markdown(),
        "write it anew: `cargo run -p portcullis -- schema --markdown > docs/configuration.md`"
    );
}
