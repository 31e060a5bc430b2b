//! Plugin `mock`, end to end.

use portcullis_tests::{Gateway, Request};
use serde_json::json;

use super::document;

const README: &str = include_str!("../../../plugins/mock/README.md");

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let gateway = document::of("mock", README, None).start().await;
    let answer = gateway.get("/v1/orders/7?x").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(answer.json(), json!({ "id": 7, "state": "open" }));

    let answer = gateway.send(&Request::post("/v1/orders", "{}")).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (201, Some("/v1/orders/7"))
    );
    assert_eq!((answer.text(), answer.header("content-length")), ("", Some("0")));

    let request = Request::post("/v1/echo?a=b", "12345")
        .header("accept", "a")
        .header("accept", "b");
    let told = gateway.send(&request).await.json();
    assert_eq!(
        (
            &told["method"],
            &told["path"],
            &told["query"],
            &told["body-length"]
        ),
        (&json!("POST"), &json!("/v1/echo"), &json!("a=b"), &json!(5))
    );
    assert_eq!(told["headers"]["accept"], json!(["a", "b"]));

    let answer = gateway.send(&Request::new("DELETE", "/v1/orders/7")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "mock-no-match"));
    let answer = gateway.get("/v2").await;
    assert_eq!(answer.problem(), "no-route");
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_first_answer_that_fits_is_sent_as_it_is_configured() {
    let gateway = Gateway::new()
        .plugin("mock")
        .toml(
            r#"
            [plugins.mock]
            config = { responses = [
                { when = { header = { x-version = "2" } }, status = 299, headers = { x-list = ["1", "2"] }, body = "two" },
                { when = { method = "HEAD" }, body = "not sent" },
                { when = { path = "/html" }, headers = { Content-Type = "text/html" }, body = "<p>" },
                { status = 204 },
            ] }
            [[routes]]
            name = "all"
            match = { prefix = "/" }
            upstream = { plugin = "mock" }
            "#,
        )
        .start()
        .await;
    let answer = gateway
        .send(&Request::get("/html").header("x-version", "2"))
        .await;
    assert_eq!((answer.status, answer.text()), (299, "two"));
    assert_eq!(answer.fields.all("x-list"), ["1", "2"]);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let answer = gateway.send(&Request::new("HEAD", "/")).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("8")));
    assert_eq!(
        gateway.get("/html").await.fields.all("content-type"),
        ["text/html"]
    );
    assert_eq!(gateway.get("/").await.status, 204);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_status_that_has_no_body_is_sent_without_one() {
    let gateway = Gateway::new()
        .plugin("mock")
        .toml(
            r#"
            [plugins.mock]
            config = { responses = [
                { when = { path = "/204" }, status = 204, body = "not sent" },
                { when = { path = "/304" }, status = 304, body = "not sent" },
                { body = "sent" },
            ] }
            [[routes]]
            name = "all"
            match = { prefix = "/" }
            upstream = { plugin = "mock" }
            "#,
        )
        .start()
        .await;
    let mut connection = gateway.connect().await;
    for status in [204, 304] {
        let request = Request::get(&format!("/{status}"));
        let answer = connection.exchange(&request).await.unwrap();
        assert_eq!((answer.status, answer.text()), (status, ""));
    }
    assert_eq!(
        connection.exchange(&Request::get("/")).await.unwrap().text(),
        "sent"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_override_answers_one_route_otherwise() {
    let gateway = Gateway::new()
        .plugin("mock")
        .toml(
            r#"
            [plugins.mock]
            config = { responses = [{ body = "all" }] }
            [[routes]]
            name = "own"
            match = { path = "/own" }
            upstream = { plugin = "mock", config = { responses = [{ body = "own" }] } }
            [[routes]]
            name = "all"
            match = { prefix = "/" }
            upstream = { plugin = "mock" }
            "#,
        )
        .start()
        .await;
    assert_eq!(gateway.get("/own").await.text(), "own");
    assert_eq!(gateway.get("/other").await.text(), "all");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_configuration_that_its_schema_refuses_is_said_with_its_place() {
    let gateway = Gateway::new()
        .plugin("mock")
        .toml(
            r#"
            [plugins.mock]
            config = { responses = [{ status = 99 }] }
            [[routes]]
            name = "all"
            match = { prefix = "/" }
            upstream = { plugin = "mock" }
            "#,
        )
        .allow_errors()
        .start()
        .await;
    assert_eq!(gateway.get("/").await.problem(), "plugin-unavailable");
    let status = gateway.status().await;
    let reason = status["plugins"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("portcullis.toml:") && reason.contains("status"),
        "{reason}"
    );
    gateway.shutdown().await;
}
