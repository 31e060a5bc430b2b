//! Plugin `rate-limit`, end to end. Periods are long, so that no cell comes back while a test runs.

use portcullis_tests::patience::eventually;
use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream, client};
use serde_json::json;
use tokio::task::JoinSet;

use super::document;

const README: &str = include_str!("../../../plugins/rate-limit/README.md");

/// `/orders` behind the plugin with this `config`.
fn builder(config: &str) -> GatewayBuilder {
    Gateway::new()
        .plugin("rate-limit")
        .toml(&format!("[plugins.rate-limit]\nconfig = {{ {config} }}\n"))
        .toml(
            r#"
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["rate-limit"]
            upstream = "main"
            "#,
        )
}

/// The statuses that so many clients get, each on a connection of its own, all at the same time.
async fn statuses(gateway: &Gateway, clients: usize, request: &Request) -> Vec<u16> {
    let address = gateway.address();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let request = request.clone();
        running.spawn(async move { client::send(address, &request).await.expect("an answer").status });
    }
    running.join_all().await
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

async fn counted(gateway: &Gateway, limit: &str, outcome: &str) -> Option<f64> {
    let labels = format!("{{plugin=\"rate-limit\",limit=\"{limit}\",outcome=\"{outcome}\"}}");
    gateway
        .metric(&format!("plugin_rate_limit_requests_total{labels}"))
        .await
}

fn told<'a>(answer: &'a Answer, names: &[&str]) -> Vec<Option<&'a str>> {
    names.iter().map(|name| answer.header(name)).collect()
}

const FIELDS: [&str; 6] = [
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
];

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let orders = Upstream::echo();
    let gateway = document::of("rate-limit", README, Some(&orders.address().to_string()))
        .start()
        .await;
    let post = Request::post("/v1/orders", "{}");
    let policy = "\"requests\";q=5;w=3600, \"orders\";q=2;w=3600";

    let answer = gateway.send(&post).await;
    assert_eq!(answer.status, 200);
    let items = "\"requests\";r=4;t=720, \"orders\";r=1;t=3600";
    let wanted = [
        Some(policy),
        Some(items),
        Some("2"),
        Some("1"),
        Some("3600"),
        None,
    ];
    assert_eq!(told(&answer, &FIELDS), wanted);
    assert_eq!(gateway.send(&post).await.status, 200);

    let answer = gateway.send(&post).await;
    assert_eq!((answer.status, answer.problem().as_str()), (429, "rate-limited"));
    assert_eq!(answer.json()["violated-policies"], json!(["orders"]));
    let retry = answer.header("retry-after").expect("a time");
    assert!(
        (3_500..=3_600).contains(&retry.parse::<u32>().expect("seconds")),
        "{retry}"
    );
    assert_eq!(answer.json()["retry-after"].to_string(), retry);
    let item = format!("\"orders\";r=0;t={retry}");
    assert_eq!(answer.header("ratelimit"), Some(item.as_str()));

    // What is only looked at costs no order, and the order that was refused cost nothing.
    for remaining in ["2", "1", "0"] {
        let answer = gateway.get("/v1/orders/7").await;
        assert_eq!(
            (answer.status, answer.header("x-ratelimit-remaining")),
            (200, Some(remaining))
        );
    }
    let answer = gateway.get("/v1/orders/7").await;
    assert_eq!(answer.problem(), "rate-limited");
    assert_eq!(answer.json()["violated-policies"], json!(["requests"]));
    assert_eq!(orders.requests().len(), 5);
    gateway.shutdown().await;
}

#[tokio::test]
async fn every_refusal_of_its_readme_is_tested_here() {
    for code in ["rate-limited", "rate-limit-key-missing", "rate-limit-unavailable"] {
        assert!(README.contains(&format!("| `{code}` |")), "{code}");
    }
    assert_eq!(README.matches(" | 4").count() + README.matches(" | 5").count(), 3);
}

