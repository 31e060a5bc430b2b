//! Ticks that fail: each costs its instance and puts the next off, and no request notices.

use portcullis_tests::{Answer, Gateway, Upstream};

use super::{told, toml};

/// Each fault with the kind that it is counted as.
const FAULTS: [(&str, &str); 6] = [
    ("trap", "trap"),
    ("panic", "panic"),
    ("spin", "cpu"),
    ("late", "cpu"),
    ("memory", "memory"),
    ("stack", "stack"),
];

fn entry(fault: &str, keys: &str) -> String {
    format!(
        "[plugins.{fault}]\nwasm = 'rogue'\nconfig = {{ hook = 'on-tick', fault = '{fault}', millis = 60000 }}\n\
         tick = '10ms'\nmax-memory = '4MiB'\n{keys}\n\
         [[routes]]\nname = '{fault}'\nmatch = {{ prefix = '/{fault}' }}\npipeline = ['{fault}']\nupstream = 'main'\n"
    )
}

#[tokio::test]
async fn every_fault_is_counted_as_what_it_is_and_requests_through_the_entry_go_on() {
    let main = Upstream::fixed(200, &[], "answer");
    let entries: String = FAULTS
        .iter()
        .map(|(fault, _)| entry(fault, "tick-cpu = '50ms'"))
        .collect();
    let gateway = Gateway::new()
        .guest("rogue")
        .guest("metronome")
        .upstream("main", &main)
        .toml("[plugins.rogue]\nconfig = { hook = 'on-request', fault = 'none' }\n")
        .toml("[plugins.metronome]\nconfig = { mark = 'a' }\ntick = '10ms'\n")
        .toml("[[routes]]\nname = 'ticks'\nmatch = { prefix = '/ticks' }\npipeline = ['metronome']\nupstream = 'main'\n")
        .toml(&entries)
        .workers(2)
        .start()
        .await;
    for (fault, kind) in FAULTS {
        let failed = |status: &serde_json::Value| {
            let plugins = status["plugins"].as_array().unwrap();
            let entry = plugins.iter().find(|plugin| plugin["name"] == fault).unwrap();
            entry["tick"]["faults"].as_u64() >= Some(2) && entry["tick"]["backing-off-until"].is_string()
        };
        let status = gateway.wait_for(failed).await;
        let plugins = status["plugins"].as_array().unwrap();
        let entry = plugins.iter().find(|plugin| plugin["name"] == fault).unwrap();
        assert_eq!(entry["state"], "active", "{entry}");
        let last = entry["tick"]["last"]["fault"].as_str().unwrap();
        assert!(last.starts_with(&format!("{kind} in on-tick: ")), "{last}");
        let series =
            format!("portcullis_plugin_faults_total{{plugin=\"{fault}\",hook=\"on-tick\",kind=\"{kind}\"}}");
        assert!(gateway.metric(&series).await >= Some(2.0), "{fault}");
        let answer = gateway.get(&format!("/{fault}")).await;
        assert_eq!((answer.status, answer.text()), (200, "answer"), "{fault}");
    }
    // Another entry's ticks go on beside the loops.
    let before = told(&gateway.get("/ticks").await).unwrap();
    let more = |answer: &Answer| told(answer).is_some_and(|told| told.own >= before.own + 3);
    gateway.wait_for_answer("/ticks", more).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_tick_that_never_ends_holds_up_neither_a_reload_nor_the_end() {
    let main = Upstream::fixed(200, &[], "answer");
    let keys = "tick-cpu = '60s'\ntick-timeout = '1h'";
    let gateway = Gateway::new()
        .guest("rogue")
        .upstream("main", &main)
        .toml("[plugins.rogue]\nconfig = { hook = 'on-request', fault = 'none' }\n")
        .toml(&entry("spin", keys))
        .start()
        .await;
    let created = "portcullis_plugin_instances{plugin=\"spin\"}";
    portcullis_tests::patience::eventually("an instance that ticks", async || {
        // Each of the workers has one, too.
        (gateway.metric(created).await >= Some(2.0)).then_some(())
    })
    .await;
    let none = "[plugins.rogue]\nconfig = { hook = 'on-request', fault = 'none' }\n";
    gateway.write_toml(&format!("{none}{}", entry("trap", "")));
    gateway
        .wait_for(|status| {
            let plugins = status["plugins"].as_array().unwrap();
            plugins
                .iter()
                .any(|plugin| plugin["tick"]["faults"].as_u64() >= Some(1))
        })
        .await;
    assert_eq!(gateway.get("/trap").await.status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn there_is_no_exchange_in_a_tick() {
    let gateway = Gateway::new()
        .guest("metronome")
        .toml(&toml("mark = 'a', deed = 'exchange'", "tick = '10ms'"))
        .start()
        .await;
    let status = gateway
        .wait_for(|status| status["plugins"][0]["tick"]["faults"].as_u64() >= Some(1))
        .await;
    let fault = status["plugins"][0]["tick"]["last"]["fault"].as_str().unwrap();
    assert!(fault.contains("outside an exchange"), "{fault}");
    gateway.shutdown().await;
}
