//! Tests of the configuration as a whole, and what the tests of its modules share.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const EXAMPLE: &str = r#"
[gateway]
admin = "127.0.0.1:9901"

[gateway.plugin-defaults]
cpu = "5ms"

[listeners.public]
address = "0.0.0.0:8080"
pipeline = ["@base"]

[listeners.public.limits]
body = "1MiB"

[pipelines]
base = ["request-id", "@more"]
more = [{ any = ["jwt", { plugin = "request-id", cpu = "1ms" }] }]

[plugins.request-id]

[plugins.jwt]
allow = { attributes = ["auth."] }
config = { issuer = "https://login.example.com", key = { env = "TOKEN" } }

[[routes]]
name = "orders"
match = { host = "api.example.com", prefix = "/v1/orders", methods = ["GET", "POST"] }
pipeline = ["jwt", { plugin = "jwt", config = { deep = [{ a = 1.5, b = -1 }] }, max-body = "1MiB" }]
upstream = "orders"

[upstreams.orders]
endpoints = ["127.0.0.1:9001", "127.0.0.1:9002"]
"#;

fn environment() -> BTreeMap<String, String> {
    [("TOKEN", "hunter2"), ("UPSTREAM", "u")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The configuration that `text` is.
#[track_caller]
pub(crate) fn parsed(text: &str) -> Config {
    match parse(Path::new("conf/gateway.toml"), text, &environment()) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}

/// The entries of a pipeline, those of each `any` one by one.
pub(crate) fn entries(pipeline: &[Element]) -> Vec<usize> {
    let steps = pipeline.iter().map(|element| element.step.entries());
    steps.flatten().copied().collect()
}

/// What is wrong with `text`.
#[track_caller]
pub(crate) fn errors(text: &str) -> Problems {
    let mut problems = parse(Path::new("gateway.toml"), text, &environment()).unwrap_err();
    problems
        .0
        .retain(|diagnostic| diagnostic.severity == Severity::Error);
    problems
}

#[test]
fn the_example_is_understood() {
    let config = parsed(EXAMPLE);
    assert_eq!(config.plugins.len(), 4);
    assert_eq!(entries(&config.listeners[0].pipeline), [0, 1, 2]);
    assert_eq!(entries(&config.routes[0].pipeline), [1, 3]);
    assert_eq!(config.plugins[1].config.value()["key"], "hunter2");
    assert_eq!(config.inputs, [Path::new("conf/gateway.toml")]);
    assert!(config.warnings.is_empty());
}

#[test]
fn a_syntax_error_has_its_place() {
    insta::assert_snapshot!(errors("[listeners.public]\naddress = \n"), @"
    error: string values must be quoted, expected literal string
     --> gateway.toml:2:11
      |
    2 | address =
      |          ^
    ");
    insta::assert_snapshot!(errors("a = 1\na = 2\n"), @"
    error: duplicate key
     --> gateway.toml:2:1
      |
    2 | a = 2
      | ^
    ");
}

#[test]
fn a_syntax_error_shows_no_other_value_of_a_plugin_config() {
    let text = "[plugins.a]\nconfig = { key = 'hunter3', size = 5x }\n";
    insta::assert_snapshot!(errors(text), @"
    error: string values must be quoted, expected literal string
     --> gateway.toml:2:36
      |
    2 | config = { key = …, size = … }
      |                            ^
    ");
}

#[test]
fn a_configuration_without_listeners_is_doubtful() {
    insta::assert_snapshot!(parsed("").warnings[0], @"
    warning: there is no listener, so the gateway accepts nothing
     --> conf/gateway.toml
      = help: add a table such as `[listeners.public]` with an `address`
    ");
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    let text = "[upstreams.u]\nendpoints = 'x'\n[listeners.a]\naddress = 80\n[caches.redis]\nurl = 'redis://secret'\n";
    insta::assert_snapshot!(errors(text), @"
    error: `endpoints` must be a list, not a string
     --> gateway.toml:2:13
      |
    2 | endpoints = 'x'
      |             ^^^

    error: `address` must be a string, not an integer
     --> gateway.toml:4:11
      |
    4 | address = 80
      |           ^^

    error: unknown key `caches`
     --> gateway.toml:5:2
      |
    5 | [caches.redis]
      |  ^^^^^^
      = help: possible keys: gateway, include, listeners, pipelines, plugins, routes, store, upstreams
    ");
}

#[test]
fn an_unknown_table_is_refused() {
    insta::assert_snapshot!(errors("[plugin.jwt]\nconfig = { a = 1 }\n"), @"
    error: unknown key `plugin`
     --> gateway.toml:1:2
      |
    1 | [plugin.jwt]
      |  ^^^^^^
      = help: did you mean `plugins`? possible keys: gateway, include, listeners, pipelines, plugins, routes, store, upstreams
    ");
}

#[test]
fn a_missing_variable_and_a_missing_file_are_reported_where_they_are_named() {
    let text = "[plugins.a]\nconfig = { key = { env = 'MISSING' }, rules = { file = '/nowhere/rules' } }\n";
    insta::assert_snapshot!(errors(text), @"
    error: environment variable `MISSING` is not set
     --> gateway.toml:2:18
      |
    2 | config = { key = { env = 'MISSING' }, rules = { file = '/nowhere/rules' } }
      |                  ^^^^^^^^^^^^^^^^^^^

    error: cannot read `/nowhere/rules`: No such file or directory (os error 2)
     --> gateway.toml:2:47
      |
    2 | config = { key = { env = 'MISSING' }, rules = { file = '/nowhere/rules' } }
      |                                               ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_reference_to_many_files_is_no_string() {
    insta::assert_snapshot!(errors("[gateway]\nplugin-dir = { files = '*' }\n"), @"
    error: `plugin-dir` must be a string, and `files` gives a list
     --> gateway.toml:2:14
      |
    2 | plugin-dir = { files = '*' }
      |              ^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(errors("[plugins.a]\nconfig = { key = { env = 5 } }\n"), @"
    error: `env` must be a string, not an integer
     --> gateway.toml:2:26
      |
    2 | config = { key = { env = 5 } }
      |                          ^
    ");
}

#[test]
fn a_bad_value_from_a_reference_is_not_shown() {
    let text = "[gateway]\nadmin = { env = 'TOKEN' }\nshutdown-timeout = { env = 'TOKEN' }\n\
                log.format = { env = 'TOKEN' }\nlog.level = { env = 'TOKEN' }\n\
                [plugins.a]\nsha256 = { env = 'TOKEN' }\n[upstreams.u]\nendpoints = [{ env = 'TOKEN' }]\n\
                [[routes]]\nname = 'r'\nupstream = { env = 'TOKEN' }\npipeline = [{ env = 'TOKEN' }]\n\
                match.methods = [{ env = 'TOKEN' }]\n";
    let problems = errors(text);
    assert!(problems.errors() >= 8, "{problems}");
    assert!(!format!("{problems}{problems:?}").contains("hunter2"));
    insta::assert_snapshot!(problems.0[0], @"
    error: the value of environment variable `TOKEN` is not a socket address
     --> gateway.toml:2:9
      |
    2 | admin = { env = 'TOKEN' }
      |         ^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn nothing_of_a_plugin_config_is_shown() {
    let config = parsed("[plugins.a]\nconfig = { literal = 'hunter3', key = { env = 'TOKEN' } }\n");
    assert_eq!(
        config.plugins[0].config.json(),
        r#"{"key":"hunter2","literal":"hunter3"}"#
    );
    assert!(!format!("{config:#?}").contains("hunter"));

    let text = "[plugins.a]\nconfig = { literal = 'hunter3', size = nan }\nconfg = { literal = 'hunter3' }\n";
    let problems = errors(text);
    assert!(!format!("{problems}{problems:?}").contains("hunter"));
    insta::assert_snapshot!(problems, @"
    error: the float is not finite, so JSON has no form of it
     --> gateway.toml:2:40
      |
    2 | config = { literal = …, size = … }
      |                                ^

    error: unknown key `confg` in `plugins.a`
     --> gateway.toml:3:1
      |
    3 | confg = { literal = … }
      | ^^^^^
      = help: did you mean `config`? possible keys: allow, allow-fail-open, body-overflow, config, cpu, max-age, max-body, max-calls, max-decoded-ratio, max-instances, max-leases, max-memory, max-outbound, on-fault, sha256, shared, tick, tick-cpu, tick-timeout, timeout, wasm
    ");
}

#[test]
fn references_in_a_config_work_at_any_depth() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("key.pem"), "KEY\n").unwrap();
    fs::write(folder.path().join("rules/b"), "two").unwrap();
    fs::write(folder.path().join("rules/a"), "one").unwrap();
    let file = folder.path().join("gateway.toml");
    let text = "[plugins.a.config]\nlist = [{ env = 'TOKEN' }, { deep = { file = 'key.pem' } }]\n\
                rules = { files = 'rules/*' }\nnone = { env = 'TOKEN', file = 'two keys' }\n";
    let config = parse(&file, text, &environment()).unwrap();
    assert_eq!(
        config.plugins[0].config.value(),
        &json!({
            "list": ["hunter2", { "deep": "KEY" }],
            "rules": ["one", "two"],
            "none": { "env": "TOKEN", "file": "two keys" },
        })
    );
    let names = ["gateway.toml", "key.pem", "rules", "rules/a", "rules/b"];
    assert_eq!(config.inputs, names.map(|name| folder.path().join(name)));
}

#[test]
fn load_reports_a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let problems = load(&file).unwrap_err().to_string();
    assert!(problems.starts_with("error: cannot read `"), "{problems}");
    fs::write(&file, EXAMPLE.replace("{ env = \"TOKEN\" }", "'x'")).unwrap();
    assert_eq!(load(&file).unwrap().routes.len(), 1);
    fs::write(&file, " ".repeat(1 + (1 << 20))).unwrap();
    assert!(
        load(&file)
            .unwrap_err()
            .to_string()
            .contains("is larger than 1048576 bytes")
    );
}

#[test]
fn the_number_of_problems_is_bounded() {
    let text: String = (0..5000).map(|number| format!("a{number} = 1\n")).collect();
    let problems = errors(&text);
    assert_eq!(problems.0.len(), 201);
    assert_eq!(
        problems.0[200].message,
        "only the first 200 problems found are shown"
    );
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
    let key = ["a"; 70].join(".");
    let open = format!("{key} = {{ ").repeat(70);
    let text = format!("[plugins.p.config]\n{open}b = 1{}", " }".repeat(70));
    insta::assert_snapshot!(errors(&text).0[0].message, @"`config` is nested deeper than 64 levels");
    let text = format!("{open}b = 1{}", " }".repeat(70));
    assert_eq!(errors(&text).0.len(), 1);
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        drop(parse(Path::new("gateway.toml"), &text, &environment()));
    }

    #[test]
    fn no_change_of_the_example_panics(
        start in 0..EXAMPLE.len(),
        length in 0usize..40,
        insert in r#"[a-z0-9 ='"\[\]{}.\n,é-]{0,12}"#,
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, insert.bytes());
        drop(parse(Path::new("gateway.toml"), &String::from_utf8_lossy(&bytes), &environment()));
    }

    #[test]
    fn no_value_for_a_known_key_panics(
        key in "(gateway|listeners.a|plugins.a|upstreams.a|routes|pipelines|include)(.(limits|log|match|config|allow|x))?\
                .(address|pipeline|cpu|max-body|host|headers|endpoints|upstream|plugin|routers|pipeline|any|wasm|name|sha256|workers)",
        value in r#"(-?[0-9]{1,20}|nan|true|'[^'\n]{0,10}'|\[('[a-z:0-9]{0,8}', ?){0,3}\]|\{ ?((env|file|files|plugin|config|x) = ('[A-Z]{0,3}'|1)(, )?){0,2}\}|2020-01-01)"#,
    ) {
        drop(parse(Path::new("/nowhere/gateway.toml"), &format!("{key} = {value}\n"), &environment()));
    }
}
