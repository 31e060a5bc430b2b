//! Filters that break bodies off or fail, and clients that leave.

use portcullis_tests::message::Framing;
use portcullis_tests::{Gateway, Upstream};

use super::{get, instances, post, said, says, sieves};

/// Pieces of the body of an answer that breaks off.
async fn broken(gateway: &Gateway, orders: &[&str]) -> Vec<u8> {
    let mut client = gateway.connect().await;
    client.send(&get(orders)).await.unwrap();
    let (status, head) = client.receive_head().await.unwrap();
    assert_eq!(status, 200);
    let framing = head.fields.framing(Framing::Close).unwrap();
    let mut body = Vec::new();
    let end = client
        .pieces(framing, |piece| body.extend_from_slice(piece))
        .await;
    end.unwrap_err();
    body
}

#[tokio::test]
async fn a_request_that_is_broken_off_is_answered_with_an_error() {
    let main = Upstream::echo().tolerant();
    let gateway = sieves(&main, &["", "cpu = '50ms'"]).start().await;
    for order in ["request abort 3", "request abort-at-end"] {
        let answer = gateway.send(&post("hello", &[order])).await;
        assert_eq!(
            (answer.status, answer.problem()),
            (400, "body-filter-aborted".to_owned())
        );
        assert_eq!(answer.json()["detail"], "as ordered");
        assert_eq!(
            gateway.send(&post("hello", &["request upper"])).await.json()["body"],
            "HELLO"
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_that_is_broken_off_does_not_end_as_if_it_were_whole() {
    let main = Upstream::fixed(200, &[], vec![b'x'; 300_000]);
    let gateway = sieves(&main, &["", "cpu = '50ms'"]).start().await;
    let body = broken(&gateway, &["response abort 150000"]).await;
    assert!(body.len() <= 150_000, "{}", body.len());
    says(&gateway, &format!("200 0 {} aborted", body.len())).await;
    let counted = gateway
        .metric("portcullis_http_errors_total{code=\"body-filter-aborted\",origin=\"plugin\"}")
        .await;
    assert_eq!(counted, Some(1.0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_filter_that_fails_is_answered_for_or_skipped() {
    let main = Upstream::echo().tolerant();
    let gateway = sieves(&main, &[""]).allow_errors().start().await;
    let answer = gateway.send(&post("hello", &["request panic 3"])).await;
    assert_eq!(
        (answer.status, answer.problem()),
        (503, "plugin-fault".to_owned())
    );
    assert_eq!(
        gateway.send(&post("hello", &["request upper"])).await.json()["body"],
        "HELLO"
    );
    gateway.shutdown().await;
    for keys in ["on-fault = 'skip'", "on-fault = 'skip'\ncpu = '20ms'"] {
        let gateway = sieves(&main, &[keys]).allow_errors().start().await;
        for fault in ["request panic 3", "request spin 3"] {
            let answer = gateway.send(&post("hello", &[fault])).await;
            assert_eq!(answer.json()["body"], "hello", "{fault}");
        }
        // What it has given in place of what came cannot be taken back.
        let answer = gateway
            .send(&post("hello", &["request panic 3", "request copy"]))
            .await;
        assert_eq!(answer.json()["body"], "hello");
        let mut changed = vec![b'x'; 200_000];
        changed.push(b'.');
        let answer = gateway
            .send(&post(changed, &["request panic 100000", "request copy"]))
            .await;
        assert_eq!(
            (answer.status, answer.problem()),
            (503, "plugin-fault".to_owned())
        );
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_filter_that_fails_in_a_response_breaks_it_off() {
    let main = Upstream::fixed(200, &[], vec![b'x'; 300_000]);
    let gateway = sieves(&main, &[""]).allow_errors().start().await;
    for fault in ["response panic 150000", "response spin 150000"] {
        let body = broken(&gateway, &[fault]).await;
        assert!(body.len() <= 150_000, "{}", body.len());
    }
    let answer = gateway.send(&get(&["response upper"])).await;
    assert_eq!(answer.body, vec![b'X'; 300_000]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_gives_the_instance_back() {
    let main = Upstream::huge(200_000_000);
    let gateway = sieves(&main, &["max-leases = 1"]).start().await;
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.send(&get(&["response upper"])).await.unwrap();
        client.receive_head().await.unwrap();
        client.reset().unwrap();
    }
    let left = portcullis_tests::patience::eventually("three ends", async || {
        let lines = said(&gateway);
        let left: Vec<_> = lines
            .into_iter()
            .filter(|line| line.ends_with("aborted"))
            .collect();
        (left.len() == 3).then_some(left)
    })
    .await;
    assert!(left.iter().all(|line| line.starts_with("200 ")), "{left:?}");
    instances(&gateway, |count| count <= 3.0).await;
    gateway.shutdown().await;
}
