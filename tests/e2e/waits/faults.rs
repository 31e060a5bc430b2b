//! What goes wrong while a plugin waits costs its own exchange, within its time.

use std::time::Duration;

use portcullis_tests::upstream::Step;
use tokio::time::Instant;

use super::*;

#[tokio::test]
async fn a_target_that_never_answers_costs_the_time_that_the_hook_has() {
    let (slow, _gate) = Upstream::slow(&["never"]);
    let entry = format!("{}\ntimeout = '300ms'\n", granted(slow.address()));
    let up = up();
    let gateway = front(&up, &entry).start().await;
    let began = Instant::now();
    assert_eq!(
        told(&gateway, &format!("send GET http://{}/", slow.address())).await,
        "timed out"
    );
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(
        told(&gateway, &format!("within 20 http://{}/", slow.address())).await,
        "timed out"
    );
    assert!(
        began.elapsed() < Duration::from_millis(250),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(gateway.send(&Request::get("/")).await.text(), "up");
}

#[tokio::test]
async fn targets_that_fail_are_problems_of_the_plugin_not_faults() {
    let (nowhere, reset) = (Upstream::nowhere(), Upstream::reset());
    let entry = format!("allow.http = ['http://{nowhere}', 'http://{}']", reset.address());
    let gateway = front(&up(), &entry).start().await;
    for address in [nowhere, reset.address()] {
        let told = told(&gateway, &format!("send GET http://{address}/")).await;
        assert!(told.starts_with("failed: "), "{told}");
    }
}

#[tokio::test]
async fn a_panic_after_a_wait_is_one_answer_and_the_next_request_works() {
    let other = up();
    let gateway = front(&up(), &granted(other.address())).start().await;
    let answer = gateway
        .send(&order(&format!("panic-after http://{}/", other.address())))
        .await;
    assert!(is_fault(&answer), "{}", answer.text());
    assert_eq!(
        told(&gateway, &format!("send GET http://{}/", other.address())).await,
        "200 up"
    );
}

#[tokio::test]
async fn a_client_that_leaves_while_its_plugin_waits_leaves_nothing_behind() {
    let (other, silent) = (up(), Upstream::raw([Step::Request, Step::Drain]));
    let entry = format!(
        "allow.http = ['http://{}', 'http://{}']",
        silent.address(),
        other.address()
    );
    let gateway = front(&other, &entry).start().await;
    let mut client = gateway.connect().await;
    let silence = format!("send GET http://{}/", silent.address());
    client.send(&order(&silence)).await.unwrap();
    silent.wait_for_requests(1).await;
    drop(client);
    // What it waited for is given up, too.
    eventually("the connection is closed", async || {
        (silent.open() == 0).then_some(())
    })
    .await;
    eventually("one instance", async || {
        instances(&gateway).await.filter(|n| *n == 1)
    })
    .await;
    let text = format!("send GET http://{}/", other.address());
    assert_eq!(told(&gateway, &text).await, "200 up");
}
