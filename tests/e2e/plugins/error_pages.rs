//! Plugin `error-pages`, end to end.

use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream, patience};

use super::document;

const README: &str = include_str!("../../../plugins/error-pages/README.md");

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// `/orders` to `main` behind these entries, and the plugin at the front of the listener.
fn builder(main: &Upstream, config: &str, pipeline: &str) -> GatewayBuilder {
    Gateway::new()
        .plugin("error-pages")
        .upstream("main", main)
        .listener("pipeline = [\"error-pages\"]")
        .toml(&format!("[plugins.error-pages]\nconfig = {{ {config} }}\n"))
        .toml(&format!(
            r#"
            [[routes]]
            name = "orders"
            match = {{ prefix = "/orders" }}
            pipeline = [{pipeline}]
            upstream = "main"
            "#
        ))
}

fn accepting(target: &str, accept: &str) -> Request {
    Request::get(target).header("accept", accept)
}

fn media_type(answer: &Answer) -> &str {
    answer.header("content-type").unwrap_or_default()
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let nowhere = Upstream::nowhere();
    let gateway = document::of("error-pages", README, Some(&nowhere.to_string()))
        .start()
        .await;

    let answer = gateway.send(&accepting("/v2/%3Cb%3E?key=secret", BROWSER)).await;
    assert_eq!(
        (answer.status, media_type(&answer)),
        (404, "text/html; charset=utf-8")
    );
    assert_eq!(
        answer.text(),
        "<!doctype html><title>Lost</title><h1>There is no &#x2f;v2&#x2f;%3Cb%3E here</h1>"
    );
    assert_eq!(answer.fields.all("vary"), ["accept"]);
    assert_eq!(answer.fields.all("cache-control"), ["no-store"]);
    assert_eq!(answer.fields.all("x-content-type-options"), ["nosniff"]);
    assert_eq!(answer.fields.all("content-language"), ["en"]);
    assert_eq!(answer.header("content-security-policy"), None);

    let answer = gateway.send(&accepting("/v1/orders", "text/plain")).await;
    assert_eq!(
        (answer.status, media_type(&answer)),
        (502, "text/plain; charset=utf-8")
    );
    let (start, end) = ("Bad Gateway, please try again (", ")\n");
    let id = answer
        .text()
        .strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(end));
    assert!(id.is_some_and(|id| !id.is_empty()), "{}", answer.text());
    assert_eq!(answer.fields.all("retry-after"), ["30"]);
    assert_eq!(answer.fields.all("content-language"), ["en"]);

    // No own page of this form: the built-in one, with the fields of the page that fits.
    let answer = gateway.send(&accepting("/v1/orders", BROWSER)).await;
    assert!(answer.text().starts_with("<!doctype html>"), "{}", answer.text());
    assert!(answer.text().contains("upstream-connect-failed"));
    assert!(
        !answer.text().contains(&nowhere.to_string()),
        "endpoints are internal"
    );
    assert_eq!(answer.fields.all("retry-after"), ["30"]);
    assert!(answer.header("content-security-policy").is_some());

    for request in [
        Request::get("/v2"),
        accepting("/v2", "*/*"),
        accepting("/v2", "application/json"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "no-route"));
        assert_eq!(answer.header("vary"), None);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_head_request_gets_the_fields_of_the_page_alone() {
    let main = Upstream::echo();
    let gateway = builder(&main, "", "").start().await;
    let get = gateway.send(&accepting("/nowhere", "text/plain")).await;
    let request = Request::new("HEAD", "/nowhere").header("accept", "text/plain");
    let head = gateway.send(&request).await;
    assert_eq!(
        (head.status, media_type(&head)),
        (404, "text/plain; charset=utf-8")
    );
    assert_eq!(head.text(), "");
    // The number of the request is as long in both.
    assert_eq!(head.header("content-length"), get.header("content-length"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_a_refusal_says_in_its_fields_stays() {
    let main = Upstream::echo();
    let gateway = builder(&main, "default = \"html\"", "\"auth-key\"")
        .plugin("auth-key")
        .toml("[plugins.auth-key]\nallow = { attributes = [\"auth.\"] }\nconfig = { keys = { acme = \"k\" } }\n")
        .start()
        .await;
    for (accept, wanted) in [
        ("text/html", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("application/problem+json", "application/problem+json"),
    ] {
        let answer = gateway.send(&accepting("/orders", accept)).await;
        assert_eq!((answer.status, media_type(&answer)), (401, wanted));
        assert_eq!(
            answer.fields.all("www-authenticate"),
            ["ApiKey realm=\"api\""],
            "{accept}"
        );
        assert_eq!(answer.fields.all("cache-control"), ["no-store"], "{accept}");
        assert!(answer.text().contains("key-missing"), "{}", answer.text());
    }
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_refusal_of_a_response_gets_a_page_that_escapes_its_detail() {
    let main = Upstream::echo();
    let gateway = builder(&main, "", "\"trace\"").guest("trace").start().await;
    let request = Request::post("/orders", "x")
        .header("accept", BROWSER)
        .header("x-do", "trace on-response-body refuse a <b> & \"c\"");
    let answer = gateway.send(&request).await;
    assert_eq!(
        (answer.status, media_type(&answer)),
        (418, "text/html; charset=utf-8")
    );
    assert!(
        answer.text().contains("<p>a &lt;b&gt; &amp; &quot;c&quot;</p>"),
        "{}",
        answer.text()
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_answer_of_the_upstream_is_left_alone() {
    let main = Upstream::fixed(404, &[("content-type", "text/css")], "own");
    let gateway = builder(&main, "default = \"html\"", "").start().await;
    let answer = gateway.send(&accepting("/orders", BROWSER)).await;
    assert_eq!(
        (answer.status, media_type(&answer), answer.text()),
        (404, "text/css", "own")
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn pages_come_from_files_and_change_with_them() {
    let main = Upstream::echo();
    let gateway = builder(&main, "html = { file = \"page.html\" }", "")
        .file("page.html", "<h1>{{ status }}</h1>\n")
        .start()
        .await;
    let get = accepting("/nowhere", BROWSER);
    assert_eq!(gateway.send(&get).await.text(), "<h1>404</h1>");
    gateway.write_file("page.html", b"<h2>{{ reason }}</h2>\n");
    patience::eventually("the new page", async || {
        (gateway.send(&get).await.text() == "<h2>Not Found</h2>").then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_template_that_cannot_work_is_refused_with_its_place() {
    let main = Upstream::echo();
    let gateway = builder(
        &main,
        "pages = [{ status = 404, html = \"{{ stack_trace }}\" }]",
        "",
    )
    .allow_errors()
    .start()
    .await;
    assert_eq!(gateway.get("/orders").await.problem(), "plugin-unavailable");
    let status = gateway.status().await;
    let reason = status["plugins"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("`pages[0].html`: there is no variable `stack_trace`"),
        "{reason}"
    );
    gateway.shutdown().await;
}
