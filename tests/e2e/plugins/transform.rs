//! Plugin `transform`, end to end.

use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};

use super::document;
use super::refused;

const README: &str = include_str!("../../../plugins/transform/README.md");

/// `/` behind the plugin, whose entry has these lines of `config`.
fn builder(main: &Upstream, config: &str) -> GatewayBuilder {
    Gateway::new()
        .plugin("transform")
        .guest("trace")
        .upstream("main", main)
        .toml(&format!("[plugins.transform]\n{config}\n"))
        .toml(
            r#"
            [[routes]]
            name = "all"
            match = { prefix = "/" }
            pipeline = ["trace", "transform"]
            upstream = "main"
            "#,
        )
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let orders = Upstream::fixed(200, &[("server", "s"), ("x-powered-by", "p")], "");
    let gateway = document::of("transform", README, Some(&orders.address().to_string()))
        .start()
        .await;

    let answer = gateway.get("/v1/basket/a%20b/c?d=1").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some("/v1/orders/a%20b/c?d=1"))
    );
    let answer = gateway
        .send(&Request::get("/v1/x").header("host", "old.example.com:8080"))
        .await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, Some("https://shop.example.com/v1/x"))
    );
    assert!(orders.requests().is_empty());

    let request = Request::get("/v1/orders/7?debug=1&q=a%20b&x")
        .header("x-tenant", "a&b=c")
        .header("X-Forwarded-Prefix", "/spoofed");
    let answer = gateway.send(&request).await;
    assert_eq!(answer.header("x-answered"), Some("200 /internal/orders/7"));
    assert_eq!(
        (answer.header("server"), answer.header("x-powered-by")),
        (None, None)
    );
    let seen = orders.only_request();
    assert_eq!(seen.target, "/internal/orders/7?search=a%20b&x&tenant=a%26b%3Dc");
    assert_eq!(seen.fields.all("x-forwarded-prefix"), ["/v1"]);
    assert_eq!(seen.header("x-client"), Some("127.0.0.1 by orders"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("x-tenant"), None);
    gateway.shutdown().await;
}

#[tokio::test]
async fn every_code_of_its_readme_is_given() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        "config.request.headers.set = { x-a = \"{{ request.params.a }}\", x-n = \"{{ request.params.n|default('0')|int }}\" }",
    )
    .start()
    .await;
    let mut codes = Vec::new();
    for target in ["/?a=b%0D%0Ax-admin:%201", "/?n=many"] {
        let answer = gateway.get(target).await;
        let (status, code) = refused(&answer);
        assert!(
            README.contains(&format!("| `{code}` | {status} |")),
            "{status} {code}"
        );
        codes.push(code);
    }
    assert_eq!(codes, ["transform-invalid", "transform-failed"]);
    assert_eq!(README.matches("| `transform-").count(), codes.len());
    assert!(main.requests().is_empty());
    assert_eq!(gateway.get("/?a=b&n=7").await.status, 200);
    let seen = main.only_request();
    assert_eq!((seen.header("x-a"), seen.header("x-n")), (Some("b"), Some("7")));
    gateway.shutdown().await;
}

