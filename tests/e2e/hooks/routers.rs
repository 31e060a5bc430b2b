//! The hook `router`: who is asked, what its answer does, what it may read and edit, and what its faults cost.
//!
//! The guest `trace` is the entries `a` and `b` of `[gateway] routers`; the request orders which route each names
//! (`x-do: a router route blue`).

use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream};

use super::trace::{ENTRIES, get, lines, result, traced, with};

/// Routes that are told apart by their status; `blue` demands a method that no test sends.
const ROUTES: &str = r#"
    [plugins.blue]
    wasm = "mock"
    config = { responses = [{ status = 201 }] }
    [plugins.green]
    wasm = "mock"
    config = { responses = [{ status = 202 }] }
    [plugins.other]
    wasm = "mock"
    config = { responses = [{ status = 203 }] }

    [[routes]]
    name = "main"
    match = { path = "/main" }
    pipeline = ["c"]
    upstream = "main"
    [[routes]]
    name = "blue"
    match = { path = "/blue", methods = ["PURGE"] }
    pipeline = ["c"]
    upstream = { plugin = "blue" }
    [[routes]]
    name = "green"
    match = { path = "/green" }
    listeners = ["public"]
    upstream = { plugin = "green" }
    [[routes]]
    name = "other"
    match = { path = "/other" }
    listeners = ["other"]
    upstream = { plugin = "other" }
"#;

fn builder(main: &Upstream, routers: &str) -> GatewayBuilder {
    traced(main)
        .plugin("mock")
        .gateway(&format!("routers = [{routers}]"))
        .toml(ENTRIES)
        .toml("[listeners.other]\naddress = \"127.0.0.1:0\"\n")
        .toml(ROUTES)
}

async fn ab(main: &Upstream) -> Gateway {
    builder(main, "\"a\", \"b\"").start().await
}

/// The answer with the lines of the trace that are of routers.
async fn asked(gateway: &Gateway, request: &Request) -> (Answer, Vec<String>) {
    let before = lines(gateway).len();
    let answer = gateway.send(request).await;
    let lines = lines(gateway).split_off(before).into_iter();
    (answer, lines.filter(|line| line.contains(" router")).collect())
}

async fn unknown(gateway: &Gateway, entry: &str) -> Option<f64> {
    let series = format!("portcullis_plugin_unknown_routes_total{{plugin=\"{entry}\"}}");
    gateway.metric(&series).await
}

