//! Ejection of endpoints that fail in a row.

use portcullis_tests::Request;
use portcullis_tests::endpoint::Mode;
use portcullis_tests::patience::eventually;

use super::{endpoint, endpoints, front, logged, wait_for_available, wait_for_reason};

#[tokio::test]
async fn an_endpoint_that_fails_in_a_row_sits_out_for_its_time() {
    let [good, bad] = endpoints().await;
    bad.set(Mode::Answer(503));
    let keys = "outlier = { consecutive-gateway-errors = 3, base-time = '1s' }";
    let gateway = front(&[&good, &bad], keys).workers(1).start().await;
    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(gateway.get("/").await.status == 503);
    }
    assert_eq!((failed, bad.requests()), (3, 3));
    wait_for_reason(&gateway, &bad, "ejected").await;
    let address = bad.address().to_string();
    let fields = [("upstream", "up"), ("endpoint", &*address)];
    let ejected = "an endpoint failed too often in a row and is not used for a while";
    assert!(logged(&gateway, "WARN", ejected, &fields));
    let ejections =
        format!("portcullis_upstream_endpoint_ejections_total{{upstream=\"up\",endpoint=\"{address}\"}}");
    assert_eq!(gateway.metric(&ejections).await, Some(1.0));

    bad.set(Mode::Answer(200));
    wait_for_available(&gateway, &bad).await;
    assert!(logged(
        &gateway,
        "INFO",
        "an endpoint that was ejected is used again",
        &fields
    ));
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert!(bad.requests() > 3);
    gateway.shutdown().await;
}

#[tokio::test]
async fn no_more_than_the_part_that_may_be_sits_out() {
    let all: [_; 4] = endpoints().await;
    all.iter().for_each(|each| each.set(Mode::Answer(500)));
    let keys = "outlier = { consecutive-5xx = 2, max-percent = 50 }";
    let gateway = front(&all.each_ref(), keys).start().await;
    for _ in 0..40 {
        assert_eq!(gateway.get("/").await.status, 500);
    }
    let status = gateway.status().await;
    let out = all
        .iter()
        .filter(|each| endpoint(&status, each)["state"] == "unavailable");
    assert_eq!(out.count(), 2);
    gateway.shutdown().await;
}

#[tokio::test]
async fn clients_that_leave_eject_nobody_and_open_no_breaker() {
    let [hung] = endpoints().await;
    hung.set(Mode::Hang);
    let keys = "outlier = { consecutive-5xx = 2, max-percent = 100 }\nbreaker = { consecutive-errors = 2, scope = 'both' }";
    let gateway = front(&[&hung], keys).start().await;
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client.send(&Request::get("/")).await.unwrap();
        hung.wait_for_at_once(1).await;
        drop(client);
        hung.wait_for_at_once(0).await;
    }
    eventually("exchanges that have ended", async || {
        let status = gateway.status().await;
        (endpoint(&status, &hung)["in-flight"] == 0).then_some(())
    })
    .await;
    hung.set(Mode::Answer(200));
    assert_eq!(gateway.get("/").await.status, 200);
    let status = gateway.status().await;
    assert_eq!(endpoint(&status, &hung)["state"], "available");
    assert_eq!(super::breaker(&status), "closed");
    gateway.shutdown().await;
}
