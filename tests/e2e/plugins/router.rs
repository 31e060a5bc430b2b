//! Plugin `router`, end to end.

use std::collections::BTreeMap;

use portcullis_tests::{Connection, Gateway, GatewayBuilder, Request, Upstream};

use super::document;

const README: &str = include_str!("../../../plugins/router/README.md");

/// Three upstreams that answer with their names.
struct Three([Upstream; 3]);

impl Three {
    fn start() -> Self {
        Self(["v1", "v2", "v3"].map(|name| Upstream::fixed(200, &[], name)))
    }
}

/// `/` to `v1` unless these rules say otherwise.
fn builder(three: &Three, rules: &str) -> GatewayBuilder {
    let [v1, v2, v3] = &three.0;
    Gateway::new()
        .plugin("router")
        .upstream("v1", v1)
        .upstream("v2", v2)
        .upstream("v3", v3)
        .toml(&format!("[plugins.router]\nconfig = {{ rules = [{rules}] }}\n"))
        .toml(
            r#"
            [[routes]]
            name = "main"
            match = { prefix = "/" }
            pipeline = ["router"]
            upstream = "v1"
            "#,
        )
}

/// Who answers.
async fn by(connection: &mut Connection, request: &Request) -> String {
    let answer = connection.exchange(request).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().to_owned()
}

/// How often who answers `times` requests.
async fn counts(gateway: &Gateway, request: &Request, times: u32) -> BTreeMap<String, u32> {
    let mut connection = gateway.connect().await;
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts.entry(by(&mut connection, request).await).or_insert(0) += 1;
    }
    counts
}

