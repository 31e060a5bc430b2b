//! What hooks ask of the host itself: a wait before the next stage, more tries at the upstream.

use std::time::Duration;

use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::{Gate, Step, Turn};
use portcullis_tests::{Request, Upstream};
use tokio::time::Instant;

use super::trace::{ENTRIES, abc, exchange, get, hooks, lines, post, result, traced, with};

#[tokio::test]
async fn a_delay_holds_back_its_own_exchange_and_no_other() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = traced(&main)
        .workers(1)
        .toml(ENTRIES)
        .toml(super::trace::ROUTE)
        .start()
        .await;
    let began = Instant::now();
    let mut delayed = gateway.connect().await;
    delayed.send(&get(&["a on-request delay 700"])).await.unwrap();
    eventually("the delay", async || {
        (lines(&gateway) == ["a on-request", "a on-request delay=ok"]).then_some(())
    })
    .await;
    for _ in 0..3 {
        assert_eq!(gateway.send(&get(&[])).await.status, 200);
    }
    assert_eq!(main.requests().len(), 3);
    assert_eq!(delayed.receive("GET").await.unwrap().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(700));
    gateway.shutdown().await;
}

#[tokio::test]
async fn every_hook_before_the_end_can_delay_the_answer_and_refusals_as_well() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    for (orders, status) in [
        (&["b on-request-body delay 60"][..], 200),
        (&["b on-response delay 60"], 200),
        (&["b on-response-body delay 60"], 200),
        (&["b on-request delay 60", "b on-request refuse"], 418),
        (&["b on-request refuse", "a on-error delay 60"], 418),
        (&["a on-request delay 30", "c on-request delay 30"], 200),
    ] {
        let began = Instant::now();
        let answer = gateway.send(&post("hello", orders)).await;
        assert_eq!(answer.status, status, "{orders:?}");
        assert!(began.elapsed() >= Duration::from_millis(60), "{orders:?}");
    }
    gateway.shutdown().await;

    let gateway = abc(&main).await;
    let orders = ["a on-finish delay 1", "b on-request delay 300001"];
    let (_, lines) = exchange(&gateway, &get(&orders), 3).await;
    assert!(
        lines.contains(&"b on-request delay=limit".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"a on-finish delay=wrong-phase".to_owned()),
        "{lines:?}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_delay_beyond_the_deadline_is_refused() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = traced(&main)
        .toml(ENTRIES)
        .toml("[[routes]]\nname = 'main'\npipeline = ['a']\nupstream = 'main'\ntimeout = '20s'\n")
        .start()
        .await;
    let orders = ["a on-request delay 20001", "a on-request set-request-header 1"];
    let (answer, lines) = exchange(&gateway, &get(&orders), 1).await;
    assert_eq!((answer.status, result(&lines, "delay")), (200, "limit"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_may_be_repeated_is_tried_as_often_as_a_hook_asks() {
    for (request, orders, turns, status, tries) in [
        ("GET", "a on-request set-retry 0 2", 2, 200, "3"),
        ("GET", "a on-request set-retry 0 1", 2, 502, "2"),
        ("GET", "a on-response property upstream.name", 1, 502, "1"),
        ("PUT", "a on-request-body set-retry 0 1", 1, 200, "2"),
        // The upstream may have acted on it.
        ("POST", "a on-request set-retry 0 2", 1, 502, "1"),
    ] {
        let mut script = vec![Turn::Reset; turns];
        script.push(Turn::Answer(200));
        let main = Upstream::flaky(&script);
        let gateway = abc(&main).await;
        let body = if request == "GET" { "" } else { "hello" };
        let orders = [orders, "b on-response property upstream.tries"];
        let request = with(Request::new(request, "/main").body(body), &orders);
        let (answer, lines) = exchange(&gateway, &request, 3).await;
        assert_eq!(answer.status, status, "{request:?}");
        let told = format!("b on-response property={tries}");
        assert!(lines.contains(&told), "{told} in {lines:?}");
        let received = main.requests();
        assert_eq!(received.len().to_string(), tries, "{request:?}");
        assert!(received.iter().all(|r| r.text() == body), "{received:?}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn nothing_was_sent_to_an_upstream_that_cannot_be_reached_so_any_request_goes_again() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = traced(&main)
        .upstream_with("dead", &[Upstream::nowhere()], "")
        .toml(ENTRIES)
        .toml("[[routes]]\nname = 'dead'\npipeline = ['a']\nupstream = 'dead'\n")
        .start()
        .await;
    let orders = [
        "a on-request set-retry 0 3",
        "a on-response property upstream.tries",
    ];
    let (answer, lines) = exchange(&gateway, &post("hello", &orders), 1).await;
    assert_eq!(answer.problem(), "upstream-connect-failed");
    assert_eq!(result(&lines, "property"), "4");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_try_that_takes_too_long_makes_room_for_the_next() {
    let gate = Gate::closed();
    let main = Upstream::raw([Step::Request, Step::Wait(gate.clone())]);
    let gateway = abc(&main).await;
    let began = Instant::now();
    let answer = gateway.send(&get(&["a on-request set-retry 80 2"])).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (504, "upstream-timeout")
    );
    assert!(began.elapsed() >= Duration::from_millis(240));
    assert_eq!(main.requests().len(), 3);
    gate.open_for_good();
    gateway.shutdown().await;
}

#[tokio::test]
async fn tries_are_bounded_and_belong_to_the_request() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = [
        "a on-request set-retry 0 11",
        "b on-response set-retry 0 1",
        "c on-finish set-retry 0 1",
    ];
    let (_, called) = exchange(&gateway, &get(&orders), 3).await;
    // What a hook did is said after it was called.
    let results = eventually("three results", async || {
        let results: Vec<_> = lines(&gateway)
            .into_iter()
            .filter(|line| line.contains("set-retry"))
            .collect();
        (results.len() == orders.len()).then_some(results)
    });
    assert_eq!(
        results.await,
        [
            "a on-request set-retry=limit",
            "b on-response set-retry=wrong-phase",
            "c on-finish set-retry=wrong-phase",
        ]
    );
    assert_eq!(hooks(&called).len(), 12, "{called:?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn tries_that_a_hook_asks_for_are_those_of_the_budget() {
    let main = Upstream::reset();
    let gateway = traced(&main)
        .upstream_with(
            "poor",
            &[main.address()],
            "retry-budget = { percent = 0, min-per-second = 0 }",
        )
        .toml(ENTRIES)
        .toml("[[routes]]\nname = 'poor'\npipeline = ['a']\nupstream = 'poor'\n")
        .start()
        .await;
    let answer = gateway.send(&get(&["a on-request set-retry 0 5"])).await;
    assert_eq!(answer.problem(), "upstream-reset");
    assert_eq!(main.requests().len(), 1);
    let refused = "portcullis_upstream_retry_budget_exhausted_total{upstream=\"poor\"}";
    assert_eq!(gateway.metric(refused).await, Some(1.0));
    gateway.shutdown().await;
}
