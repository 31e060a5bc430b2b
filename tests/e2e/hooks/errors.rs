//! Refusals and the gateway's own errors: `on-error` of the stages reached, last first, then their response heads.

use portcullis_tests::{Request, Upstream};

use super::trace::{ENTRIES, ROUTE, abc, exchange, get, hooks, post, traced, with};

#[tokio::test]
async fn a_refusal_runs_on_error_of_the_stages_reached_then_the_response_heads_below() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &post("hello", &["b on-request refuse why"]), 2).await;
    assert_eq!(
        lines[..5],
        [
            "a on-request",
            "b on-request",
            "b on-error trace-refused 418",
            "a on-error trace-refused 418",
            "a on-response 418",
        ]
    );
    assert_eq!(hooks(&lines[5..]), ["a on-finish", "b on-finish"]);
    assert_eq!((answer.status, answer.problem().as_str()), (418, "trace-refused"));
    assert_eq!(answer.json()["detail"], "why");
    assert_eq!(
        (answer.header("x-by"), answer.fields.all("x-trace")),
        (Some("b"), vec!["a"])
    );
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_first_replacement_of_an_error_wins_and_gets_its_response_heads() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = [
        "c on-request refuse",
        "b on-error replace sorry",
        "a on-error replace never",
    ];
    let (answer, lines) = exchange(&gateway, &get(&orders), 3).await;
    assert_eq!(
        lines[3..7],
        [
            "c on-error trace-refused 418",
            "b on-error trace-refused 418",
            "b on-response 203",
            "a on-response 203",
        ]
    );
    assert_eq!(
        (answer.status, answer.text(), answer.header("x-by")),
        (203, "sorry", Some("b"))
    );
    assert_eq!(answer.fields.all("x-trace"), ["b", "a"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_refusal_of_a_response_reaches_on_error_of_every_stage() {
    let main = Upstream::fixed(200, &[("x-upstream", "1")], "answer");
    let gateway = abc(&main).await;
    for hook in ["on-response", "on-response-body"] {
        let (answer, lines) = exchange(&gateway, &get(&[&format!("b {hook} refuse why")]), 3).await;
        let errors: Vec<_> = lines.iter().filter(|line| line.contains(" on-error ")).collect();
        assert_eq!(
            errors,
            [
                "c on-error trace-refused 418",
                "b on-error trace-refused 418",
                "a on-error trace-refused 418",
            ],
            "{hook}"
        );
        assert_eq!((answer.status, answer.problem().as_str()), (418, "trace-refused"));
        // The heads of the error answer, without that of the stage that refused.
        assert_eq!(answer.fields.all("x-trace"), ["c", "a"], "{hook}");
        assert_eq!(answer.header("x-upstream"), None);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_refusal_of_a_request_body_reaches_on_error_of_every_stage() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &post("x", &["b on-request-body refuse"]), 3).await;
    assert_eq!(
        hooks(&lines)[5..],
        [
            "c on-error",
            "b on-error",
            "a on-error",
            "c on-response",
            "a on-response",
            "a on-finish",
            "b on-finish",
            "c on-finish",
        ]
    );
    assert_eq!(answer.fields.all("x-trace"), ["c", "a"]);
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_without_a_route_runs_the_listeners_pipeline() {
    let main = Upstream::fixed(200, &[], "");
    let gateway = traced(&main)
        .listener("pipeline = [\"a\", \"b\"]")
        .toml(ENTRIES)
        .toml(ROUTE)
        .start()
        .await;
    let nowhere = |orders: &[&str]| with(Request::get("/nowhere"), orders);
    let (answer, lines) = exchange(&gateway, &nowhere(&[]), 2).await;
    assert_eq!(
        lines[..6],
        [
            "a on-request",
            "b on-request",
            "b on-error no-route 404",
            "a on-error no-route 404",
            "b on-response 404",
            "a on-response 404",
        ]
    );
    assert_eq!(answer.problem(), "no-route");
    assert_eq!(answer.fields.all("x-trace"), ["b", "a"]);

    let (answer, _) = exchange(&gateway, &nowhere(&["a on-error replace page"]), 2).await;
    assert_eq!((answer.status, answer.text()), (203, "page"));
    let (answer, lines) = exchange(&gateway, &nowhere(&["b on-request respond page"]), 2).await;
    assert_eq!((answer.status, answer.text()), (203, "page"));
    assert_eq!(
        hooks(&lines)[..4],
        [
            "a on-request",
            "b on-request",
            "a on-response",
            "a on-response-body"
        ]
    );
    let (answer, _) = exchange(&gateway, &nowhere(&["b on-request refuse"]), 2).await;
    assert_eq!(answer.problem(), "trace-refused");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_is_down_reaches_on_error() {
    let main = Upstream::fixed(200, &[], "");
    main.stop();
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &post("hello", &[]), 3).await;
    assert_eq!(
        lines[6..12],
        [
            "c on-error upstream-connect-failed 502",
            "b on-error upstream-connect-failed 502",
            "a on-error upstream-connect-failed 502",
            "c on-response 502",
            "b on-response 502",
            "a on-response 502",
        ]
    );
    assert_eq!(answer.problem(), "upstream-connect-failed");
    assert_eq!(answer.fields.all("x-trace"), ["c", "b", "a"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_over_the_routes_limit_reaches_on_error() {
    let main = Upstream::fixed(200, &[], "");
    let gateway = traced(&main)
        .toml(ENTRIES)
        .toml(ROUTE)
        .toml("max-body = \"4B\"\n")
        .start()
        .await;
    let (answer, lines) = exchange(&gateway, &post("hello", &[]), 3).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (413, "body-too-large")
    );
    assert_eq!(lines[3], "c on-error body-too-large 413");
    let (answer, lines) = exchange(
        &gateway,
        &with(Request::new("POST", "/main").chunks(["hel", "lo"]), &[]),
        3,
    )
    .await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (413, "body-too-large")
    );
    assert_eq!(lines[3], "c on-error body-too-large 413");
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_error_can_be_tried_again_elsewhere() {
    let (main, spare) = (Upstream::reset(), Upstream::echo());
    let gateway = traced(&main)
        .upstream("spare", &spare)
        .toml(ENTRIES)
        .toml(ROUTE)
        .start()
        .await;
    let (answer, lines) = exchange(&gateway, &post("hello", &["b on-error retry-on spare"]), 3).await;
    assert_eq!(
        (answer.status, answer.json()["body"].as_str()),
        (200, Some("hello"))
    );
    assert_eq!(
        hooks(&lines)[6..],
        [
            "c on-error",
            "b on-error",
            "c on-response",
            "b on-response",
            "a on-response",
            "c on-response-body",
            "b on-response-body",
            "a on-response-body",
            "a on-finish",
            "b on-finish",
            "c on-finish",
        ]
    );
    assert!(lines.contains(&"c on-response 200".to_owned()), "{lines:?}");
    assert_eq!(spare.only_request().fields.all("x-trace"), ["a", "b", "c"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_fallback_comes_before_on_error_and_its_answer_is_a_response() {
    let main = Upstream::reset();
    let gateway = traced(&main)
        .upstream_with(
            "fallen",
            &[main.address()],
            "fallback = { status = 203, body = 'later' }",
        )
        .toml(ENTRIES)
        .toml("[[routes]]\nname = 'fallen'\npipeline = ['a']\nupstream = 'fallen'\n")
        .start()
        .await;
    let (answer, lines) = exchange(&gateway, &get(&["a on-error retry-on main"]), 1).await;
    assert_eq!((answer.status, answer.text()), (203, "later"));
    assert!(lines.contains(&"a on-response 203".to_owned()), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.starts_with("a on-error")),
        "{lines:?}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn tries_elsewhere_are_bounded() {
    let main = Upstream::reset();
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &get(&["a on-error retry-on main"]), 3).await;
    assert_eq!(answer.problem(), "upstream-reset");
    let errors = lines.iter().filter(|line| line.starts_with("a on-error")).count();
    assert_eq!((main.requests().len(), errors), (3, 3));
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_there_is_not_leaves_the_error_as_it_is() {
    let main = Upstream::reset();
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &get(&["b on-error retry-on nobody"]), 3).await;
    assert_eq!(answer.problem(), "upstream-reset");
    assert!(
        lines.iter().any(|line| line.starts_with("a on-error")),
        "{lines:?}"
    );
    assert_eq!(main.requests().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_is_refused_before_its_pipeline_reaches_no_stage() {
    let main = Upstream::fixed(200, &[], "");
    let gateway = abc(&main).await;
    let answer = gateway.send(&with(Request::get("/main/%2f"), &[])).await;
    assert_eq!(answer.problem(), "path-refused");
    let (_, lines) = exchange(&gateway, &get(&[]), 3).await;
    assert_eq!(
        hooks(&lines)[0],
        "a on-request",
        "the first line is of the second request"
    );
    assert_eq!(super::trace::lines(&gateway).len(), lines.len());
    gateway.shutdown().await;
}