/// Whether `count` of `n` choices is as this share promises. By Bernstein's inequality a fair split is further off at most
/// once in 10^10 runs.
fn is_share(count: u32, n: u32, share: f64) -> bool {
    let (expected, odds) = (f64::from(n) * share, 2e10_f64.ln());
    let variance = expected * (1.0 - share);
    let off = odds / 3.0 + (odds * odds / 9.0 + 2.0 * odds * variance).sqrt();
    (f64::from(count) - expected).abs() <= off
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let (v1, v2) = (Upstream::fixed(200, &[], "v1"), Upstream::fixed(200, &[], "v2"));
    let readme = README.replace("127.0.0.1:9002", &v2.address().to_string());
    let gateway = document::of("router", &readme, Some(&v1.address().to_string()))
        .start()
        .await;
    let get = |target: &str| Request::get(target);
    for (request, name) in [
        (get("/v1/orders").header("x-canary", "always"), "v2"),
        (get("/v1/orders").header("x-canary", "never"), "v1"),
        (
            get("/v1/orders")
                .header("cookie", "staff=1")
                .header("x-canary", "never"),
            "v1",
        ),
        (get("/v1/orders").header("cookie", "a=b; staff=1"), "v2"),
        (get("/v1/orders/beta"), "v2"),
        (get("/v1/orders/beta/7"), "v2"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(
            (answer.text(), answer.header("set-cookie")),
            (name, None),
            "{request:?}"
        );
    }
    let counts = counts(&gateway, &get("/v1/orders"), 1_000).await;
    assert!(
        is_share(counts.get("v2").copied().unwrap_or(0), 1_000, 0.1),
        "{counts:?}"
    );

    let first = gateway.get("/v1/orders").await;
    let cookie = first.header("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
    let mut connection = gateway.connect().await;
    for _ in 0..100 {
        let again = connection
            .exchange(&get("/v1/orders").header("cookie", pair))
            .await
            .unwrap();
        assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn weights_split_the_requests() {
    let three = Three::start();
    let to = "{ to = [{ upstream = \"v1\", weight = 5 }, { upstream = \"v2\", weight = 3 }, { upstream = \"v3\", weight = 2 }] }";
    let gateway = builder(&three, to).start().await;
    let counts = counts(&gateway, &Request::get("/"), 2_000).await;
    for (name, share) in [("v1", 0.5), ("v2", 0.3), ("v3", 0.2)] {
        assert!(is_share(counts[name], 2_000, share), "{counts:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_key_is_one_choice_on_every_connection_and_worker_and_after_a_restart() {
    let three = Three::start();
    let rules = "{ to = [{ upstream = \"v1\" }, { upstream = \"v2\" }, { upstream = \"v3\" }], sticky = { by = \"header:x-user\" } }";
    let (one, other) = (
        builder(&three, rules).start().await,
        builder(&three, rules).start().await,
    );
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut connection = one.connect().await;
    for user in 0..300 {
        let request = Request::get("/").header("x-user", &format!("user-{user}"));
        let name = by(&mut connection, &request).await;
        if user % 10 == 0 {
            assert_eq!(one.send(&request).await.text(), name);
            assert_eq!(other.send(&request).await.text(), name);
        }
        *seen.entry(name).or_default() += 1;
    }
    for name in ["v1", "v2", "v3"] {
        assert!(is_share(seen[name], 300, 1.0 / 3.0), "{seen:?}");
    }
    // Without the key, chance decides.
    assert_eq!(counts(&one, &Request::get("/"), 200).await.len(), 3);
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn a_target_that_a_reload_closes_gets_nothing_and_the_others_keep_their_clients() {
    let three = Three::start();
    let rules = |weight: u32| {
        format!(
            "{{ to = [{{ upstream = \"v1\" }}, {{ upstream = \"v2\", weight = {weight} }}, {{ upstream = \"v3\" }}], \
             sticky = {{ by = \"header:x-user\" }} }}"
        )
    };
    let text = |weight: u32| {
        format!(
            "[plugins.router]\nconfig = {{ rules = [{}] }}\n[[routes]]\nname = \"main\"\nmatch = {{ prefix = \"/\" }}\n\
             pipeline = [\"router\"]\nupstream = \"v1\"\n",
            rules(weight)
        )
    };
    let gateway = builder(&three, &rules(1)).start().await;
    let request = |user: u32| Request::get("/").header("x-user", &format!("user-{user}"));
    let mut before = Vec::new();
    for user in 0..100 {
        before.push(gateway.send(&request(user)).await.text().to_owned());
    }
    gateway.write_toml(&text(0));
    gateway
        .wait_for(|status| status["generation"].as_u64() == Some(2))
        .await;
    for (user, before) in (0..100).zip(&before) {
        let answer = gateway.send(&request(user)).await;
        match before.as_str() {
            "v2" => assert_ne!(answer.text(), "v2"),
            other => assert_eq!(answer.text(), other),
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_sticky_cookie_is_on_error_answers_too_and_joins_the_upstreams_own() {
    let main = Upstream::fixed(200, &[("set-cookie", "a=b")], "main");
    let gateway = Gateway::new()
        .plugin("router")
        .upstream("main", &main)
        .toml(
            r#"
            [upstreams.down]
            endpoints = ["127.0.0.1:1"]
            [plugins.router]
            config = { rules = [
                { when = { header = { x-down = "1" } }, to = "down", sticky = { by = "cookie", name = "d" } },
                { to = "main", sticky = { by = "cookie", name = "m" } },
            ] }
            [[routes]]
            name = "main"
            match = { prefix = "/" }
            pipeline = ["router"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    let cookies = |answer: &portcullis_tests::Answer| -> Vec<String> {
        let all = answer.fields.all("set-cookie").into_iter();
        all.map(|cookie| cookie.split('=').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(cookies(&gateway.get("/").await), ["a", "m"]);
    let answer = gateway.send(&Request::get("/").header("x-down", "1")).await;
    assert_eq!((answer.status, cookies(&answer)), (502, vec!["d".to_owned()]));
    gateway.shutdown().await;
}

#[tokio::test]
async fn expressions_see_attributes_of_stages_before() {
    let three = Three::start();
    let gateway = builder(
        &three,
        r#"{ when = { expression = "attributes['note'] == 'beta' || size(request.params) > 2" }, to = "v2" },
           { when = { expression = "int(request.headers['x-number']) > 7" }, to = "v3" }"#,
    )
    .guest("trace")
    .listener("pipeline = [\"trace\"]")
    .start()
    .await;
    for (request, name) in [
        (Request::get("/"), "v1"),
        (
            Request::get("/").header("x-do", "trace on-request set-attribute note=beta"),
            "v2",
        ),
        (
            Request::get("/").header("x-do", "trace on-request set-attribute note=alpha"),
            "v1",
        ),
        (Request::get("/?a&b&c"), "v2"),
        (Request::get("/").header("x-number", "8"), "v3"),
        (Request::get("/").header("x-number", "seven"), "v1"),
    ] {
        assert_eq!(gateway.send(&request).await.text(), name, "{request:?}");
    }
    let series = "plugin_router_expression_errors_total{plugin=\"router\",rule=\"1\"}";
    assert_eq!(
        gateway.metric(series).await,
        Some(1.0),
        "what is not there is no error"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_longest_expressions_fit_into_the_default_budget() {
    let three = Three::start();
    let wide = format!("size({}) == 240", vec!["'a'"; 240].join(" + "));
    let deep = format!("size({}{}) == 1", "[".repeat(45), "]".repeat(45));
    let pattern = "request.headers['x-long'].matches('(a|ab|b)*c$')";
    let rules = format!(
        "{{ when = {{ expression = \"{wide}\", method = \"PUT\" }}, to = \"v2\" }},\
         {{ when = {{ expression = \"{deep}\", method = \"POST\" }}, to = \"v3\" }},\
         {{ when = {{ expression = \"{pattern}\" }}, to = \"v2\" }}"
    );
    let gateway = builder(&three, &rules).start().await;
    for (request, name) in [
        (Request::new("PUT", "/"), "v2"),
        (Request::new("POST", "/"), "v3"),
        (
            Request::get("/").header("x-long", &format!("{}c", "ab".repeat(2_000))),
            "v2",
        ),
        (Request::get("/").header("x-long", &"ab".repeat(2_000)), "v1"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!((answer.status, answer.text()), (200, name));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn as_a_router_it_names_the_route_before_the_table() {
    let three = Three::start();
    let gateway = builder(
        &three,
        r#"{ when = { header = { x-version = "2" } }, to = { route = "second" } },
           { when = { header = { x-version = "gone" } }, to = { route = "none" } },
           { when = { header = { x-version = "split" } },
             to = [{ route = "second", weight = 1 }, { route = "third", weight = 1 }], sticky = { by = "header:x-user" } }"#,
    )
    .gateway("routers = [\"router\"]")
    .toml(
        r#"
        [[routes]]
        name = "second"
        match = { path = "/only/by/name" }
        upstream = "v2"
        [[routes]]
        name = "third"
        match = { path = "/only/by/name/too" }
        upstream = "v3"
        "#,
    )
    .start()
    .await;
    let version = |version: &str| Request::get("/").header("x-version", version);
    for (request, name) in [
        (Request::get("/"), "v1"),
        (version("2"), "v2"),
        (version("gone"), "v1"),
        (version("1"), "v1"),
    ] {
        assert_eq!(gateway.send(&request).await.text(), name, "{request:?}");
    }
    let series = "portcullis_plugin_unknown_routes_total{plugin=\"router\"}";
    assert_eq!(gateway.metric(series).await, Some(1.0));
    let series = "portcullis_http_requests_total{route=\"second\",class=\"2xx\"}";
    assert_eq!(gateway.metric(series).await, Some(1.0));
    let mut seen = BTreeMap::new();
    for user in 0..60 {
        let request = version("split").header("x-user", &user.to_string());
        let name = gateway.send(&request).await.text().to_owned();
        assert_eq!(gateway.send(&request).await.text(), name);
        *seen.entry(name).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["v2", "v3"], "{seen:?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_answered_500_and_named_in_the_log() {
    assert!(README.contains("500 `plugin-error`"));
    let three = Three::start();
    let gateway = builder(&three, "{ to = \"v9\" }").allow_errors().start().await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.problem().as_str()), (500, "plugin-error"));
    assert!(!answer.text().contains("v9"), "the client learns no names");
    assert!(format!("{:?}", gateway.logs()).contains("no upstream is called `v9`"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_its_place() {
    let three = Three::start();
    for (rules, reason) in [
        (
            "{ when = { expression = \"request.paht == '/'\" }, to = \"v1\" }",
            "`request` has no field `paht`",
        ),
        (
            "{ to = [{ upstream = \"v1\", weight = 0 }] }",
            "no target with a weight above 0",
        ),
        ("{ to = \"v1\", sticky = { by = \"moon\" } }", "`sticky.by` is"),
        ("{ to = \"v1\", colour = 1 }", "colour"),
    ] {
        let gateway = builder(&three, rules).allow_errors().start().await;
        assert_eq!(gateway.get("/").await.problem(), "plugin-unavailable");
        let status = gateway.status().await;
        let told = status["plugins"][0]["reason"].as_str().unwrap_or_default();
        assert!(
            told.contains(reason) && told.contains("portcullis.toml:"),
            "{told}"
        );
        gateway.shutdown().await;
    }
}
