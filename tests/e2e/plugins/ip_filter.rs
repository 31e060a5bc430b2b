//! Plugin `ip-filter`, end to end.

use portcullis_tests::{Gateway, Request, Upstream, patience};

use super::document;

const README: &str = include_str!("../../../plugins/ip-filter/README.md");

/// `/orders` behind the plugin with this `config`, for clients that a trusted proxy names.
fn builder(main: &Upstream, config: &str) -> portcullis_tests::GatewayBuilder {
    Gateway::new()
        .plugin("ip-filter")
        .upstream("main", main)
        .listener("trusted-proxies = ['127.0.0.0/8']")
        .toml(&format!("[plugins.ip-filter]\nconfig = {{ {config} }}\n"))
        .toml(
            r#"
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["ip-filter"]
            upstream = "main"
            "#,
        )
}

fn from(client: &str) -> Request {
    Request::get("/orders").header("x-forwarded-for", client)
}

async fn status(gateway: &Gateway, client: &str) -> u16 {
    let answer = gateway.send(&from(client)).await;
    if answer.status != 200 {
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "ip-denied"),
            "{client}"
        );
    }
    answer.status
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let orders = Upstream::echo();
    let gateway = document::of("ip-filter", README, Some(&orders.address().to_string()))
        .file("deny.txt", "# those who were here before\n192.0.2.0/24\n")
        .start()
        .await;
    assert_eq!(gateway.get("/v1/orders").await.status, 200);
    gateway.write_file("deny.txt", b"127.0.0.1 ; the test itself\n");
    patience::eventually("the list's change", async || {
        (gateway.get("/v1/orders").await.status == 403).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/v1/orders").await.problem(), "ip-denied");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_is_judged_by_the_address_that_trusted_proxies_name() {
    let main = Upstream::echo();
    let config = "allow = ['10.0.0.0/8', '2001:db8::/32'], deny = ['10.9.0.0/16']";
    let gateway = builder(&main, config).start().await;
    for (client, expected) in [
        ("10.1.2.3", 200),
        ("10.9.2.3", 403),
        ("192.0.2.1", 403),
        ("2001:db8::1", 200),
        ("2001:db9::1", 403),
        ("::ffff:10.1.2.3", 200),
        ("::ffff:10.9.2.3", 403),
        ("10.1.2.3, 192.0.2.1", 403),
    ] {
        assert_eq!(status(&gateway, client).await, expected, "{client}");
    }
    assert_eq!(
        gateway.get("/orders").await.status,
        403,
        "the proxy itself is in no list"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_address_that_a_client_claims_itself_does_not_count() {
    let main = Upstream::echo();
    let gateway = Gateway::new()
        .plugin("ip-filter")
        .upstream("main", &main)
        .toml(
            r#"
            [plugins.ip-filter]
            config = { allow = "10.0.0.0/8" }
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["ip-filter"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    assert_eq!(status(&gateway, "10.1.2.3").await, 403);
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_list_of_a_hundred_thousand_ranges_fits_into_the_default_budget() {
    let main = Upstream::echo();
    // Every second /24 of 16.0.0.0 and up, so that none can be merged with the next.
    let list: String = (0..100_000_u32)
        .map(|n| {
            let [a, b, c, _] = ((16 << 24) + (n << 9)).to_be_bytes();
            format!("{a}.{b}.{c}.0/24\n")
        })
        .collect();
    let gateway = builder(&main, "deny = { file = 'deny.txt' }")
        .file("deny.txt", list)
        .start()
        .await;
    for (client, expected) in [
        ("16.0.0.1", 403),
        ("16.0.1.1", 200),
        ("19.13.62.255", 403),
        ("19.13.63.0", 200),
        ("15.255.255.255", 200),
    ] {
        assert_eq!(status(&gateway, client).await, expected, "{client}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn report_lets_everyone_through_and_counts_who_would_be_refused() {
    let main = Upstream::echo();
    let gateway = builder(&main, "deny = ['192.0.2.0/24'], mode = 'report'")
        .start()
        .await;
    assert_eq!(status(&gateway, "192.0.2.1").await, 200);
    assert_eq!(status(&gateway, "10.0.0.1").await, 200);
    let metrics = gateway.metrics().await;
    let line = "plugin_ip_filter_denied_total{plugin=\"ip-filter\",reason=\"deny\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_with_its_line_and_the_last_good_one_stays() {
    let main = Upstream::echo();
    let gateway = builder(&main, "deny = { file = 'deny.txt' }")
        .file("deny.txt", "192.0.2.1\n")
        .allow_errors()
        .start()
        .await;
    gateway.write_file("deny.txt", b"192.0.2.1\n10.0.0.0/99\n");
    let reason = patience::eventually("the reason", async || {
        let status = gateway.status().await;
        status["plugins"][0]["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        reason.contains("`deny`: line 2: `10.0.0.0/99` is not an address or range"),
        "{reason}"
    );
    assert_eq!(status(&gateway, "192.0.2.1").await, 403);
    assert_eq!(status(&gateway, "192.0.2.2").await, 200);
    gateway.shutdown().await;
}
