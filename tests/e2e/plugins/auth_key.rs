//! Plugin `auth-key`, end to end.

use portcullis_tests::{Gateway, Request, Upstream};

use super::document;
use super::refused;

const README: &str = include_str!("../../../plugins/auth-key/README.md");

/// `/orders` behind the plugin with this `config`, and the grant that it needs.
async fn gateway(main: &Upstream, config: &str) -> Gateway {
    builder(main, "allow = { attributes = [\"auth.\"] }", config)
        .start()
        .await
}

fn builder(main: &Upstream, keys: &str, config: &str) -> portcullis_tests::GatewayBuilder {
    Gateway::new()
        .plugin("auth-key")
        .guest("trace")
        .upstream("main", main)
        .toml(&format!("[plugins.auth-key]\n{keys}\nconfig = {{ {config} }}\n"))
        .toml(
            r#"
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["trace", "auth-key"]
            upstream = "main"
            "#,
        )
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let orders = Upstream::echo();
    let gateway = document::of("auth-key", README, Some(&orders.address().to_string()))
        .start()
        .await;
    let get = |target: &str| Request::get(target);

    let answer = gateway.get("/v1/orders/7").await;
    assert_eq!(refused(&answer), (401, "key-missing".to_owned()));
    assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"orders\""));
    let answer = gateway
        .send(&get("/v1/orders").header("x-api-key", "k-unknown"))
        .await;
    assert_eq!(refused(&answer), (401, "key-invalid".to_owned()));
    assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"orders\""));
    assert!(orders.requests().is_empty());

    for (request, consumer) in [
        (get("/v1/orders").header("x-api-key", "k-7f3a"), "acme"),
        (get("/v1/orders").header("X-Api-Key", "k-old"), "partner"),
        (get("/v1/orders?api-key=k-new"), "partner"),
    ] {
        let before = orders.requests().len();
        assert_eq!(gateway.send(&request).await.status, 200);
        let seen = orders.requests().remove(before);
        assert_eq!(seen.fields.all("x-consumer"), [consumer]);
        assert_eq!(
            (seen.header("x-api-key"), seen.target.as_str()),
            (None, "/v1/orders")
        );
    }
    let both = get("/v1/orders?api-key=k-new").header("x-api-key", "k-new");
    assert_eq!(
        refused(&gateway.send(&both).await),
        (400, "key-ambiguous".to_owned())
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_consumer_that_the_client_names_is_replaced() {
    let main = Upstream::echo();
    let gateway = gateway(&main, "keys = { acme = \"secret\" }").await;
    let request = Request::get("/orders")
        .header("x-api-key", "secret")
        .header("x-consumer", "admin")
        .header("X-Consumer", "root");
    assert_eq!(gateway.send(&request).await.status, 200);
    assert_eq!(main.only_request().fields.all("x-consumer"), ["acme"]);
    let request = Request::get("/orders").header("x-consumer", "acme");
    assert_eq!(
        refused(&gateway.send(&request).await),
        (401, "key-missing".to_owned())
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn more_than_one_key_is_refused_wherever_they_stand() {
    let main = Upstream::echo();
    let gateway = gateway(&main, "keys = { acme = \"secret\" }, query = \"key\"").await;
    let get = |target: &str| Request::get(target);
    for request in [
        get("/orders")
            .header("x-api-key", "secret")
            .header("x-api-key", "secret"),
        get("/orders")
            .header("x-api-key", "secret")
            .header("X-API-KEY", "other"),
        get("/orders?key=secret&key=secret"),
        get("/orders?key=secret&%6bey=other"),
        get("/orders?key=secret").header("x-api-key", "secret"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(refused(&answer), (400, "key-ambiguous".to_owned()), "{request:?}");
    }
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_credential_is_hidden_from_the_upstream_and_the_rest_of_the_query_kept() {
    let main = Upstream::echo();
    let gateway = gateway(&main, "keys = { acme = \"s/c ret\" }, query = \"key\"").await;
    for (sent, forwarded) in [
        ("/orders?a=1&key=s%2Fc%20ret&b=%20", "/orders?a=1&b=%20"),
        ("/orders?key=s/c%20ret", "/orders"),
        ("/orders?%6Bey=s/c%20ret&b", "/orders?b"),
    ] {
        let before = main.requests().len();
        assert_eq!(gateway.get(sent).await.status, 200, "{sent}");
        assert_eq!(main.requests()[before].target, forwarded);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_credential_is_shown_to_the_upstream_where_that_is_wanted() {
    let main = Upstream::echo();
    let config = "keys = { acme = \"secret\" }, query = \"key\", hide = false, upstream-header = \"\"";
    let gateway = gateway(&main, config).await;
    gateway
        .send(&Request::get("/orders").header("x-api-key", "secret"))
        .await;
    gateway.get("/orders?key=secret").await;
    let requests = main.requests();
    assert_eq!(
        (requests[0].header("x-api-key"), requests[0].header("x-consumer")),
        (Some("secret"), None)
    );
    assert_eq!(requests[1].target, "/orders?key=secret");
    gateway.shutdown().await;
}

#[tokio::test]
async fn other_plugins_learn_the_consumer() {
    let main = Upstream::echo();
    let gateway = gateway(&main, "keys = { acme = \"secret\" }").await;
    let request = Request::get("/orders")
        .header("x-api-key", "secret")
        .header("x-do", "trace on-response tell auth.subject");
    assert_eq!(gateway.send(&request).await.header("x-told"), Some("acme"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn without_its_grant_it_lets_nobody_through() {
    let main = Upstream::echo();
    // The plugin says in the log what is missing.
    let gateway = builder(&main, "", "keys = { acme = \"secret\" }")
        .allow_errors()
        .start()
        .await;
    let answer = gateway
        .send(&Request::get("/orders").header("x-api-key", "secret"))
        .await;
    assert_eq!(refused(&answer), (500, "plugin-error".to_owned()));
    assert!(main.requests().is_empty());
    let logs = gateway.logs();
    let told = logs.iter().any(|line| {
        line.field("plugin") == Some("auth-key") && format!("{line:?}").contains("allow = { attributes = [")
    });
    assert!(told, "{logs:#?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn keys_come_from_files_and_change_with_them() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        "allow = { attributes = [\"auth.\"] }",
        "keys = { acme = { file = \"key.txt\" } }",
    )
    .file("key.txt", "k-first\n")
    .start()
    .await;
    let get = |key: &str| Request::get("/orders").header("x-api-key", key);
    assert_eq!(gateway.send(&get("k-first")).await.status, 200);
    assert_eq!(gateway.send(&get("k-second")).await.status, 401);
    gateway.write_file("key.txt", b"k-second\n");
    portcullis_tests::patience::eventually("the new key", async || {
        (gateway.send(&get("k-second")).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(gateway.send(&get("k-first")).await.status, 401);
    let told = format!("{} {:?}", gateway.status().await, gateway.logs());
    assert!(
        !told.contains("k-second") && !told.contains("k-first"),
        "a key is a secret"
    );
    gateway.shutdown().await;
}
