//! Plugin `validate`, end to end.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};
use serde_json::{Value, json};

use super::document;
use super::refused;

const README: &str = include_str!("../../../plugins/validate/README.md");

/// The plugin is large, and compiling it is most of what a test here takes: one gateway has many routes, each with keys of
/// its own.
struct Site(GatewayBuilder);

impl Site {
    fn new() -> Self {
        let entry = "[plugins.validate]\nconfig.request.schema = true\n";
        Self(Gateway::new().plugin("validate").toml(entry))
    }

    /// `/NAME` behind the plugin with these keys, in front of an upstream of its own.
    fn route(self, name: &str, upstream: &Upstream, keys: &str) -> Self {
        let route = format!(
            "[[routes]]\nname = '{name}'\nmatch = {{ path = '/{name}' }}\nupstream = '{name}'\n\
             pipeline = [{{ plugin = 'validate', {keys} }}]\n"
        );
        Self(self.0.upstream(name, upstream).toml(&route))
    }
}

/// Keys that want an object with an integer `id` of one side, and these further ones of `config`.
fn id_of(side: &str, more: &str) -> String {
    let schema = "{ required = ['id'], properties = { id = { type = 'integer' } } }";
    format!("config = {{ {side} = {{ schema = {schema} }}, {more} }}")
}

fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post(target, body).header("content-type", "application/json")
}