#[tokio::test]
async fn two_hundred_clients_at_once_get_the_limit_and_not_one_more() {
    for algorithm in ["gcra", "fixed-window", "sliding-window"] {
        let main = Upstream::echo();
        let config =
            format!("limit = 40, period = \"1h\", key = \"header:x-key\", algorithm = \"{algorithm}\"");
        let gateway = builder(&config).upstream("main", &main).start().await;
        let request = Request::get("/orders").header("x-key", "one");
        let statuses = statuses(&gateway, 200, &request).await;
        assert_eq!(
            (count(&statuses, 200), count(&statuses, 429)),
            (40, 160),
            "{algorithm}"
        );
        assert_eq!(main.requests().len(), 40);
        assert_eq!(counted(&gateway, "default", "allowed").await, Some(40.0));
        assert_eq!(counted(&gateway, "default", "refused").await, Some(160.0));
        let other = Request::get("/orders").header("x-key", "two");
        assert_eq!(
            gateway.send(&other).await.header("x-ratelimit-remaining"),
            Some("39")
        );
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn two_hundred_clients_at_once_get_what_both_limits_allow() {
    let main = Upstream::echo();
    let config = "period = \"1h\", limits = [{ name = \"all\", key = \"global\", limit = 30 }, \
                  { name = \"own\", key = \"header:x-key\", limit = 25 }]";
    let gateway = builder(config).upstream("main", &main).start().await;
    let own = statuses(&gateway, 200, &Request::get("/orders").header("x-key", "one")).await;
    assert_eq!((count(&own, 200), count(&own, 429)), (25, 175));
    let other = statuses(&gateway, 200, &Request::get("/orders").header("x-key", "two")).await;
    assert_eq!(
        (count(&other, 200), count(&other, 429)),
        (5, 195),
        "refused requests gave back what they took"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn places_are_free_again_when_the_response_has_ended() {
    let (main, gate) = Upstream::slow(&["an", "swer"]);
    let gateway = builder("limit = 3, algorithm = \"concurrency\", key = \"global\"")
        .upstream("main", &main)
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = gateway.connect().await;
        connection.send(&Request::get("/orders")).await.expect("sent");
        held.push(connection);
    }
    main.wait_for_requests(3).await;
    let refused = gateway.get("/orders").await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (429, "rate-limited")
    );
    let wanted = [
        Some("\"default\";q=3;qu=\"concurrent-requests\""),
        Some("\"default\";r=0"),
        Some("3"),
        Some("0"),
        None,
        None,
    ];
    assert_eq!(told(&refused, &FIELDS), wanted);
    assert_eq!(
        count(&statuses(&gateway, 20, &Request::get("/orders")).await, 429),
        20
    );

    gate.open_for_good();
    for mut connection in held {
        let answer = connection.receive("GET").await.expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, "answer"));
    }
    eventually("a free place", async || {
        (gateway.get("/orders").await.status == 200).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn error_answers_of_others_tell_the_limit_too() {
    let gateway = Gateway::new()
        .plugin("rate-limit")
        .plugin("auth-key")
        .toml(&format!(
            r#"
            [plugins.rate-limit]
            config = {{ limit = 9, period = "90s" }}
            [plugins.auth-key]
            allow = {{ attributes = ["auth."] }}
            config = {{ keys = {{ acme = "secret" }} }}
            [[routes]]
            name = "down"
            match = {{ prefix = "/down" }}
            pipeline = ["rate-limit"]
            upstream = "down"
            [[routes]]
            name = "closed"
            match = {{ prefix = "/closed" }}
            pipeline = ["rate-limit", "auth-key"]
            upstream = "down"
            [upstreams.down]
            endpoints = ["{}"]
            "#,
            Upstream::nowhere()
        ))
        .start()
        .await;
    let down = gateway.get("/down").await;
    assert!(down.status >= 500, "{}", down.status);
    assert_eq!(
        told(&down, &FIELDS[..2]),
        [Some("\"default\";q=9;w=90"), Some("\"default\";r=8;t=10")]
    );
    let closed = gateway.get("/closed").await;
    assert_eq!(
        (closed.status, closed.header("x-ratelimit-remaining")),
        (401, Some("7"))
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn keys_come_from_what_earlier_plugins_found_out() {
    let main = Upstream::echo();
    let gateway = Gateway::new()
        .plugin("rate-limit")
        .plugin("auth-key")
        .upstream("main", &main)
        .toml(
            r#"
            [plugins.rate-limit]
            config = { key = ["attribute:auth.subject", "method"], absent = "refuse", limit = 1, period = "1h" }
            [plugins.auth-key]
            allow = { attributes = ["auth."] }
            config = { keys = { acme = ["old", "new"], beta = "other" } }
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["auth-key", "rate-limit"]
            upstream = "main"
            [[routes]]
            name = "open"
            match = { prefix = "/open" }
            pipeline = ["rate-limit"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    for (method, key, status) in [
        ("GET", "old", 200),
        ("GET", "new", 429),
        ("DELETE", "new", 200),
        ("GET", "other", 200),
        ("GET", "other", 429),
    ] {
        let request = Request::new(method, "/orders").header("x-api-key", key);
        assert_eq!(gateway.send(&request).await.status, status, "{method} {key}");
    }
    let answer = gateway.get("/open").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (400, "rate-limit-key-missing")
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_reload_forgets_nothing_that_was_taken() {
    let main = Upstream::echo();
    let config = |limit: u32| {
        format!(
            "[plugins.rate-limit]\nconfig = {{ limit = {limit}, period = \"1h\" }}\n\
             [[routes]]\nname = \"all\"\nmatch = {{ prefix = \"/\" }}\npipeline = [\"rate-limit\"]\nupstream = \"main\"\n"
        )
    };
    let gateway = Gateway::new()
        .plugin("rate-limit")
        .upstream("main", &main)
        .toml(&config(5))
        .start()
        .await;
    assert_eq!(count(&statuses(&gateway, 3, &Request::get("/")).await, 200), 3);
    gateway.write_toml(&config(8));
    let answer = gateway
        .wait_for_answer("/", |answer| answer.header("x-ratelimit-limit") == Some("8"))
        .await;
    let taken = u32::try_from(main.requests().len()).expect("few");
    assert!((4..=6).contains(&taken), "{taken}");
    assert_eq!(
        answer.header("x-ratelimit-remaining"),
        Some((8 - taken).to_string().as_str())
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn attributes_show_shadows_to_the_rest_of_the_pipeline() {
    let main = Upstream::echo();
    let gateway = Gateway::new()
        .plugin("rate-limit")
        .guest("trace")
        .upstream("main", &main)
        .toml(
            r#"
            [plugins.rate-limit]
            allow = { attributes = ["limit."] }
            config = { name = "tried", limit = 1, period = "1h", shadow = true }
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["trace", "rate-limit"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    let request = Request::get("/orders").header("x-do", "trace on-response tell limit.shadow");
    let answer = gateway.send(&request).await;
    assert_eq!((answer.status, answer.header("x-told")), (200, Some("none")));
    let answer = gateway.send(&request).await;
    assert_eq!((answer.status, answer.header("x-told")), (200, Some("tried")));
    assert_eq!(told(&answer, &FIELDS), [None; 6]);
    assert_eq!(counted(&gateway, "tried", "allowed").await, Some(1.0));
    assert_eq!(counted(&gateway, "tried", "shadowed").await, Some(1.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_may_wait_is_held_back_rather_than_refused() {
    let main = Upstream::echo();
    let delay = "limit = 1, period = \"2s\", delay = { max = \"2050ms\" }";
    let gateway = builder(delay).upstream("main", &main).start().await;
    let request = Request::get("/orders");
    let began = tokio::time::Instant::now();
    assert_eq!(gateway.send(&request).await.status, 200);
    // The next cell is there two seconds after the first was taken; the one after that is too far away.
    let (second, third) = tokio::join!(gateway.send(&request), gateway.send(&request));
    let took = began.elapsed();
    let mut statuses = [second.status, third.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    assert!(took >= std::time::Duration::from_millis(1_990), "{took:?}");
    assert_eq!(main.requests().len(), 2);
    assert_eq!(counted(&gateway, "default", "delayed").await, Some(1.0));
    assert_eq!(counted(&gateway, "default", "refused").await, Some(1.0));
    gateway.shutdown().await;
}
