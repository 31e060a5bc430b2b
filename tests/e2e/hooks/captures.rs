//! Copies of bodies for `on-finish`: as they went over the wire, whole or not at all.

use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, Request, Upstream};

use super::trace::{ENTRIES, abc, exchange, finished, get, lines, post, traced, with};

/// No entry has the body buffered.
const STREAMED: [&str; 6] = [
    "a on-request skip-request-body",
    "b on-request skip-request-body",
    "c on-request skip-request-body",
    "a on-request skip-response-body",
    "b on-request skip-response-body",
    "c on-request skip-response-body",
];

/// The lines from `before` on that tell of copies, once there are `count`: a hook's own line comes before those of what it does.
async fn copies(gateway: &Gateway, before: usize, count: usize) -> Vec<String> {
    eventually("the copies", async || {
        let told = lines(gateway).split_off(before);
        let told: Vec<_> = told
            .into_iter()
            .filter(|line| line.contains("captured="))
            .collect();
        (told.len() >= count).then_some(told)
    })
    .await
}

#[tokio::test]
async fn a_stage_gets_the_bodies_that_it_asked_for() {
    let main = Upstream::fixed(200, &[], "the answer");
    let gateway = abc(&main).await;
    let asked = [
        "a on-request capture request 5",
        "a on-request capture response 100",
        "b on-request capture request 4",
        "b on-response capture response 9",
        "a on-finish captured request",
        "a on-finish captured response",
        "b on-finish captured request",
        "b on-finish captured response",
        "c on-finish captured response",
        // Before the end there is none.
        "a on-response captured request",
    ];
    for buffered in [true, false] {
        let mut orders = asked.to_vec();
        if !buffered {
            orders.extend(STREAMED);
        }
        let before = lines(&gateway).len();
        let (answer, _) = exchange(&gateway, &post("hello", &orders), 3).await;
        assert_eq!(answer.text(), "the answer");
        let told = copies(&gateway, before, 6).await;
        assert_eq!(
            told,
            [
                "a on-response captured=none",
                "a on-finish captured=hello",
                "a on-finish captured=the answer",
                "b on-finish captured=none",
                "b on-finish captured=none",
                "c on-finish captured=none",
            ],
            "buffered: {buffered}"
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn pieces_become_one_copy_and_an_empty_body_is_a_body() {
    let (main, gate) = Upstream::slow(&["first ", "second ", "third"]);
    gate.open_for_good();
    let gateway = abc(&main).await;
    let mut orders = STREAMED.to_vec();
    orders.extend([
        "b on-request capture response 18",
        "b on-request capture request 0",
        "b on-finish captured response",
        "b on-finish captured request",
    ]);
    let (_, lines) = exchange(&gateway, &get(&orders), 3).await;
    let told: Vec<_> = lines.iter().filter(|line| line.contains("captured=")).collect();
    assert_eq!(
        told,
        ["b on-finish captured=first second third", "b on-finish captured="]
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_copy_is_what_went_out_not_what_came_in() {
    let main = Upstream::fixed(200, &[], "the answer");
    let gateway = abc(&main).await;
    let orders = [
        "b on-request-body replace other",
        "c on-response-body replace another",
        "a on-request capture request 99",
        "a on-request capture response 99",
        "a on-finish captured request",
        "a on-finish captured response",
    ];
    let (_, lines) = exchange(&gateway, &post("hello", &orders), 3).await;
    let told: Vec<_> = lines.iter().filter(|line| line.contains("captured=")).collect();
    assert_eq!(
        told,
        ["a on-finish captured=other", "a on-finish captured=another"]
    );
    assert_eq!(main.only_request().text(), "other");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_answer_of_a_plugin_and_an_error_are_copied_too() {
    let main = Upstream::fixed(200, &[], "the answer");
    let gateway = abc(&main).await;
    let asked = [
        "a on-request capture response 999",
        "a on-finish captured response",
    ];
    for (verdict, copy) in [
        ("b on-request respond text", "text"),
        (
            "b on-request refuse why",
            "{\"type\":\"urn:portcullis:plugin-error:trace-refused",
        ),
    ] {
        let (_, lines) = exchange(&gateway, &get(&[asked[0], asked[1], verdict]), 2).await;
        let told = format!("a on-finish captured={copy}");
        assert!(lines.iter().any(|line| line.starts_with(&told)), "{lines:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_capture_has_the_bound_of_its_entry() {
    let main = Upstream::fixed(200, &[], "the answer");
    let gateway = traced(&main)
        .toml(&ENTRIES.replace("[plugins.b]", "max-body = '9B'\n[plugins.b]"))
        .toml("[[routes]]\nname = 'main'\npipeline = ['a', 'b']\nupstream = 'main'\n")
        .start()
        .await;
    let mut orders = STREAMED.to_vec();
    orders.extend([
        "a on-request capture response 100",
        "b on-request capture response 100",
        "a on-finish captured response",
        "b on-finish captured response",
    ]);
    exchange(&gateway, &get(&orders), 2).await;
    let told = copies(&gateway, 0, 2).await;
    assert_eq!(
        told,
        ["a on-finish captured=none", "b on-finish captured=the answer"]
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn when_the_client_leaves_the_rest_is_read_for_those_who_want_it() {
    for (capture, copy) in [
        ("a on-request capture response 99", "none"),
        ("a on-request capture response 99 finish", "first second"),
        // Longer than wanted: nothing is read on for it.
        ("a on-request capture response 9 finish", "none"),
    ] {
        let (main, gate) = Upstream::slow(&["first ", "second"]);
        let gateway = abc(&main).await;
        let mut client = gateway.connect().await;
        let mut orders = STREAMED.to_vec();
        orders.extend([capture, "a on-finish captured response"]);
        client.send(&with(Request::get("/main"), &orders)).await.unwrap();
        gate.open(2);
        assert_eq!(client.receive_head().await.unwrap().0, 200);
        client.reset().unwrap();
        gate.open_for_good();
        let lines = finished(&gateway, 0, 3).await;
        assert!(
            lines.contains(&format!("a on-finish captured={copy}")),
            "{capture}: {lines:?}"
        );
        gateway.shutdown().await;
    }
}