#[tokio::test]
async fn routers_are_asked_in_order_and_the_first_name_is_the_route() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = ab(&main).await;
    let blue = "a router route blue";
    let green = "b router route green";
    // The name of a route would stand behind the hook: there is none yet.
    for (orders, status, asked_lines) in [
        (&[][..], 200, &["a router", "b router"][..]),
        (&[blue], 201, &["a router"]),
        (&[green], 202, &["a router", "b router"]),
        (&[blue, green], 201, &["a router"]),
    ] {
        let (answer, lines) = asked(&gateway, &get(orders)).await;
        assert_eq!(
            (answer.status, lines),
            (status, asked_lines.iter().map(|&l| l.to_owned()).collect()),
            "{orders:?}"
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_named_route_needs_no_fitting_request_and_runs_its_own_pipeline() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = ab(&main).await;
    // `blue` wants another method and another path.
    let request = with(
        Request::get("/nowhere"),
        &["a router route blue", "c on-response set-response-header 1"],
    );
    let answer = gateway.send(&request).await;
    assert_eq!(
        (answer.status, answer.header("x-set"), answer.header("x-trace")),
        (201, Some("1"), Some("c"))
    );
    let series = "portcullis_http_requests_total{route=\"blue\",class=\"2xx\"}";
    assert_eq!(gateway.metric(series).await, Some(1.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_name_that_the_listener_does_not_have_counts_as_none() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = ab(&main).await;
    for (name, times) in [("nothing", 1.0), ("other", 3.0)] {
        let order = format!("a router route {name}");
        let (answer, lines) = asked(&gateway, &get(&[&order])).await;
        assert_eq!(
            (answer.status, lines.len()),
            (200, 2),
            "the next router and the table: {lines:?}"
        );
        assert_eq!(unknown(&gateway, "a").await, Some(times));
        let (answer, _) = asked(&gateway, &get(&[&order, "b router route green"])).await;
        assert_eq!(answer.status, 202);
        // Counted once more for the second request.
        assert_eq!(unknown(&gateway, "a").await, Some(times + 1.0));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_router_reads_the_request_and_edits_nothing_of_it() {
    let main = Upstream::echo();
    let gateway = ab(&main).await;
    for (order, expected) in [
        ("set-target /blue", "wrong-phase"),
        ("set-method POST", "wrong-phase"),
        ("set-authority example.org", "wrong-phase"),
        ("set-upstream main", "wrong-phase"),
        ("set-status 200", "wrong-phase"),
        ("set-request-header v", "wrong-phase"),
        ("append-request-header v", "wrong-phase"),
        ("remove-request-header host", "wrong-phase"),
        ("set-response-header v", "wrong-phase"),
        ("set-state kept", "wrong-phase"),
        ("set-attribute note=1", "ok"),
        ("set-attribute auth.subject=me", "denied"),
        ("header x-read", "read"),
        ("property request.raw-target", "/main?q"),
        ("state", "none"),
        ("status", "0"),
    ] {
        let request = with(
            Request::get("/main?q").header("x-read", "read"),
            &[&format!("a router {order}")],
        );
        let (answer, lines) = asked(&gateway, &request).await;
        assert_eq!(answer.status, 200, "{order}");
        let verb = order.split(' ').next().unwrap();
        assert_eq!(result(&lines, verb), expected, "{order}");
    }
    let last = main.requests().pop().unwrap();
    assert_eq!(
        (last.method.as_str(), last.target.as_str(), last.header("x-set")),
        ("GET", "/main?q", None)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_attribute_of_a_router_reaches_the_pipeline_and_its_body_flags_do_not() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = ab(&main).await;
    let orders = [
        "a router set-attribute picked=yes",
        "a router skip-request-body",
        "c on-response tell picked",
    ];
    let before = lines(&gateway).len();
    let answer = gateway
        .send(&with(Request::post("/main", "hello"), &orders))
        .await;
    assert_eq!((answer.status, answer.header("x-told")), (200, Some("yes")));
    let lines = lines(&gateway).split_off(before);
    assert!(
        lines.contains(&"c on-request-body whole 5 hello".to_owned()),
        "{lines:?}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn routers_are_no_stages_of_the_pipeline() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = ab(&main).await;
    let (_, lines) = super::trace::exchange(&gateway, &get(&[]), 1).await;
    let of_routers: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("a ") || line.starts_with("b "))
        .collect();
    assert_eq!(of_routers, ["a router", "b router"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_entry_may_be_router_and_stage() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = builder(&main, "\"c\"").start().await;
    let (answer, _) = super::trace::exchange(&gateway, &get(&["c router route blue"]), 1).await;
    assert_eq!((answer.status, answer.header("x-trace")), (201, Some("c")));
    gateway.shutdown().await;
}

#[tokio::test]
async fn without_a_route_the_listeners_pipeline_answers_as_ever() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = builder(&main, "\"a\"")
        .listener("pipeline = [\"b\"]")
        .start()
        .await;
    let (answer, lines) = asked(&gateway, &Request::get("/nowhere")).await;
    assert_eq!(
        (answer.problem().as_str(), answer.header("x-trace")),
        ("no-route", Some("b"))
    );
    assert_eq!(lines, ["a router"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_is_refused_before_routing_asks_no_router() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = ab(&main).await;
    let order = ["a router route blue"];
    let (answer, lines) = asked(&gateway, &with(Request::get("/a%2fb"), &order)).await;
    assert_eq!((answer.status, lines), (400, Vec::new()));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_fault_of_a_router_is_answered_or_skipped_as_its_entry_says() {
    let main = Upstream::fixed(200, &[], "main");
    for (policy, fault, kind) in [
        ("reject", "trap", "trap"),
        ("reject", "panic", "panic"),
        ("reject", "spin", "cpu"),
        ("skip", "trap", "trap"),
        ("skip", "stack", "stack"),
    ] {
        let gateway = builder(&main, "\"rogue\", \"b\"")
            .guest("rogue")
            .listener("pipeline = [\"a\"]")
            .toml(&format!(
                "[plugins.rogue]\non-fault = \"{policy}\"\n\
                 config = {{ hook = \"router\", fault = \"{fault}\", when = \"x-rogue\" }}\n"
            ))
            .start()
            .await;
        let orders = ["b router route blue", "c on-response tell rogue.half-done"];
        let answer = gateway
            .send(&with(Request::get("/main").header("x-rogue", "1"), &orders))
            .await;
        match policy {
            "reject" => {
                assert_eq!((answer.status, answer.problem().as_str()), (503, "plugin-fault"));
                assert_eq!(answer.header("x-trace"), None, "no stage was reached");
            }
            _ => assert_eq!(
                (answer.status, answer.header("x-told")),
                (201, Some("none")),
                "undone"
            ),
        }
        let series =
            format!("portcullis_plugin_faults_total{{plugin=\"rogue\",hook=\"router\",kind=\"{kind}\"}}");
        assert_eq!(gateway.metric(&series).await, Some(1.0), "{fault}");
        // The next request has another instance.
        assert_eq!(gateway.get("/main").await.status, 200);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_router_that_fails_again_and_again_is_let_alone_and_comes_back() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = builder(&main, "\"rogue\"")
        .guest("rogue")
        .toml("[plugins.rogue]\nconfig = { hook = \"router\", fault = \"trap\", when = \"x-rogue\" }\n")
        // That it is let alone is an ERROR.
        .allow_errors()
        .start()
        .await;
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..20 {
        codes.insert(
            gateway
                .send(&Request::get("/main").header("x-rogue", "1"))
                .await
                .problem(),
        );
    }
    let expected = ["plugin-fault", "plugin-unavailable"].map(str::to_owned);
    assert_eq!(codes, expected.into());
    gateway
        .wait_for_answer("/main", |answer| answer.status == 200)
        .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_router_that_could_not_be_loaded_answers_503() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = builder(&main, "\"gone\"")
        .toml("[plugins.gone]\n")
        .allow_errors()
        .start()
        .await;
    let answer = gateway.get("/main").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "plugin-unavailable")
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_entry_without_the_hook_is_said_and_never_asked() {
    let main = Upstream::fixed(200, &[], "main");
    let gateway = builder(&main, "\"blue\", \"a\"").start().await;
    assert_eq!(gateway.send(&get(&["a router route green"])).await.status, 202);
    let logs = gateway.logs();
    let said: Vec<_> = logs
        .iter()
        .filter(|line| line.message.contains("has no hook `router`"))
        .collect();
    assert_eq!(said.len(), 1, "{logs:#?}");
    assert_eq!(said[0].field("plugin"), Some("blue"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn routers_come_and_go_with_a_reload() {
    let main = Upstream::fixed(200, &[], "main");
    let text = |routers: &str| {
        format!(
            "[gateway]\nadmin = \"127.0.0.1:0\"\nrouters = [{routers}]\n\
             [listeners.other]\naddress = \"127.0.0.1:0\"\n{ENTRIES}{ROUTES}"
        )
    };
    let gateway = traced(&main).plugin("mock").toml(&text("")).start().await;
    let request = get(&["a router route blue"]);
    assert_eq!(gateway.send(&request).await.status, 200);
    for (routers, status) in [("\"a\"", 201), ("", 200)] {
        gateway.write_toml(&text(routers));
        portcullis_tests::patience::eventually("the new routers", async || {
            (gateway.send(&request).await.status == status).then_some(())
        })
        .await;
    }
    gateway.shutdown().await;
}
