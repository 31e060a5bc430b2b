//! `portcullis test`: case files, through plugins in every language, without a gateway.

use std::path::Path;

use portcullis_tests::artifact;
use portcullis_tests::gateway::binary::portcullis;
use tempfile::TempDir;

use super::Said;

/// The cases of this text, in a file called `cases.toml`.
async fn test(component: &Path, cases: &str, more: &[&str]) -> Said {
    let folder = TempDir::with_prefix("portcullis-test-").unwrap();
    std::fs::write(folder.path().join("cases.toml"), cases).unwrap();
    let mut arguments = vec!["test", component.to_str().unwrap(), "cases.toml"];
    arguments.extend(more);
    portcullis(&arguments, folder.path()).await.into()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[tokio::test]
async fn the_cases_of_every_shipped_plugin_pass() {
    let mut tested = Vec::new();
    for plugin in std::fs::read_dir(root().join("plugins")).unwrap() {
        let (folder, name) = plugin
            .map(|plugin| (plugin.path(), plugin.file_name().into_string().unwrap()))
            .unwrap();
        let Ok(cases) = std::fs::read_to_string(folder.join("cases.toml")) else {
            continue;
        };
        let said = test(&artifact::plugin(&name), &cases, &[]).await;
        assert_eq!(said.code, Some(0), "{name}: {}{}", said.out, said.err);
        tested.push(name);
    }
    tested.sort();
    assert_eq!(
        tested,
        ["auth-key", "cors", "rate-limit", "transform", "validate"]
    );
}

/// The blocks of the document that are case files.
fn examples() -> Vec<&'static str> {
    let document = include_str!("../../../docs/testing-plugins.md");
    let blocks = document.split("```toml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .filter(|block| block.contains("[[cases]]"))
        .collect()
}

#[tokio::test]
async fn the_example_of_the_document_passes() {
    let examples = examples();
    assert_eq!(examples.len(), 1);
    let said = test(&artifact::plugin("auth-key"), examples[0], &[]).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
}

/// Hooks of both sides, stores, the log and errors; see `tests/guests/README.md`.
const PROBE: &str = r#"
[[cases]]
name = "a line of the log"
request = { headers = { x-case = "log", x-arg = "hello" } }
response = {}
expect = { log = ['info probe logs arg="hello"'], verdicts = { on-request = "next" } }

[[cases]]
name = "the responder"
request = { method = "POST", target = "/a?b", body = "abc" }
expect = { verdicts = { responder = "reply" }, json = { method = "POST", path = "/a", body-length = 3 }, forwarded = false }

[[cases]]
name = "steps share the plugin's stores"
steps = [
    { request = { headers = { x-case = "finish", x-arg = "1" } }, response = { body = "hello" }, expect = { verdicts = { on-finish = "done" } } },
    { request = { headers = { x-case = "finished", x-arg = "1" } }, expect = { body = "200 5 false" } },
]

[[cases]]
name = "cases do not"
request = { headers = { x-case = "finished", x-arg = "1" } }
expect = { body = "none" }

[[cases]]
name = "bodies"
request = { method = "PUT", headers = { x-case = "body-upper" }, body = "abc" }
response = {}
expect = { upstream = { body = "ABC", method = "PUT" }, verdicts = { on-request-body = "replace" } }

[[cases]]
name = "errors"
request = { headers = { x-case = "error-replace", x-arg = "refuse" } }
expect = { status = 503, verdicts = { on-request = "refuse", on-error = "replace" }, body = "probe saw 418" }
"#;

#[tokio::test]
async fn the_same_cases_pass_in_every_language() {
    for guest in ["probe", "probe-py", "probe-js"] {
        let said = test(&artifact::guest(guest), PROBE, &[]).await;
        assert_eq!(said.code, Some(0), "{guest}: {}{}", said.out, said.err);
        assert!(said.out.ends_with("6 passed, 0 failed\n"), "{}", said.out);
    }
}

#[tokio::test]
async fn everything_that_is_not_as_expected_is_shown_at_once_with_its_place() {
    let cases = "\
[[cases]]
name = 'wrong'
request = { headers = { x-case = 'set-headers' } }
response = { body = 'a' }
[cases.expect]
status = 201
body = 'b'
headers = { x-c = '1' }
log = ['nothing']
[cases.expect.verdicts]
on-request = 'refuse'
[cases.expect.upstream]
target = '/x'
headers = { x-probe = false }

[[cases]]
name = 'right'
request = {}
response = {}
";
    let said = test(&artifact::guest("probe"), cases, &[]).await;
    assert_eq!(said.code, Some(1));
    for (place, text) in [
        ("6:1", "status: expected `201`, found `200`"),
        ("7:1", "the body of the response is another"),
        ("8:13", "field `x-c` of the response: expected `1`, found none"),
        ("9:8", "no line of the log holds `nothing`"),
        ("11:1", "verdict of on-request: expected `refuse`, found `next`"),
        ("13:1", "target to the upstream: expected `/x`, found `/`"),
        (
            "14:13",
            "field `x-probe` of the request to the upstream: expected none, found `1`",
        ),
    ] {
        let text = text.replace("`201`, found `200`", "201, found 200");
        assert!(
            said.out.contains(&format!("error: {text}\n"))
                && said.out.contains(&format!("--> cases.toml:{place}\n")),
            "{place} {text} in {}",
            said.out
        );
    }
    assert!(said.out.contains("- b\n+ a\n"), "{}", said.out);
    assert!(
        said.out.ends_with("ok    right\n1 passed, 1 failed\n"),
        "{}",
        said.out
    );
    let said = test(&artifact::guest("probe"), cases, &["--filter", "right"]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "ok    right\n1 passed, 0 failed\n")
    );
}

#[tokio::test]
async fn a_fault_fails_a_case_that_does_not_expect_it() {
    let cases = |expect: &str| {
        format!(
            "[plugin]\nconfig = {{ hook = 'on-request', fault = 'panic' }}\n[[cases]]\nname = 'a'\n\
             response = {{}}\nexpect = {{ {expect} }}\n"
        )
    };
    let rogue = artifact::guest("rogue");
    let said = test(&rogue, &cases("status = 503"), &[]).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.out.contains("the plugin failed: panic in on-request"),
        "{}",
        said.out
    );
    let said = test(
        &rogue,
        &cases(
            "fault = 'panic', verdicts = { on-request = 'fault' }, code = 'plugin-fault', forwarded = false",
        ),
        &[],
    )
    .await;
    assert_eq!(said.code, Some(0), "{}", said.out);
}

#[tokio::test]
async fn what_cannot_be_run_has_another_exit_code() {
    let probe = artifact::guest("probe");
    let said = test(&probe, "[[cases]]\nname = 'a'\nexpects = {}\n[case]\n", &[]).await;
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("--> cases.toml:3:1\n") && said.err.contains("--> cases.toml:4:2\n"),
        "{}",
        said.err
    );
    let case = "[[cases]]\nname = 'a'\n";
    let said = test(&probe, case, &["--filter", "b"]).await;
    assert_eq!(
        (said.code, said.err.as_str()),
        (Some(2), "cases.toml: there is no such case\n")
    );
    let said = test(Path::new("cases.toml"), case, &[]).await;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("not a WebAssembly component"), "{}", said.err);
}
