//! Who answers in place of an upstream that failed.

use portcullis_tests::upstream::{Gate, Step, Turn};
use portcullis_tests::{Gateway, Request, Upstream};

use super::{front, of, up};

const STATIC: &str = "fallback = { status = 203, body = 'later', headers = { x-from = 'here' } }";

#[tokio::test]
async fn a_static_answer_stands_in_for_an_upstream_that_cannot_be_reached() {
    let gateway = front(&[Upstream::nowhere()], STATIC).start().await;
    for request in [
        Request::get("/"),
        Request::post("/", "hello"),
        Request::new("POST", "/").chunks(["a"]),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!((answer.status, answer.text()), (203, "later"));
        assert_eq!(answer.header("x-from"), Some("here"));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let head = gateway.send(&Request::new("HEAD", "/")).await;
    assert_eq!((head.status, head.header("content-length")), (203, Some("5")));
    assert_eq!(up(&gateway, "fallbacks").await, 4.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_static_answer_stands_in_for_every_sort_of_failure_but_not_for_a_response() {
    let gate = Gate::closed();
    for (upstream, keys, status) in [
        (Upstream::reset(), "", 203),
        (
            Upstream::raw([Step::Request, Step::send("nonsense\r\n\r\n")]),
            "",
            203,
        ),
        (
            Upstream::raw([Step::Request, Step::Wait(gate.clone())]),
            "first-byte-timeout = '50ms'",
            203,
        ),
        (Upstream::fixed(503, &[], ""), "", 503),
        (Upstream::fixed(503, &[], ""), "retries.attempts = 0", 203),
        (Upstream::fixed(500, &[], ""), "retries = {}", 500),
    ] {
        let gateway = front(&[upstream.address()], &format!("{STATIC}\n{keys}"))
            .start()
            .await;
        assert_eq!(gateway.get("/").await.status, status, "{keys}");
        gateway.shutdown().await;
    }
    gate.open_for_good();
}

#[tokio::test]
async fn another_upstream_gets_the_request_once_the_tries_are_used_up() {
    let (main, other) = (Upstream::reset(), Upstream::echo());
    let gateway = front(&[main.address()], "fallback = 'other'\nretries.attempts = 1")
        .upstream("other", &other)
        .start()
        .await;
    let answer = gateway.send(&Request::new("PUT", "/a?b").body("hello")).await;
    assert_eq!((answer.status, &answer.json()["body"]), (200, &"hello".into()));
    assert_eq!((main.requests().len(), other.requests().len()), (2, 1));
    assert_eq!(
        (
            up(&gateway, "fallbacks").await,
            of(&gateway, "requests", "other").await
        ),
        (1.0, 1.0)
    );
    let failovers = "portcullis_upstream_retries_total{upstream=\"other\",reason=\"failover\"}";
    assert_eq!(gateway.metric(failovers).await, Some(1.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_may_have_done_something_is_not_given_to_another_upstream() {
    let other = Upstream::echo();
    let gateway = front(&[Upstream::nowhere()], "fallback = 'other'")
        .upstream("other", &other)
        .start()
        .await;
    let request = Request::new("POST", "/").chunks(["nothing", "was", "sent"]);
    let answer = gateway.send(&request).await;
    assert_eq!(
        (answer.status, &answer.json()["body"]),
        (200, &"nothingwassent".into())
    );
    gateway.shutdown().await;

    let (main, other) = (Upstream::reset(), Upstream::echo());
    let gateway = front(&[main.address()], "fallback = 'other'")
        .upstream("other", &other)
        .start()
        .await;
    let answer = gateway.send(&Request::post("/", "hello")).await;
    assert_eq!(
        (answer.problem().as_str(), other.requests().len()),
        ("upstream-reset", 0)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn fallbacks_have_fallbacks() {
    let flaky = Upstream::flaky(&[Turn::Reset, Turn::Answer(204)]);
    let gateway = front(&[Upstream::nowhere()], "fallback = 'second'")
        .upstream_with("second", &[flaky.address()], "fallback = 'third'")
        .upstream_with("third", &[Upstream::nowhere()], STATIC)
        .start()
        .await;
    assert_eq!(gateway.get("/").await.status, 203);
    assert_eq!(gateway.get("/").await.status, 204);
    assert_eq!(flaky.requests().len(), 2);
    gateway.shutdown().await;
}

#[tokio::test]
async fn fallbacks_in_a_circle_are_refused() {
    let error = Gateway::new()
        .upstream_with("a", &[Upstream::nowhere()], "fallback = 'b'")
        .upstream_with("b", &[Upstream::nowhere()], "fallback = 'a'")
        .toml("[[routes]]\nname = 'all'\nupstream = 'a'\n")
        .try_start()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the fallbacks of `a` lead back to it: a -> b -> a"),
        "{error}"
    );
}
