//! `portcullis bench`: that it measures what is there. What it measures is this machine's.

use portcullis_tests::artifact;
use portcullis_tests::gateway::binary::portcullis;
use serde_json::Value;
use tempfile::TempDir;

use super::Said;

async fn bench(arguments: &[&str], file: (&str, &str)) -> Said {
    let folder = TempDir::with_prefix("portcullis-bench-").unwrap();
    std::fs::write(folder.path().join(file.0), file.1).unwrap();
    let mut all = vec!["bench", "--time", "50ms"];
    all.extend(arguments);
    portcullis(&all, folder.path()).await.into()
}

fn figures(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

#[tokio::test]
async fn every_hook_that_a_plugin_exports_is_measured() {
    let probe = artifact::guest("probe");
    let said = bench(&[probe.to_str().unwrap(), "--json"], ("unused", "")).await;
    let figures = figures(&said);
    let hooks: Vec<&str> = figures["hooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hook| hook["hook"].as_str().unwrap())
        .collect();
    for hook in [
        "on-request",
        "on-request-body",
        "on-response",
        "on-response-body",
        "on-error",
        "on-finish",
        "responder",
    ] {
        assert!(hooks.contains(&hook), "{hook} in {hooks:?}");
    }
    for hook in figures["hooks"].as_array().unwrap() {
        let number = |key: &str| hook[key].as_u64().unwrap();
        assert!(
            number("fastest-ns") <= number("median-ns") && number("median-ns") > 0,
            "{hook}"
        );
        assert!(number("calls") >= 320, "{hook}");
    }
    assert!(figures["linear-bytes"].as_u64().unwrap() >= 65_536);
    assert!(figures["fresh-ns"].as_u64() > figures["reused-ns"].as_u64());
}

#[tokio::test]
async fn the_configuration_comes_from_a_file_or_from_a_case() {
    let gate = artifact::guest("gate");
    let gate = gate.to_str().unwrap();
    let verdict = |said: &Said| figures(said)["hooks"][0]["verdict"].clone();
    let toml = ("config.toml", "keys = { secret = 'acme' }\n");
    let said = bench(&[gate, "--json", "--config", "config.toml"], toml).await;
    assert_eq!(verdict(&said), "refuse");
    let json = ("config.json", "{\"keys\": {\"secret\": \"acme\"}}");
    let said = bench(&[gate, "--json", "--config", "config.json"], json).await;
    assert_eq!(verdict(&said), "refuse");
    let cases = (
        "cases.toml",
        "[plugin]\nconfig = { keys = { secret = 'acme' } }\n[[cases]]\nname = 'known'\n\
         request = { headers = { x-api-key = 'secret' } }\n",
    );
    let said = bench(&[gate, "--json", "--cases", "cases.toml"], cases).await;
    assert_eq!(verdict(&said), "next");
}

#[tokio::test]
async fn a_table_is_for_people_and_a_wrong_configuration_is_shown() {
    let limit = artifact::plugin("rate-limit");
    let limit = limit.to_str().unwrap();
    let file = ("config.toml", "limit = 1000000\nperiod = '1s'\n");
    let said = bench(&[limit, "--config", "config.toml"], file).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.starts_with("plugin    rate-limit ") && said.out.contains("\non-request "),
        "{}",
        said.out
    );
    let said = bench(
        &[limit, "--config", "config.toml"],
        ("config.toml", "limit = 'x'\n"),
    )
    .await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("config.toml:1:"), "{}", said.err);
}
