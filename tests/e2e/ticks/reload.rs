//! Ticks across reloads: only the newest version ticks, and never beside the one before.

use portcullis_tests::Gateway;
use portcullis_tests::gateway::folder::with_another_hash;
use portcullis_tests::patience::eventually;

use super::{toml, until};

#[tokio::test]
async fn after_a_reload_only_the_new_version_ticks_and_what_ticks_left_is_kept() {
    let gateway = Gateway::new()
        .guest("metronome")
        .workers(2)
        .toml(&toml("mark = 'v0'", "tick = '10ms'"))
        .start()
        .await;
    let mut before = until(&gateway, |told| told.all >= 3).await;
    for round in 1..=5 {
        let mark = format!("v{round}");
        gateway.write_toml(&toml(&format!("mark = '{mark}'"), "tick = '10ms'"));
        let first = until(&gateway, |told| told.mark == mark).await;
        assert!(
            first.all > before.all,
            "the count goes on: {first:?} after {before:?}"
        );
        // Were another one still ticking, its mark would come back.
        for ticks in 2..=6 {
            let next = until(&gateway, |told| {
                told.own >= first.own + ticks || told.mark != mark
            })
            .await;
            assert_eq!(next.mark, mark);
            before = next;
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_long_call_of_the_version_before_ends_before_the_new_version_begins() {
    let keys = "tick = '10ms'\ntick-cpu = '10s'";
    let gateway = Gateway::new()
        .guest("metronome")
        .toml(&toml("mark = 'slow', millis = 300", keys))
        .start()
        .await;
    until(&gateway, |told| told.mark == "slow").await;
    gateway.write_toml(&toml("mark = 'quick'", keys));
    // `until` fails on an overlap.
    let quick = until(&gateway, |told| told.mark == "quick" && told.own >= 3).await;
    assert!(quick.all > quick.own, "{quick:?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_entry_that_goes_stops_and_one_that_comes_back_ticks_again() {
    let with = "[plugins.clock]\nwasm = 'metronome'\ntick = '10ms'\n";
    let gateway = Gateway::new().guest("metronome").toml(with).start().await;
    let ticks = |status: &serde_json::Value| {
        let plugins = status["plugins"].as_array().unwrap();
        let clock = plugins.iter().find(|plugin| plugin["name"] == "clock");
        clock.is_some_and(|clock| clock["tick"]["calls"].as_u64() >= Some(2))
    };
    gateway.wait_for(ticks).await;
    gateway.write_toml("");
    eventually("no instance any more", async || {
        let alive = gateway
            .metric("portcullis_plugin_instances{plugin=\"clock\"}")
            .await;
        (alive == Some(0.0)).then_some(())
    })
    .await;
    gateway.write_toml(with);
    gateway.wait_for(ticks).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_new_component_takes_over() {
    let gateway = Gateway::new()
        .guest("metronome")
        .toml(&toml("mark = 'a'", "tick = '10ms'"))
        .start()
        .await;
    let before = until(&gateway, |told| told.own >= 3).await;
    let bytes = gateway.plugin_bytes("metronome");
    gateway.replace_plugin("metronome", &with_another_hash(&bytes, "two"));
    let after = until(&gateway, |told| told.own < told.all).await;
    assert!(after.all > before.all, "{after:?}");
    gateway.shutdown().await;
}
