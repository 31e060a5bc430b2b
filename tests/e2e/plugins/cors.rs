//! Plugin `cors`, end to end.

use portcullis_tests::{Answer, Gateway, Request, Upstream};

use super::document;

const README: &str = include_str!("../../../plugins/cors/README.md");
const PAGE: &str = "https://app.example.com";

/// `/orders` behind the plugin with this `config`; what runs after it is told by the request.
fn builder(config: &str) -> portcullis_tests::GatewayBuilder {
    Gateway::new()
        .plugin("cors")
        .guest("trace")
        .toml(&format!("[plugins.cors]\nconfig = {{ {config} }}\n"))
        .toml(
            r#"
            [[routes]]
            name = "orders"
            match = { prefix = "/orders" }
            pipeline = ["cors", "trace"]
            upstream = "main"
            "#,
        )
}

fn from(origin: &str, target: &str) -> Request {
    Request::get(target).header("origin", origin)
}

fn preflight(origin: &str, target: &str) -> Request {
    Request::new("OPTIONS", target)
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
}

/// The fields of the protocol, their common prefix left out, and `Vary`.
fn permitted(answer: &Answer) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = answer
        .fields
        .0
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter_map(|(name, value)| match name.strip_prefix("access-control-") {
            Some(name) => Some((name.to_owned(), value)),
            None => (name == "vary").then_some((name, value)),
        })
        .collect();
    fields.sort();
    fields
}

fn list(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let orders = Upstream::echo();
    let gateway = document::of("cors", README, Some(&orders.address().to_string()))
        .start()
        .await;
    for origin in [PAGE, "https://pr-7.preview.example.com"] {
        let answer = gateway.send(&from(origin, "/v1/orders")).await;
        let expected = list(&[
            ("allow-credentials", "true"),
            ("allow-origin", origin),
            ("expose-headers", "x-total-count"),
            ("vary", "Origin"),
        ]);
        assert_eq!((answer.status, permitted(&answer)), (200, expected));
    }
    let before = orders.requests().len();
    let answer = gateway.send(&preflight(PAGE, "/v1/orders")).await;
    let expected = list(&[
        ("allow-credentials", "true"),
        ("allow-headers", "content-type, authorization"),
        ("allow-methods", "PUT, PATCH, DELETE"),
        ("allow-origin", PAGE),
        ("max-age", "600"),
        (
            "vary",
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ),
    ]);
    assert_eq!((answer.status, permitted(&answer)), (204, expected));
    assert_eq!((answer.text(), answer.header("content-length")), ("", None));
    assert_eq!(orders.requests().len(), before, "it ends at the gateway");

    for (request, status) in [
        (from("https://evil.test", "/v1/orders"), 200),
        (from("https://preview.example.com", "/v1/orders"), 200),
        (Request::get("/v1/orders"), 200),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(
            (answer.status, permitted(&answer)),
            (status, list(&[("vary", "Origin")])),
            "{request:?}"
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_the_upstream_says_of_the_protocol_is_replaced() {
    let fields = [
        ("Access-Control-Allow-Origin", "*"),
        ("access-control-allow-origin", "https://evil.test"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Methods", "*"),
        ("Vary", "Accept-Encoding"),
        ("vary", "origin"),
    ];
    let main = Upstream::fixed(200, &fields, "x");
    let gateway = builder("origins = ['https://app.example.com']")
        .upstream("main", &main)
        .start()
        .await;
    let vary = [("vary", "Accept-Encoding"), ("vary", "origin")];
    let mut expected = list(&[("allow-origin", PAGE)]);
    expected.extend(list(&vary));
    assert_eq!(permitted(&gateway.send(&from(PAGE, "/orders")).await), expected);
    let answer = gateway.send(&from("https://evil.test", "/orders")).await;
    assert_eq!(permitted(&answer), list(&vary));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_page_may_read_errors_too() {
    let main = Upstream::echo();
    let gateway = builder("origins = ['https://app.example.com'], credentials = true")
        .upstream_with("main", &[Upstream::nowhere()], "")
        .start()
        .await;
    let expected = list(&[
        ("allow-credentials", "true"),
        ("allow-origin", PAGE),
        ("vary", "Origin"),
    ]);
    let answer = gateway.send(&from(PAGE, "/orders")).await;
    assert_eq!(
        (answer.problem().as_str(), permitted(&answer)),
        ("upstream-connect-failed", expected.clone())
    );
    let refused = from(PAGE, "/orders").header("x-do", "trace on-request refuse no");
    let answer = gateway.send(&refused).await;
    assert_eq!((answer.status, permitted(&answer)), (418, expected.clone()));
    let answered = from(PAGE, "/orders").header("x-do", "trace on-request respond hello");
    let answer = gateway.send(&answered).await;
    assert_eq!((answer.status, permitted(&answer)), (203, expected));
    drop(main);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_permission_for_all_is_the_same_for_all() {
    let main = Upstream::echo();
    let gateway = builder("origins = '*', expose = '*'")
        .upstream("main", &main)
        .start()
        .await;
    let expected = list(&[("allow-origin", "*"), ("expose-headers", "*")]);
    for request in [
        Request::get("/orders"),
        from(PAGE, "/orders"),
        from("null", "/orders"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!((answer.status, permitted(&answer)), (200, expected.clone()));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn options_that_are_no_preflight_reach_the_upstream() {
    let main = Upstream::echo();
    let gateway = builder("origins = ['https://app.example.com']")
        .upstream("main", &main)
        .start()
        .await;
    let request = Request::new("OPTIONS", "/orders").header("origin", PAGE);
    let answer = gateway.send(&request).await;
    let expected = list(&[("allow-origin", PAGE), ("vary", "Origin")]);
    assert_eq!((answer.status, permitted(&answer)), (200, expected));
    assert_eq!(main.only_request().method, "OPTIONS");
    gateway.shutdown().await;
}

#[tokio::test]
async fn other_origins_are_refused_before_the_upstream_where_that_is_said() {
    let main = Upstream::echo();
    let gateway = builder("origins = ['https://app.example.com'], reject = true")
        .upstream("main", &main)
        .start()
        .await;
    for request in [
        from("https://evil.test", "/orders"),
        from("null", "/orders"),
        preflight("https://evil.test", "/orders"),
        from(PAGE, "/orders").header("origin", "https://evil.test"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "cors-origin-denied"),
            "{request:?}"
        );
        assert_eq!(permitted(&answer), list(&[("vary", "Origin")]));
    }
    assert!(main.requests().is_empty());
    let own = Request::post("/orders", "x")
        .header("host", "api.example.com")
        .header("origin", "https://api.example.com");
    assert_eq!(gateway.send(&own).await.status, 200);
    assert_eq!(gateway.get("/orders").await.status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_permission_that_would_give_users_away_is_refused_at_load() {
    let main = Upstream::echo();
    let gateway = builder("origins = '*', credentials = true")
        .upstream("main", &main)
        .allow_errors()
        .start()
        .await;
    assert_eq!(gateway.get("/orders").await.problem(), "plugin-unavailable");
    let status = gateway.status().await;
    let reasons = status["plugins"].to_string();
    assert!(
        reasons.contains("`credentials` cannot go with `origins = [\\\"*\\\"]`"),
        "{reasons}"
    );
    gateway.shutdown().await;
}
