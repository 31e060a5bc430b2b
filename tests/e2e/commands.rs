//! The commands of the binary.

mod bench;
mod explain;
mod schema;
mod test;

use std::fs;
use std::process::Output;

use portcullis_tests::gateway::binary::{portcullis, portcullis_with};
use portcullis_tests::{Gateway, artifact};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with `gateway.toml` and these components in `plugins/`.
fn folder(toml: &str, components: &[&str]) -> TempDir {
    let folder = TempDir::with_prefix("portcullis-command-").unwrap();
    fs::write(folder.path().join("gateway.toml"), toml).unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for name in components {
        let to = folder.path().join("plugins").join(format!("{name}.wasm"));
        fs::copy(artifact::plugin(name), to).unwrap();
    }
    folder
}

/// What a command wrote, and its exit code.
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

async fn check(folder: &TempDir) -> Said {
    portcullis(&["check", "--config", "gateway.toml"], folder.path())
        .await
        .into()
}

const GOOD: &str = "\
[listeners.public]
address = '127.0.0.1:0'

[upstreams.up]
endpoints = ['127.0.0.1:9']

[[routes]]
name = 'all'
upstream = 'up'
";

#[tokio::test]
async fn a_good_configuration_is_good() {
    let toml = format!(
        "{GOOD}pipeline = ['auth-key']\n[plugins.auth-key]\nconfig = {{ keys = {{ acme = 'k' }} }}\n\
         allow = {{ attributes = ['auth.'] }}\n"
    );
    let said = check(&folder(&toml, &["auth-key"])).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out, "gateway.toml: good (1 routes, 1 plugin entries)\n");
}

#[tokio::test]
async fn all_problems_are_shown_at_once_with_their_places() {
    let toml = "[listeners.public]\naddress = 'here'\nlimit = {}\n[upstreams.up]\nendpoints = []\n\
                [[routes]]\nname = 'a'\nupstream = 'upp'\ntimeout = '1.5s'\n\
                [[routes]]\nname = 'a'\nmatch = { path = 'x', methods = ['get'] }\nupstream = 'up'\npipeline = ['none']\n";
    let said = check(&folder(toml, &[])).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    for place in [
        "2:11", "3:1", "5:1", "8:12", "9:11", "11:8", "12:18", "12:34", "14:13",
    ] {
        assert!(
            said.err.contains(&format!("--> gateway.toml:{place}\n")),
            "{place} in {}",
            said.err
        );
    }
    assert_eq!(said.err.matches("error: ").count(), 9, "{}", said.err);
    assert!(said.err.contains("did you mean `limits`?"), "{}", said.err);
}

#[tokio::test]
async fn a_syntax_error_has_its_place() {
    let said = check(&folder("[listeners.public\naddress = 1\n", &[])).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.starts_with("error: ") && said.err.contains("--> gateway.toml:1:"),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let folder = folder(GOOD, &[]);
    for command in ["check", "run"] {
        let said: Said = portcullis(&[command, "--config", "other.toml"], folder.path())
            .await
            .into();
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains("other.toml"), "{}", said.err);
    }
}

#[tokio::test]
async fn what_is_doubtful_is_said_and_does_not_fail() {
    let toml = format!(
        "[gateway]\nadmin = '0.0.0.0:0'\n{GOOD}[[routes]]\nname = 'never'\nupstream = 'up'\nmatch = {{ path = '/x' }}\n\
         [[routes]]\nname = 'never-either'\nupstream = 'up'\nmatch = {{ path = '/x', methods = [] }}\n"
    );
    let toml = toml.replace(", methods = []", "");
    let said = check(&folder(&toml, &[])).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err
            .contains("warning: the admin address is not a loopback address\n --> gateway.toml:2:9")
    );
    assert!(
        said.err
            .contains("warning: no request can reach route `never-either`: `never` takes them all"),
        "{}",
        said.err
    );
    assert!(said.out.contains("good (3 routes"), "{}", said.out);
}

