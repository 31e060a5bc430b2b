//! Single flight: one leads, the others wait for it, and nobody waits for a leader that is gone.

use super::*;

/// Waits for so long, more than any test takes.
const LONG: u64 = 60_000;

fn entry(slow: &Upstream) -> String {
    format!(
        "{}\nallow.flights = true\ntimeout = '1m'\n",
        granted(slow.address())
    )
}

#[tokio::test]
async fn one_does_the_work_and_the_others_take_its_result() {
    let (slow, gate) = Upstream::slow(&["done"]);
    let gateway = front(&up(), &entry(&slow)).start().await;
    let fly = order(&format!("fly k {LONG} http://{}/", slow.address()));
    let send = || async { gateway.send(&fly).await.text().to_owned() };
    let open = async {
        slow.wait_for_requests(1).await;
        // The others have an instance each, and wait in it.
        eventually("three instances", async || {
            instances(&gateway).await.filter(|n| *n >= 3)
        })
        .await;
        gate.open_for_good();
    };
    let (a, b, c, ()) = tokio::join!(send(), send(), send(), open);
    let mut all = [a, b, c];
    all.sort();
    assert_eq!(all, ["followed: 200 done", "followed: 200 done", "led: 200 done"]);
    assert_eq!(slow.requests().len(), 1);
}

#[tokio::test]
async fn a_follower_waits_no_longer_than_it_wants_to() {
    let (slow, gate) = Upstream::slow(&["done"]);
    let gateway = front(&up(), &entry(&slow)).start().await;
    let lead = order(&format!("fly k 0 http://{}/", slow.address()));
    let follow = async {
        slow.wait_for_requests(1).await;
        let told = told(&gateway, &format!("fly k 10 http://{}/", slow.address())).await;
        gate.open_for_good();
        told
    };
    let (led, followed) = tokio::join!(gateway.send(&lead), follow);
    assert_eq!((led.text(), &*followed), ("led: 200 done", "timed out"));
}

#[tokio::test]
async fn a_leader_that_leaves_or_fails_lets_the_others_go_on() {
    let (slow, gate) = Upstream::slow(&["done"]);
    let gateway = front(&up(), &entry(&slow)).start().await;
    let uri = format!("http://{}/", slow.address());
    let lead = order(&format!("fly k {LONG} {uri}"));
    let mut leader = gateway.connect().await;
    leader.send(&lead).await.unwrap();
    slow.wait_for_requests(1).await;
    let follow = async {
        let told = told(&gateway, &format!("fly k {LONG} {uri}")).await;
        assert_eq!(told, "followed: ");
    };
    let leave = async {
        eventually("two instances", async || {
            instances(&gateway).await.filter(|n| *n >= 2)
        })
        .await;
        drop(leader);
    };
    tokio::join!(follow, leave);
    gate.open_for_good();
    assert_eq!(
        told(&gateway, &format!("fly k {LONG} {uri}")).await,
        "led: 200 done"
    );
}
