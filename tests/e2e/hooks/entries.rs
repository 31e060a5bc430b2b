//! Entries with overrides: their own configuration, budget and stores, the grants of the entry that they start from.

use portcullis_tests::{Gateway, Request, Upstream};

use super::trace::{exchange, hooks, result, traced};

#[tokio::test]
async fn an_override_replaces_the_configuration_whole_and_keeps_the_grants() {
    let main = Upstream::fixed(200, &[], "");
    let gateway = traced(&main)
        .toml(
            r#"
            [plugins.a]
            wasm = "trace"
            allow = { attributes = ["auth."] }
            config = { name = "a" }
            [[routes]]
            name = "main"
            match = { prefix = "/" }
            pipeline = ["a", { plugin = "a", config = { name = "z" } }, { plugin = "a", config = {} }]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    let request = Request::get("/").header("x-do", "z on-request set-attribute auth.subject=acme");
    let (_, lines) = exchange(&gateway, &request, 3).await;
    assert_eq!(result(&lines, "set-attribute"), "ok");
    assert_eq!(
        hooks(&lines)[..3],
        ["a on-request", "z on-request", "trace on-request"]
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_override_of_the_budget_holds_where_it_stands() {
    let main = Upstream::fixed(200, &[], "");
    let gateway = traced(&main)
        .toml(
            r#"
            [plugins.a]
            wasm = "trace"
            config = { name = "a" }
            [[routes]]
            name = "short"
            match = { prefix = "/short" }
            pipeline = [{ plugin = "a", max-body = "4B" }]
            upstream = "main"
            [[routes]]
            name = "long"
            match = { prefix = "/long" }
            pipeline = ["a"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    assert_eq!(gateway.send(&Request::post("/short", "hello")).await.status, 413);
    assert_eq!(gateway.send(&Request::post("/long", "hello")).await.status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_override_has_stores_of_its_own() {
    let main = Upstream::echo();
    let gateway = Gateway::new()
        .guest("probe")
        .upstream("main", &main)
        .toml(
            r#"
            [[routes]]
            name = "base"
            match = { prefix = "/base" }
            pipeline = ["probe"]
            upstream = "main"
            [[routes]]
            name = "also"
            match = { prefix = "/also" }
            pipeline = ["probe"]
            upstream = "main"
            [[routes]]
            name = "own"
            match = { prefix = "/own" }
            pipeline = [{ plugin = "probe", config = { x = 1 } }]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    for (case, target, expected) in [
        ("shared-count", "/base", "1"),
        ("shared-count", "/also", "2"),
        ("shared-count", "/own", "1"),
        ("counter-add", "/base", "1"),
        ("counter-add", "/also", "2"),
        ("counter-add", "/own", "1"),
    ] {
        let request = Request::get(target).header("x-case", case).header("x-arg", "k");
        assert_eq!(gateway.send(&request).await.text(), expected, "{case} {target}");
    }
    gateway.shutdown().await;
}