#[tokio::test]
async fn what_nothing_uses_and_nothing_reaches_is_said_with_its_place() {
    let toml = format!(
        "include = ['more/*.toml', 'none/*.toml']\n{GOOD}[plugins.mock]\n[pipelines]\nbase = []\n[upstreams.other]\nendpoints = ['127.0.0.1:9']\n"
    );
    let folder = folder(&toml, &["mock"]);
    fs::create_dir(folder.path().join("more")).unwrap();
    let never = "[[routes]]\nname = 'never'\nupstream = 'up'\n";
    fs::write(folder.path().join("more/never.toml"), never).unwrap();
    let said = check(&folder).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    for (message, place) in [
        ("`none/*.toml` matches no file", "gateway.toml:1:27"),
        ("nothing uses plugin entry `mock`", "gateway.toml:11:10"),
        ("nothing uses pipeline `base`", "gateway.toml:13:1"),
        ("nothing uses upstream `other`", "gateway.toml:14:12"),
        (
            "no request can reach route `never`: `all` takes them all",
            "more/never.toml:1:1",
        ),
    ] {
        let shown = format!("warning: {message}\n");
        let (_, rest) = said
            .err
            .split_once(&shown)
            .unwrap_or_else(|| panic!("{message} in {}", said.err));
        assert!(
            rest.trim_start().starts_with(&format!("--> {place}\n")),
            "{place} in {rest}"
        );
    }
    assert!(
        said.err.contains("help: `all` is at gateway.toml:8:1"),
        "{}",
        said.err
    );
    assert_eq!(said.err.matches("warning: ").count(), 5, "{}", said.err);
    assert!(
        said.out.contains("good (2 routes, 1 plugin entries)"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn a_router_that_is_none_is_doubtful() {
    let toml = format!("{GOOD}[gateway]\nrouters = ['mock']\n[plugins.mock]\n");
    let said = check(&folder(&toml, &["mock"])).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let warning =
        "warning: plugin entry `mock` is one of `routers`, but has no hook `router`\n --> gateway.toml:12:10";
    assert!(said.err.contains(warning), "{}", said.err);
}

#[tokio::test]
async fn what_does_not_fit_a_plugins_schema_is_shown_with_its_line_and_without_its_value() {
    let toml = format!(
        "{GOOD}pipeline = ['auth-key']\n\n[plugins.auth-key]\nallow = {{ attributes = ['auth.'] }}\n\n\
         [plugins.auth-key.config]\nkeys = {{ acme = 'hunter2', other = 5 }}\nheader = 7\nhidden = 'hunter3'\n"
    );
    let said = check(&folder(&toml, &["auth-key"])).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("error: plugin entry `auth-key`: "),
        "{}",
        said.err
    );
    for line in [15, 16, 17] {
        assert!(
            said.err.contains(&format!("--> gateway.toml:{line}:")),
            "{line} in {}",
            said.err
        );
    }
    assert!(
        said.err.contains("1 of 1 plugin entries cannot run"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("hunter"), "{}", said.err);
}

#[tokio::test]
async fn what_a_reference_brings_in_is_never_shown() {
    let toml = format!(
        "{GOOD}timeout = {{ env = 'TEST_SECRET' }}\nmatch = {{ host = {{ file = 'secret.txt' }} }}\n\
         pipeline = ['auth-key']\n[plugins.auth-key]\nconfig = {{ keys = {{ env = 'TEST_SECRET' }} }}\n"
    );
    let folder = folder(&toml, &["auth-key"]);
    fs::write(folder.path().join("secret.txt"), "hunter2 in a file").unwrap();
    let arguments = ["check", "--config", "gateway.toml"];
    let variables = [("TEST_SECRET", "hunter2 in the environment")];
    let said: Said = portcullis_with(&arguments, folder.path(), &variables)
        .await
        .into();
    assert_eq!(said.code, Some(1));
    for place in ["10:11", "11:18"] {
        assert!(
            said.err.contains(&format!("gateway.toml:{place}")),
            "{place} in {}",
            said.err
        );
    }
    assert!(!said.err.contains("hunter2"), "{}", said.err);

    // Without the two, the plugin's own complaint is left.
    let toml = toml.replace(
        "timeout = { env = 'TEST_SECRET' }\nmatch = { host = { file = 'secret.txt' } }\n",
        "",
    );
    fs::write(folder.path().join("gateway.toml"), toml).unwrap();
    let said: Said = portcullis_with(&arguments, folder.path(), &variables)
        .await
        .into();
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("plugin entry `auth-key`"), "{}", said.err);
    assert!(!said.err.contains("hunter2"), "{}", said.err);

    let said = check(&folder).await;
    assert!(
        said.err.contains("environment variable `TEST_SECRET` is not set"),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn a_component_that_cannot_run_fails_the_check() {
    let cases: [(&str, Option<Vec<u8>>, &str); 4] = [
        ("absent", None, "absent.wasm"),
        ("text", Some(b"not wasm".to_vec()), "plugin entry `text`"),
        ("empty", Some(Vec::new()), "plugin entry `empty`"),
        (
            "misfit",
            Some(fs::read(artifact::guest("misfit")).unwrap()),
            "plugin entry `misfit`",
        ),
    ];
    for (name, bytes, part) in cases {
        let toml = format!("{GOOD}pipeline = ['{name}']\n[plugins.{name}]\n");
        let folder = folder(&toml, &[]);
        if let Some(bytes) = bytes {
            fs::write(folder.path().join("plugins").join(format!("{name}.wasm")), bytes).unwrap();
        }
        let said = check(&folder).await;
        assert_eq!(said.code, Some(1), "{name}");
        assert!(said.err.contains(part), "{name}: {}", said.err);
        assert!(said.err.contains("--> gateway.toml:11:"), "{name}: {}", said.err);
    }
}

async fn inspect(name: &str) -> (Said, u64) {
    let path = artifact::plugin(name);
    let size = fs::metadata(&path).unwrap().len();
    let said = portcullis(&["inspect", path.to_str().unwrap()], path.parent().unwrap()).await;
    (said.into(), size)
}

/// The rest of the line that begins with this word.
fn line<'a>(text: &'a str, word: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("no {word} in {text}")).trim()
}

#[tokio::test]
async fn inspect_shows_what_a_plugin_is() {
    for (name, hooks) in [("auth-key", "on-request"), ("mock", "responder")] {
        let (said, size) = inspect(name).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        assert!(
            line(&said.out, "plugin ").starts_with(&format!("{name} ")),
            "{}",
            said.out
        );
        assert!(
            line(&said.out, "file ").ends_with(&format!("({size} bytes)")),
            "{}",
            said.out
        );
        let hash = line(&said.out, "sha256 ");
        assert!(
            hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{hash}"
        );
        assert_eq!(line(&said.out, "hooks "), hooks);
        assert!(
            line(&said.out, "imports ")
                .split(", ")
                .any(|import| import == "exchange")
        );
        let (_, schema) = said.out.split_once("schema   ").unwrap();
        let schema: Value = serde_json::from_str(schema).unwrap();
        assert_eq!(schema["type"], "object");
        assert!(schema["properties"].is_object());
    }
    let (said, _) = inspect("auth-key").await;
    assert!(said.out.contains("label    security"), "{}", said.out);
}

#[tokio::test]
async fn inspect_says_why_a_file_is_no_plugin() {
    let folder = folder(GOOD, &["mock"]);
    let whole = fs::read(folder.path().join("plugins/mock.wasm")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("text.wasm", b"not wasm");
    write("empty.wasm", b"");
    write("half.wasm", &whole[..whole.len() / 2]);
    write("module.wasm", b"\0asm\x01\0\0\0");
    write("misfit.wasm", &fs::read(artifact::guest("misfit")).unwrap());
    for name in [
        "text.wasm",
        "empty.wasm",
        "half.wasm",
        "module.wasm",
        "misfit.wasm",
        "absent.wasm",
        "plugins",
    ] {
        let said: Said = portcullis(&["inspect", name], folder.path()).await.into();
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{name}");
        assert!(said.err.starts_with(&format!("{name}: ")), "{name}: {}", said.err);
        assert!(!said.err.contains("panicked"), "{name}: {}", said.err);
    }
}

#[tokio::test]
async fn a_broken_configuration_keeps_the_gateway_from_starting_and_says_why() {
    let toml = GOOD.replace("upstream = 'up'", "upstream = 'down'\ntimeout = 3");
    let folder = folder(&toml, &[]);
    let said: Said = portcullis(&["run", "--config", "gateway.toml"], folder.path())
        .await
        .into();
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    for part in [
        "error: unknown upstream `down`",
        "--> gateway.toml:9:12",
        "--> gateway.toml:10:11",
    ] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
}

#[tokio::test]
async fn an_address_in_use_keeps_the_gateway_from_starting() {
    let first = Gateway::new().start().await;
    let toml = GOOD.replace("127.0.0.1:0", &first.address().to_string());
    let folder = folder(&toml, &[]);
    let said: Said = portcullis(&["run", "--config", "gateway.toml"], folder.path())
        .await
        .into();
    assert_eq!(said.code, Some(1));
    let message = format!("cannot listen on {}", first.address());
    assert!(said.err.contains(&message), "{}", said.err);
    first.shutdown().await;
}

#[tokio::test]
async fn the_environment_has_the_last_word_on_the_number_of_workers() {
    for (variable, workers) in [(Some(3), 3), (None, 2)] {
        let gateway = Gateway::new()
            .gateway("workers = 2")
            .workers(variable)
            .start_binary()
            .await;
        assert_eq!(gateway.status().await["workers"], workers);
        gateway.shutdown().await;
    }
    let folder = folder(GOOD, &[]);
    for text in ["0", "-1", "many", "", "1025"] {
        let arguments = ["run", "--config", "gateway.toml"];
        let said: Said = portcullis_with(&arguments, folder.path(), &[("PORTCULLIS_WORKERS", text)])
            .await
            .into();
        assert_eq!(said.code, Some(1), "{text:?}");
        assert!(said.err.contains("PORTCULLIS_WORKERS"), "{}", said.err);
    }
}

#[tokio::test]
async fn what_is_no_command_shows_the_usage() {
    let folder = folder(GOOD, &[]);
    for arguments in [
        &[][..],
        &["walk"],
        &["run"],
        &["check", "gateway.toml"],
        &["inspect"],
    ] {
        let said: Said = portcullis(arguments, folder.path()).await.into();
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.err.contains("Usage: portcullis"), "{}", said.err);
    }
    let said: Said = portcullis(&["--version"], folder.path()).await.into();
    assert_eq!(said.code, Some(0));
    assert!(said.out.starts_with("portcullis "), "{}", said.out);
}

/// Blocks of a language in a Markdown document.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let parts = document.split(fence.as_str()).skip(1);
    parts.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[tokio::test]
async fn the_readmes_configuration_is_good_and_its_mistake_is_shown_as_it_says() {
    let readme = include_str!("../../README.md");
    let [configuration] = blocks(readme, "toml")[..] else {
        panic!("one block of TOML")
    };
    let folder = folder(configuration, &["auth-key"]);
    let environment = [("ACME_KEY", "k-1")];
    let arguments = ["check", "--config", "gateway.toml"];
    let said: Said = portcullis_with(&arguments, folder.path(), &environment)
        .await
        .into();
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);

    let wrong = configuration.replace("prefix = ", "prefx = ");
    fs::write(folder.path().join("gateway.toml"), wrong).unwrap();
    let said: Said = portcullis_with(&arguments, folder.path(), &environment)
        .await
        .into();
    assert_eq!(said.code, Some(1));
    let [shown] = blocks(readme, "text")[..] else {
        panic!("one block of text")
    };
    assert!(
        said.err.contains(shown.trim()),
        "README shows:\n{shown}\nthe program says:\n{}",
        said.err
    );
}
