//! What one stage leaves for the others and for itself: attributes and state.

use portcullis_tests::{Gateway, Request, Upstream};

use super::trace::{ENTRIES, ROUTE, abc, exchange, get, result, traced};

#[tokio::test]
async fn attributes_are_seen_by_every_stage() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = [
        "b on-request set-attribute note=from b",
        "c on-request attribute note",
        "a on-response tell note",
        "a on-request state",
    ];
    let (answer, lines) = exchange(&gateway, &get(&orders), 3).await;
    assert_eq!(result(&lines, "attribute"), "from b");
    assert_eq!(answer.header("x-told"), Some("from b"));
    let (answer, _) = exchange(&gateway, &get(&["a on-response tell note"]), 3).await;
    assert_eq!(answer.header("x-told"), Some("none"), "it ends with its exchange");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_reserved_attribute_needs_the_grant_of_its_entry() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = traced(&main)
        .toml(ENTRIES)
        .toml("allow = { attributes = [\"auth.\"] }\n")
        .toml(ROUTE)
        .start()
        .await;
    let order = |entry: &str, key: &str| format!("{entry} on-request set-attribute {key}=acme");
    for (entry, key, expected) in [
        ("c", "auth.subject", "ok"),
        ("c", "cache.status", "denied"),
        ("c", "my.own", "ok"),
        ("b", "auth.subject", "denied"),
        ("b", "authentic", "ok"),
    ] {
        let orders = [order(entry, key), format!("a on-response tell {key}")];
        let (answer, lines) = exchange(&gateway, &get(&orders.each_ref().map(String::as_str)), 3).await;
        assert_eq!(result(&lines, "set-attribute"), expected, "{entry} {key}");
        let told = if expected == "ok" { "acme" } else { "none" };
        assert_eq!(answer.header("x-told"), Some(told), "{entry} {key}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn every_sdk_gets_its_grant() {
    let main = Upstream::echo();
    let gateway = Gateway::new()
        .guest("probe")
        .upstream("main", &main)
        .toml(
            r#"
            [plugins.probe]
            allow = { attributes = ["auth."] }
            [[routes]]
            name = "main"
            match = { prefix = "/" }
            pipeline = ["probe"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    let request = Request::get("/")
        .header("x-case", "attribute")
        .header("x-arg", "acme");
    let answer = gateway.send(&request).await;
    assert_eq!(
        (answer.header("x-note"), answer.header("x-subject")),
        (Some("acme"), Some("acme"))
    );
    assert_eq!(main.only_request().header("x-denied"), Some("ok"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn state_is_of_one_stage_in_one_exchange() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = traced(&main)
        .toml(ENTRIES)
        .toml(&ROUTE.replace("\"a\", \"b\", \"c\"", "\"a\", \"b\", \"a\""))
        .start()
        .await;
    // The same entry stands twice: both hooks obey, each with a state of its own.
    let orders = [
        "a on-request state",
        "a on-request set-state kept",
        "a on-response state",
        "b on-response state",
    ];
    let (_, lines) = exchange(&gateway, &get(&orders), 3).await;
    let states: Vec<_> = lines.iter().filter(|line| line.contains(" state=")).collect();
    assert_eq!(
        states,
        [
            "a on-request state=none",
            "a on-request state=none",
            "a on-response state=kept",
            "b on-response state=none",
            "a on-response state=kept",
        ]
    );
    let (_, lines) = exchange(&gateway, &get(&["b on-response state"]), 3).await;
    assert_eq!(result(&lines, "state"), "none");
    gateway.shutdown().await;
}

#[tokio::test]
async fn attributes_are_bounded() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = traced(&main)
        .listener("limits = { headers = 200 }")
        .toml(ENTRIES)
        .toml(ROUTE)
        .start()
        .await;
    let orders: Vec<_> = (0..65)
        .map(|number| format!("b on-request set-attribute k{number}=v"))
        .chain(["b on-request set-attribute k0=again".to_owned()])
        .chain([format!(
            "b on-request set-attribute k1={}",
            "x".repeat((8 << 10) + 1)
        )])
        .collect();
    let orders: Vec<_> = orders.iter().map(String::as_str).collect();
    let (_, lines) = exchange(&gateway, &get(&orders), 3).await;
    let results: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("b on-request set-attribute="))
        .collect();
    assert_eq!(results.len(), 67);
    assert!(results[..64].iter().all(|result| *result == "ok"));
    assert_eq!(results[64..], ["limit", "ok", "limit"]);
    gateway.shutdown().await;
}