fn expect(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The JSON document in the README.
fn schema_of_readme() -> &'static str {
    let block = README
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    block.expect("a document")
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let body = json!({ "id": 7 }).to_string();
    let orders = Upstream::fixed(201, &[("content-type", "application/json")], body);
    let gateway = document::of("validate", README, Some(&orders.address().to_string()))
        .file("order.json", schema_of_readme())
        .start()
        .await;
    let send = async |body: Value| gateway.send(&post("/v1/orders", body.to_string())).await;
    let good = json!({ "items": [{ "sku": "ABC-1", "count": 2 }] });
    let answer = send(good.clone()).await;
    assert_eq!((answer.status, answer.json()), (201, json!({ "id": 7 })));
    assert_eq!(orders.only_request().text(), good.to_string());

    let bad = json!({ "items": [{ "sku": "ABC-1", "count": 1 }, { "sku": "secret", "count": 0 }] });
    let answer = send(bad).await;
    assert_eq!(refused(&answer), expect(400, "validation-failed"));
    let errors = json!([
        { "pointer": "/items/1/count", "detail": "value is less than the minimum of 1", "keyword": "minimum" },
        { "pointer": "/items/1/sku", "detail": "value does not match \"^[A-Z]{3}-[0-9]+$\"", "keyword": "pattern" },
    ]);
    assert_eq!(answer.json()["errors"], errors);
    assert_eq!(orders.requests().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_is_not_the_json_that_was_asked_for_never_reaches_the_upstream() {
    let (main, long, prefix, report) = (
        Upstream::echo(),
        Upstream::echo(),
        Upstream::echo(),
        Upstream::echo(),
    );
    let bounded = |overflow: &str| {
        format!(
            "config = {{ request = {{ schema = true }} }}, max-body = '1KiB', body-overflow = '{overflow}'"
        )
    };
    let gateway = Site::new()
        .route("orders", &main, &id_of("request", ""))
        .route("long", &long, &bounded("reject"))
        .route("prefix", &prefix, &bounded("prefix"))
        .route("report", &report, &id_of("request", "mode = 'report'"))
        .0
        .start()
        .await;
    let typed =
        |content_type: &str| Request::post("/orders", "{\"id\": 1}").header("content-type", content_type);
    let packed = |body: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body.as_bytes()).unwrap();
        post("/orders", encoder.finish().unwrap()).header("content-encoding", "gzip")
    };
    let dense = format!("{{\"id\": 1, \"a\": [{}0]}}", "0,".repeat(10_000));
    let spaced = format!("1{}", " ".repeat(2000));
    for (request, status, code) in [
        (post("/orders", "{}"), 400, "validation-failed"),
        (post("/orders", "{\"id\": \"1\"}"), 400, "validation-failed"),
        (packed("{\"id\": \"x\"}"), 400, "validation-failed"),
        (post("/orders", "{\"id\": 1"), 400, "body-not-json"),
        (post("/orders", "\u{feff}{\"id\": 1}"), 400, "body-not-json"),
        (
            post("/orders", "{\"id\": 1, \"id\": \"x\"}"),
            400,
            "body-ambiguous",
        ),
        (
            post("/orders", "{\"id\": \"x\", \"i\\u0064\": 1}"),
            400,
            "body-ambiguous",
        ),
        (post("/orders", "[".repeat(100_000)), 400, "body-too-complex"),
        (post("/orders", dense), 400, "body-too-complex"),
        (post("/orders", ""), 400, "body-missing"),
        (Request::new("PUT", "/orders"), 400, "body-missing"),
        (post("/orders", "").chunks([""]), 400, "body-missing"),
        (
            Request::post("/orders", "{\"id\": 1}"),
            415,
            "media-type-unsupported",
        ),
        (typed("text/plain"), 415, "media-type-unsupported"),
        (
            typed("application/json; charset=utf-16"),
            415,
            "media-type-unsupported",
        ),
        (
            typed("application/json").header("content-type", "text/plain"),
            415,
            "media-type-unsupported",
        ),
        (
            Request::get("/orders")
                .body("{}")
                .header("content-type", "application/json"),
            400,
            "validation-failed",
        ),
        (post("/long", spaced.clone()), 413, "body-too-large"),
        (post("/prefix", spaced), 413, "body-incomplete"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(refused(&answer), expect(status, code), "{request:.200?}");
    }
    for upstream in [&main, &long, &prefix] {
        assert!(upstream.requests().is_empty());
    }
    for request in [
        post("/orders", "{\"id\": 1}"),
        packed("{\"id\": 1}"),
        typed("Application/vnd.acme.order+JSON; charset=UTF-8"),
        post("/orders", "").chunks(["{\"i", "d\":", " 1}"]),
        Request::get("/orders"),
        Request::new("DELETE", "/orders"),
        post("/prefix", "1"),
    ] {
        assert_eq!(gateway.send(&request).await.status, 200, "{request:?}");
    }

    assert_eq!(gateway.send(&post("/report", "{")).await.status, 200);
    assert_eq!(report.only_request().text(), "{", "a report changes nothing");
    let metrics = gateway.metrics().await;
    let counted = metrics.lines().any(|line| {
        line.starts_with("plugin_validate_violations_total{")
            && line.contains("side=\"request\"")
            && line.contains("code=\"body-missing\"")
    });
    assert!(counted, "{metrics}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_largest_body_fits_into_the_default_budget() {
    let main = Upstream::echo();
    let number =
        "{ type = 'object', required = ['n'], properties = { n = { type = 'integer', minimum = 0 } } }";
    let keys = format!("config = {{ request = {{ schema = {{ items = {number} }} }} }}");
    let gateway = Site::new().route("orders", &main, &keys).0.start().await;
    // A list, 4,999 objects and their numbers: 9,999 values.
    let objects: Vec<String> = (0..4_999).map(|n| format!("{{\"n\": {n}}}")).collect();
    let answer = gateway
        .send(&post("/orders", format!("[{}]", objects.join(","))))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let wrong = format!("[{}, {{\"n\": -1}}]", objects.get(1..).unwrap().join(","));
    let answer = gateway.send(&post("/orders", wrong)).await;
    assert_eq!(refused(&answer), expect(400, "validation-failed"));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/4998/n");
    gateway.shutdown().await;
}

#[tokio::test]
async fn responses_that_do_not_fit_are_kept_back() {
    let json = ("content-type", "application/json");
    let html = ("content-type", "text/html");
    let cases = [
        (200, vec![json], "{\"id\": 1}", 200),
        (200, vec![json], "{\"id\": \"secret\"}", 502),
        (201, vec![json], "{", 502),
        (200, vec![json], "", 502),
        (200, vec![html], "{\"id\": 1}", 502),
        (200, vec![], "{\"id\": 1}", 502),
        (404, vec![html], "gone", 404),
        (204, vec![], "", 204),
    ];
    let mut site = Site::new();
    let mut upstreams = Vec::new();
    for (at, (status, headers, body, _)) in cases.iter().enumerate() {
        let upstream = Upstream::fixed(*status, headers, *body);
        site = site.route(&format!("case-{at}"), &upstream, &id_of("response", ""));
        upstreams.push(upstream);
    }
    let wrong = Upstream::fixed(200, &[json], "{\"id\": \"secret\"}");
    let site = site
        .route("told", &wrong, &id_of("response", "expose-errors = true"))
        .route("reported", &wrong, &id_of("response", "mode = 'report'"));
    let gateway = site.0.start().await;
    for (at, (status, headers, body, expected)) in cases.into_iter().enumerate() {
        let target = format!("/case-{at}");
        let answer = gateway.get(&target).await;
        assert_eq!(answer.status, expected, "{status} {headers:?} {body}");
        if expected == 502 {
            assert_eq!(answer.problem(), "response-invalid");
            assert!(!answer.text().contains("secret"), "{}", answer.text());
            assert!(answer.json().get("errors").is_none());
        } else {
            assert_eq!(answer.text(), body);
        }
        let answer = gateway.send(&Request::new("HEAD", &target)).await;
        assert_eq!(answer.status, status, "a head has no body to look at");
    }

    let told = gateway.get("/told").await.json();
    assert_eq!(
        (&told["code"], &told["reason"]),
        (&json!("response-invalid"), &json!("validation-failed"))
    );
    assert_eq!(told["errors"][0]["pointer"], "/id");
    assert!(!told.to_string().contains("secret"));

    let reported = gateway.get("/reported").await;
    assert_eq!((reported.status, reported.text()), (200, "{\"id\": \"secret\"}"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_has_no_rule_is_neither_judged_nor_buffered() {
    let (main, huge) = (Upstream::echo(), Upstream::huge(1_000_000));
    let all = "config = { response = { by-status = { default = { required = ['id'] } } } }";
    let gateway = Site::new()
        .route("judged", &main, all)
        .route(
            "up",
            &main,
            "config = { response = { by-status = { 404 = true } } }, max-body = '1KiB'",
        )
        .route(
            "down",
            &huge,
            "config = { request = { schema = true } }, max-body = '1KiB'",
        )
        .0
        .upstream_with("nowhere", &[Upstream::nowhere()], "")
        .toml(&format!(
            "[[routes]]\nname = 'nowhere'\nmatch = {{ path = '/nowhere' }}\nupstream = 'nowhere'\n\
             pipeline = [{{ plugin = 'validate', {all} }}]\n"
        ))
        .start()
        .await;
    assert_eq!(
        refused(&gateway.get("/judged").await),
        expect(502, "response-invalid")
    );
    assert_eq!(
        refused(&gateway.get("/nowhere").await),
        expect(502, "upstream-connect-failed"),
        "an error of the gateway is no response of the upstream"
    );
    let answer = gateway.get("/down").await;
    assert_eq!((answer.status, answer.body.len()), (200, 1_000_000));
    let answer = gateway.send(&post("/up", "x".repeat(100_000))).await;
    assert_eq!(
        (answer.status, answer.json()["body-bytes"].clone()),
        (200, json!(100_000))
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_schema_that_leads_elsewhere_is_refused_at_load() {
    let main = Upstream::echo();
    let keys = "config = { request = { schema = { '$ref' = 'https://example.com/order.json' } } }";
    let gateway = Site::new()
        .route("orders", &main, keys)
        .0
        .allow_errors()
        .start()
        .await;
    assert_eq!(
        gateway.send(&post("/orders", "{}")).await.problem(),
        "plugin-unavailable"
    );
    let status = gateway.status().await["plugins"].to_string();
    assert!(
        status.contains("`request.schema` refers to what it does not have")
            && status.contains("schemas are never fetched"),
        "{status}"
    );
    gateway.shutdown().await;
}
