//! Background work of plugins: the hook `on-tick`.

mod faults;
mod reload;

use portcullis_tests::{Answer, Gateway};

/// The entry `metronome`, its configuration, and a route that tells its ticks.
fn toml(config: &str, keys: &str) -> String {
    format!(
        "[plugins.metronome]\nconfig = {{ {config} }}\n{keys}\n\
         [[routes]]\nname = \"main\"\nmatch = {{ prefix = \"/\" }}\npipeline = [\"metronome\"]\nupstream = \"main\"\n\
         [upstreams.main]\nendpoints = [\"127.0.0.1:9\"]\n"
    )
}

/// What the route tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// Ticks of all instances.
    all: u64,
    /// Ticks of the newest instance.
    own: u64,
    /// Mark of the newest instance.
    mark: String,
}

fn told(answer: &Answer) -> Option<Told> {
    let text = answer.text();
    assert!(!text.contains("overlap"), "{text}");
    let mut words = text.split(' ');
    Some(Told {
        all: words.next()?.parse().ok()?,
        own: words.next()?.parse().ok()?,
        mark: words.next()?.to_owned(),
    })
}

/// Waits until the route tells this.
async fn until(gateway: &Gateway, condition: impl Fn(&Told) -> bool) -> Told {
    let fits = |answer: &Answer| told(answer).is_some_and(|told| condition(&told));
    let answer = gateway.wait_for_answer("/", fits).await;
    told(&answer).expect("it was looked at")
}

#[tokio::test]
async fn one_instance_ticks_for_all_workers_and_requests_see_what_it_found() {
    let gateway = Gateway::new()
        .guest("metronome")
        .workers(2)
        .toml(&toml("mark = 'a'", "tick = '20ms'"))
        .start()
        .await;
    let seen = until(&gateway, |told| told.all >= 5).await;
    assert_eq!(
        (seen.all, seen.mark.as_str()),
        (seen.own, "a"),
        "one instance made them all"
    );
    let status = gateway.status().await;
    let tick = &status["plugins"][0]["tick"];
    assert_eq!(
        (&tick["period-ms"], &tick["faults"]),
        (&20.into(), &0.into()),
        "{tick}"
    );
    assert!(
        tick["calls"].as_u64() >= Some(5) && tick["last"]["at"].is_string(),
        "{tick}"
    );
    assert!(tick["last"].get("fault").is_none(), "{tick}");
    let calls = "portcullis_plugin_calls_total{plugin=\"metronome\",hook=\"on-tick\"}";
    assert!(gateway.metric(calls).await >= Some(5.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_plugins_own_period_holds_where_toml_says_none_and_no_route_is_needed() {
    let gateway = Gateway::new()
        .guest("metronome")
        .toml("[plugins.metronome]\n[plugins.other]\nwasm = 'metronome'\ntick = '10ms'\n")
        .start()
        .await;
    let ticked = |status: &serde_json::Value| {
        let plugins = status["plugins"].as_array().unwrap();
        plugins
            .iter()
            .all(|plugin| plugin["tick"]["calls"].as_u64() >= Some(3))
    };
    let status = gateway.wait_for(ticked).await;
    let periods: Vec<_> = status["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| &plugin["tick"]["period-ms"])
        .collect();
    assert_eq!(periods, [50, 10]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_call_that_is_slower_than_its_period_is_not_overtaken_and_holds_no_request_up() {
    let gateway = Gateway::new()
        .guest("metronome")
        .workers(2)
        .toml(&toml(
            "mark = 'a', millis = 60",
            "tick = '10ms'\ntick-cpu = '10s'",
        ))
        .start()
        .await;
    // `told` fails on an overlap.
    let seen = until(&gateway, |told| told.all >= 4).await;
    assert_eq!(seen.all, seen.own);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_period_without_the_hook_is_warned_of() {
    let gateway = Gateway::new()
        .guest("gate")
        .toml("[plugins.gate]\ntick = '1s'\n")
        .start()
        .await;
    let status = gateway.status().await;
    assert!(status["plugins"][0].get("tick").is_none(), "{status}");
    let logged = gateway.logs();
    assert!(
        logged
            .iter()
            .any(|line| line.message.contains("has no hook `on-tick`")),
        "{logged:?}"
    );
    gateway.shutdown().await;
}
