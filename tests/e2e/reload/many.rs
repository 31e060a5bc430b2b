//! Many reloads in a row under load: no failed or wrong answer, and memory that stays flat.

use std::fs;

use portcullis_tests::gateway::folder::with_another_hash;
use portcullis_tests::{Answer, BinaryGateway, Load, Request};

use super::{entry, hello, is, runs, toml};

/// Rounds of four reloads each.
const ROUNDS: usize = 50;
/// Reloads after which memory has to stay flat.
const SETTLED: usize = 50;
/// How flat: most that it may grow beyond what it was then, in per cent.
const GROWTH: u64 = 10;

#[tokio::test]
async fn two_hundred_reloads_under_load_fail_nothing_and_keep_memory_flat() {
    let (_upstream, builder) = hello("version 0");
    let gateway = builder.gateway("cache-dir = \"cache\"").start_binary().await;
    let original = gateway.plugin_bytes("mock");
    let judge = |answer: &Answer| match (answer.status, answer.text().strip_prefix("version ")) {
        (200, Some(number)) if number.parse::<usize>().is_ok_and(|number| number <= ROUNDS) => Ok(()),
        (status, _) => Err(format!("{status}: {}", answer.text())),
    };
    let hello = Load::new(gateway.address(), Request::get("/hello"))
        .connections(2)
        .check(judge)
        .start();
    let plain = Load::new(gateway.address(), Request::get("/plain"))
        .connections(1)
        .start();

    let mut settled = 0;
    let mut largest = 0;
    let mut course = Vec::new();
    for round in 1..=ROUNDS {
        // A new version of the plugin.
        let version = with_another_hash(&original, &format!("round {round}"));
        gateway.replace_plugin("mock", &version);
        runs(&gateway, "mock", &version).await;
        // An edit of the TOML.
        let text = format!("version {round}");
        gateway.write_toml(&toml(&text));
        gateway
            .wait_for_answer("/hello", |answer| answer.text() == text)
            .await;
        // A corrupt file in its place, which is removed again.
        gateway.replace_plugin("mock", b"a corrupt file");
        is(&gateway, "mock", "last-good", "magic number").await;
        gateway.remove_plugin("mock");
        is(&gateway, "mock", "last-good", "No such file").await;

        let memory = resident(&gateway);
        course.push(memory >> 10);
        if round * 4 <= SETTLED {
            settled = settled.max(memory);
        } else {
            largest = largest.max(memory);
        }
    }
    let status = gateway.status().await;
    assert_eq!(status["generation"], 4 * ROUNDS + 1);
    assert_eq!(entry(&status, "mock")["faults"], 0);
    for load in [hello, plain] {
        let report = load.stop().await;
        report.expect_no_failure();
        assert!(report.requests >= 4 * ROUNDS as u64, "{report}");
    }
    assert!(
        largest <= settled + settled / 100 * GROWTH,
        "memory grew from {settled} to {largest} bytes; KiB by round: {course:?}"
    );
    gateway.shutdown().await;
}

/// Resident memory of its process, in bytes.
fn resident(gateway: &BinaryGateway) -> u64 {
    let path = format!("/proc/{}/status", gateway.id());
    let status = fs::read_to_string(path).expect("the status of a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.expect("a size in kB") << 10
}
