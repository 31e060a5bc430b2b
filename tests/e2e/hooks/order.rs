//! Which hooks run in which order, and what a verdict does to the rest of the pipeline.

use portcullis_tests::{Request, Upstream};

use super::trace::{ENTRIES, ROUTE, abc, exchange, get, hooks, post, traced, with};

#[tokio::test]
async fn requests_run_in_order_and_responses_in_reverse_heads_before_bodies() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &post("hello", &[]), 3).await;
    assert_eq!(
        lines,
        [
            "a on-request",
            "b on-request",
            "c on-request",
            "a on-request-body whole 5 hello",
            "b on-request-body whole 5 hello",
            "c on-request-body whole 5 hello",
            "c on-response 200",
            "b on-response 200",
            "a on-response 200",
            "c on-response-body 6 answer",
            "b on-response-body 6 answer",
            "a on-response-body 6 answer",
            "a on-finish 200 5 6 complete",
            "b on-finish 200 5 6 complete",
            "c on-finish 200 5 6 complete",
        ]
    );
    assert_eq!(main.only_request().fields.all("x-trace"), ["a", "b", "c"]);
    assert_eq!(answer.fields.all("x-trace"), ["c", "b", "a"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_listeners_pipeline_runs_before_the_routes_unless_it_is_not_inherited() {
    let main = Upstream::fixed(200, &[], "");
    let gateway = traced(&main)
        .listener("pipeline = [\"a\"]")
        .toml(ENTRIES)
        .toml(
            r#"
            [[routes]]
            name = "main"
            match = { path = "/main" }
            pipeline = ["b"]
            upstream = "main"
            [[routes]]
            name = "alone"
            match = { path = "/alone" }
            pipeline = ["b"]
            inherit = false
            upstream = "main"
            [[routes]]
            name = "bare"
            match = { path = "/bare" }
            upstream = "main"
            "#,
        )
        .start()
        .await;
    let all = |entries: [&str; 2]| {
        let [first, last] = entries;
        let pair = |hook: &str, [one, two]: [&str; 2]| [format!("{one} {hook}"), format!("{two} {hook}")];
        [
            pair("on-request", [first, last]),
            pair("on-response", [last, first]),
            pair("on-finish", [first, last]),
        ]
        .concat()
    };
    let (_, lines) = exchange(&gateway, &Request::get("/main"), 2).await;
    assert_eq!(hooks(&lines), all(["a", "b"]));
    let (_, lines) = exchange(&gateway, &Request::get("/alone"), 1).await;
    assert_eq!(hooks(&lines), ["b on-request", "b on-response", "b on-finish"]);
    let (_, lines) = exchange(&gateway, &Request::get("/bare"), 1).await;
    assert_eq!(hooks(&lines), ["a on-request", "a on-response", "a on-finish"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_answer_of_on_request_runs_the_response_hooks_of_the_stages_below_only() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &post("hello", &["b on-request respond mine"]), 2).await;
    assert_eq!(
        lines,
        [
            "a on-request",
            "b on-request",
            "a on-response 203",
            "a on-response-body 4 mine",
            "a on-finish 203 0 4 complete",
            "b on-finish 203 0 4 complete",
        ]
    );
    assert_eq!((answer.status, answer.text()), (203, "mine"));
    assert_eq!(
        (answer.header("x-by"), answer.fields.all("x-trace")),
        (Some("b"), vec!["a"])
    );
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_first_stage_can_answer_alone() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &get(&["a on-request respond"]), 1).await;
    assert_eq!(hooks(&lines), ["a on-request", "a on-finish"]);
    assert_eq!(
        (answer.status, answer.text(), answer.header("x-trace")),
        (203, "", None)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_answer_of_on_request_body_runs_the_response_hooks_of_the_stages_below_only() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &post("hello", &["b on-request-body respond mine"]), 3).await;
    assert_eq!(
        hooks(&lines),
        [
            "a on-request",
            "b on-request",
            "c on-request",
            "a on-request-body",
            "b on-request-body",
            "a on-response",
            "a on-response-body",
            "a on-finish",
            "b on-finish",
            "c on-finish",
        ]
    );
    assert_eq!((answer.status, answer.text()), (203, "mine"));
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_replaced_response_is_what_the_stages_below_see() {
    let main = Upstream::fixed(200, &[("x-upstream", "1")], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &get(&["b on-response replace mine"]), 3).await;
    assert_eq!(
        lines[3..9],
        [
            "c on-response 200",
            "b on-response 200",
            "a on-response 203",
            "c on-response-body 4 mine",
            "b on-response-body 4 mine",
            "a on-response-body 4 mine",
        ]
    );
    assert_eq!((answer.status, answer.text()), (203, "mine"));
    assert_eq!(
        (
            answer.header("x-by"),
            answer.header("x-upstream"),
            answer.fields.all("x-trace")
        ),
        (Some("b"), None, vec!["a"])
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_replaced_with_its_body_is_what_the_stages_below_see() {
    let main = Upstream::fixed(200, &[("x-upstream", "1")], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &get(&["b on-response-body replace-all mine"]), 3).await;
    assert_eq!(
        lines[6..9],
        [
            "c on-response-body 6 answer",
            "b on-response-body 6 answer",
            "a on-response-body 4 mine",
        ]
    );
    assert_eq!((answer.status, answer.text()), (203, "mine"));
    assert_eq!(
        (answer.header("x-by"), answer.header("x-upstream")),
        (Some("b"), None)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn messages_without_a_body_have_no_body_hooks() {
    let main = Upstream::fixed(204, &[], "");
    let gateway = abc(&main).await;
    let none = [
        "a on-request",
        "b on-request",
        "c on-request",
        "c on-response",
        "b on-response",
        "a on-response",
        "a on-finish",
        "b on-finish",
        "c on-finish",
    ];
    let (answer, lines) = exchange(&gateway, &get(&[]), 3).await;
    assert_eq!(
        (answer.status, hooks(&lines)),
        (204, none.map(str::to_owned).to_vec())
    );
    let (_, lines) = exchange(&gateway, &post("", &[]), 3).await;
    assert_eq!(hooks(&lines), none);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_hook_and_keeps_its_length() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (answer, lines) = exchange(&gateway, &Request::new("HEAD", "/main"), 3).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("6")));
    assert!(
        !lines.iter().any(|line| line.contains("on-response-body")),
        "{lines:?}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn pipelined_exchanges_of_one_connection_do_not_mix() {
    let main = Upstream::echo();
    let gateway = traced(&main).toml(ENTRIES).toml(ROUTE).start().await;
    let mut connection = gateway.connect().await;
    for number in ["1", "2", "3"] {
        let order = format!("b on-request set-request-header {number}");
        connection
            .send(&with(Request::get(&format!("/main/{number}")), &[&order]))
            .await
            .unwrap();
    }
    for number in ["1", "2", "3"] {
        let seen = connection.receive("GET").await.unwrap().json();
        assert_eq!(seen["target"], format!("/main/{number}"));
        let headers = seen["headers"].as_array().unwrap();
        let set: Vec<_> = headers.iter().filter(|field| field[0] == "x-set").collect();
        assert_eq!(set, [&serde_json::json!(["x-set", number])]);
    }
    gateway.shutdown().await;
}