#[tokio::test]
async fn method_host_and_target_reach_the_upstream_as_they_are_made() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        r#"
        config.request.when = { path-regex = "^/users/(?<id>[^/]+)$", methods = ["GET"] }
        config.request.method = "POST"
        config.request.host = "users.internal:8443"
        config.request.path.set = "/v2/{{ captures.id|upper }}"
        config.request.query.append = { from = "{{ request.path }}" }
        "#,
    )
    .start()
    .await;
    assert_eq!(gateway.get("/users/a%20b?x=%C3%A9").await.status, 200);
    let seen = main.requests().remove(0);
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/v2/A%20B?x=%C3%A9&from=%2Fusers%2Fa%2520b")
    );
    assert_eq!(seen.header("host"), Some("users.internal:8443"));
    assert_eq!(gateway.get("/users/a/b").await.status, 200);
    let seen = main.requests().remove(1);
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/users/a/b")
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_path_is_replaced_by_its_groups() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        r#"config.request.path.replace = { regex = '^/(\w+)/v(\d+)/', with = '/v$2/${1}/' }"#,
    )
    .start()
    .await;
    for (sent, forwarded) in [
        ("/shop/v2/items?a", "/v2/shop/items?a"),
        ("/shop/items", "/shop/items"),
        ("/shop/v2/v3/", "/v2/shop/v3/"),
    ] {
        let before = main.requests().len();
        assert_eq!(gateway.get(sent).await.status, 200);
        assert_eq!(main.requests()[before].target, forwarded);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn no_value_of_a_client_leaves_its_segment_parameter_or_header() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        r#"
        config.request.path.set = "/tenants/{{ request.params.t }}/data"
        config.request.query.set = { t = "{{ request.params.t }}" }
        config.request.headers.set = { x-tenant = "{{ request.params.t }}" }
        "#,
    )
    .start()
    .await;
    let answer = gateway.get("/?t=a%3Fadmin%26x%3D1%23").await;
    assert_eq!(answer.status, 200);
    let seen = main.only_request();
    assert_eq!(
        seen.target,
        "/tenants/a%3Fadmin%26x%3D1%23/data?t=a%3Fadmin%26x%3D1%23"
    );
    assert_eq!(seen.header("x-tenant"), Some("a?admin&x=1#"));
    for value in ["..", "%2E%2e", "a%2F..%2Fb", "a%0D%0Ax-admin%3A1", "%00"] {
        let answer = gateway.get(&format!("/?t={value}")).await;
        assert_eq!(refused(&answer), (400, "transform-invalid".to_owned()), "{value}");
    }
    assert_eq!(main.requests().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_redirect_leads_to_no_other_site() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        r#"config.redirect = [
            { when = { path-regex = "^/go(.*)$" }, location = "https://example.com{{ captures[1] }}" },
            { location = "{{ request.path }}" },
        ]"#,
    )
    .start()
    .await;
    let answer = gateway.get("//evil.example/x?y").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some("/evil.example/x?y"))
    );
    let answer = gateway.get("/go/on").await;
    assert_eq!(answer.header("location"), Some("https://example.com/on"));
    for target in ["/go.evil.example", "/go@evil.example/", "/go:80@evil.example/"] {
        let answer = gateway.get(target).await;
        assert_eq!(
            refused(&answer),
            (400, "transform-invalid".to_owned()),
            "{target}"
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn error_answers_are_edited_too() {
    let gateway = Gateway::new()
        .plugin("transform")
        .listener("pipeline = [\"transform\"]")
        .toml(
            r#"
            [plugins.transform]
            config.response.when = { status = "4xx" }
            config.response.headers.set = { x-frame-options = "DENY", x-was = "{{ response.status }} {{ request.host }}" }
            "#,
        )
        .start()
        .await;
    let answer = gateway
        .send(&Request::get("/none").header("host", "shop.example:1"))
        .await;
    assert_eq!(refused(&answer), (404, "no-route".to_owned()));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("x-was"), Some("404 shop.example"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_keeps_its_body_under_another_status() {
    let main = Upstream::fixed(404, &[("x-old", "1"), ("x-old", "2")], "gone");
    let gateway = builder(
        &main,
        r#"
        config.response.when = { status = "404" }
        config.response.status = 410
        config.response.headers.rename = { x-old = "x-new" }
        "#,
    )
    .start()
    .await;
    let answer = gateway.get("/x").await;
    assert_eq!((answer.status, answer.text()), (410, "gone"));
    assert_eq!(answer.fields.all("x-new"), ["1", "2"]);
    assert_eq!(answer.header("x-old"), None);
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_other_plugins_say_is_known_to_templates() {
    let main = Upstream::echo();
    let gateway = Gateway::new()
        .plugin("transform")
        .plugin("request-id")
        .upstream("main", &main)
        .toml(
            r#"
            [plugins.request-id]
            [plugins.transform]
            config.request.headers.set = { x-trace = "{{ attributes['request.id'] }}" }
            [[routes]]
            name = "all"
            match = { prefix = "/" }
            pipeline = ["request-id", "transform"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    assert_eq!(gateway.get("/").await.status, 200);
    let seen = main.only_request();
    assert_eq!(seen.header("x-trace"), seen.header("x-request-id"));
    assert_eq!(seen.header("x-trace").map(str::len), Some(16));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_template_with_a_mistake_is_said_when_it_is_loaded() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        "config.request.headers.set = { x = \"{{ request.pth }}\" }",
    )
    .allow_errors()
    .start()
    .await;
    assert_eq!(gateway.get("/").await.problem(), "plugin-unavailable");
    let status = gateway.status().await;
    let told = status["plugins"].to_string();
    assert!(
        told.contains("`request.headers.set.x`") && told.contains("there is no `request.pth` in templates"),
        "{told}"
    );
    gateway.shutdown().await;
}
