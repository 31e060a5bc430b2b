//! The end of an exchange: every stage reached is told, whatever the end was.

use portcullis_tests::upstream::Step;
use portcullis_tests::{Request, Upstream};

use super::trace::{abc, exchange, finished, get, hooks, with};

#[tokio::test]
async fn only_stages_that_were_reached_are_told() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let (_, lines) = exchange(&gateway, &get(&["a on-request refuse"]), 1).await;
    assert_eq!(hooks(&lines), ["a on-request", "a on-error", "a on-finish"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn on_finish_can_read_the_exchange_and_edit_nothing() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = [
        "a on-request set-state kept",
        "a on-request set-attribute mine=1",
        "b on-finish header x-do",
        "b on-finish attribute mine",
        "b on-finish status",
        "a on-finish state",
        "a on-finish set-attribute mine=2",
        "a on-finish set-request-header 1",
        "a on-finish set-response-header 1",
        "a on-finish set-status 201",
        "a on-finish set-upstream main",
    ];
    let (_, lines) = exchange(&gateway, &get(&orders), 3).await;
    let first = lines.iter().position(|line| line.contains("on-finish")).unwrap();
    assert_eq!(
        lines[first..],
        [
            "a on-finish 200 0 6 complete",
            "a on-finish state=kept",
            "a on-finish set-attribute=wrong-phase",
            "a on-finish set-request-header=wrong-phase",
            "a on-finish set-response-header=wrong-phase",
            "a on-finish set-status=wrong-phase",
            "a on-finish set-upstream=wrong-phase",
            "b on-finish 200 0 6 complete",
            "b on-finish header=a on-request set-state kept",
            "b on-finish attribute=1",
            "b on-finish status=200",
            "c on-finish 200 0 6 complete",
        ]
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_is_an_end_too() {
    let (main, gate) = Upstream::slow(&["never"]);
    let gateway = abc(&main).await;
    let mut client = gateway.connect().await;
    client.send(&get(&[])).await.unwrap();
    main.wait_for_requests(1).await;
    client.reset().unwrap();
    let lines = finished(&gateway, 0, 3).await;
    assert_eq!(
        lines[3..],
        [
            "a on-finish 499 0 0 aborted",
            "b on-finish 499 0 0 aborted",
            "c on-finish 499 0 0 aborted",
        ]
    );
    gate.open_for_good();
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_within_its_answer_is_an_end_too() {
    let (main, gate) = Upstream::slow(&["first", "never"]);
    let gateway = abc(&main).await;
    let mut client = gateway.connect().await;
    let orders = ["a", "b", "c"].map(|entry| format!("{entry} on-request skip-response-body"));
    client
        .send(&get(&orders.each_ref().map(String::as_str)))
        .await
        .unwrap();
    gate.open(2);
    assert_eq!(client.receive_head().await.unwrap().0, 200);
    client.reset().unwrap();
    let lines = finished(&gateway, 0, 3).await;
    let last = lines.last().unwrap();
    assert!(
        last.starts_with("c on-finish 200 0 ") && last.ends_with(" aborted"),
        "{last}"
    );
    gate.open_for_good();
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_tunnel_is_the_end_of_its_exchange() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello";
    let main = Upstream::raw([Step::Head, Step::send(head), Step::Drain]);
    let gateway = abc(&main).await;
    let mut client = gateway.connect().await;
    let request = get(&["b on-finish status"])
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    client.send(&request).await.unwrap();
    assert_eq!(client.receive_head().await.unwrap().0, 101);
    client.write(b"123").await.unwrap();
    client.finish().await.unwrap();
    let lines = finished(&gateway, 0, 3).await;
    assert_eq!(
        lines,
        [
            "a on-request",
            "b on-request",
            "c on-request",
            "c on-response 101",
            "b on-response 101",
            "a on-response 101",
            "a on-finish 101 3 5 complete",
            "b on-finish 101 3 5 complete",
            "b on-finish status=101",
            "c on-finish 101 3 5 complete",
        ]
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_its_answer_is_an_end_too() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let main = Upstream::raw([Step::Request, Step::send(head)]);
    let gateway = abc(&main).await;
    let orders = ["a", "b", "c"].map(|entry| format!("{entry} on-request skip-response-body"));
    let request = with(Request::get("/main"), &orders.each_ref().map(String::as_str));
    gateway.try_send(&request).await.unwrap_err();
    let lines = finished(&gateway, 0, 3).await;
    assert_eq!(lines.last().unwrap(), "c on-finish 200 0 4 aborted");
    gateway.shutdown().await;
}
