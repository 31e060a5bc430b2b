//! How many requests each endpoint gets.

use portcullis_tests::{Gateway, Request, Upstream, client};
use tokio::task::JoinSet;

use super::{counts, endpoints, front, servers};

async fn gets(gateway: &Gateway, count: usize) {
    for _ in 0..count {
        assert_eq!(gateway.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn turns_follow_the_weights() {
    let servers = servers::<3>();
    let [a, b, c] = &servers;
    let keys = format!(
        "endpoints = [{{ address = '{}', weight = 3 }}, '{}', {{ address = '{}', weight = 2 }}]",
        a.address(),
        b.address(),
        c.address()
    );
    let gateway = front(&keys).workers(1).start().await;
    gets(&gateway, 30).await;
    assert_eq!(counts(&servers), [15, 5, 10]);
    let status = gateway.status().await;
    let shown = &status["upstreams"][0]["endpoints"];
    assert_eq!((&shown[0]["weight"], &shown[1]["weight"]), (&3.into(), &1.into()));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_reload_changes_weights_and_endpoints() {
    let servers = servers::<3>();
    let [a, b, c] = &servers;
    let text = |endpoints: &str| {
        format!("[upstreams.up]\nendpoints = [{endpoints}]\n[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
    };
    let gateway = Gateway::new()
        .toml(&text(&format!("'{}', '{}'", a.address(), b.address())))
        .workers(1)
        .start()
        .await;
    gets(&gateway, 4).await;
    assert_eq!(counts(&servers), [2, 2, 0]);
    let next = format!("'{}', {{ address = '{}', weight = 3 }}", a.address(), c.address());
    gateway.write_toml(&text(&next));
    gateway.wait_for(|status| status["generation"] == 2).await;
    gets(&gateway, 8).await;
    assert_eq!(counts(&servers), [4, 2, 6]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn random_choices_reach_every_endpoint() {
    let servers = servers::<3>();
    let keys = format!("{}\nbalance = 'random'", endpoints(&servers));
    let gateway = front(&keys).start().await;
    gets(&gateway, 90).await;
    let counts = counts(&servers);
    // Fewer than 8 of 90 happen once in 10^8 runs.
    assert!(counts.iter().all(|count| *count >= 8), "{counts:?}");
    gateway.shutdown().await;
}

/// What one worker has in flight counts for the others, too.
#[tokio::test]
async fn an_endpoint_that_hangs_gets_no_more_where_load_or_latency_count() {
    for policy in ["least-request", "peak-ewma"] {
        let (hung, gate) = Upstream::slow(&["late"]);
        let fast = Upstream::fixed(200, &[], "ok");
        let servers = [hung, fast];
        let keys = format!("{}\nbalance = '{policy}'", endpoints(&servers));
        let gateway = front(&keys).start().await;
        let address = gateway.address();
        let mut clients = JoinSet::new();
        // A tie is decided at random: one of them meets the endpoint that hangs.
        for sent in 1.. {
            clients.spawn(async move {
                client::send(address, &Request::get("/"))
                    .await
                    .expect("an answer")
            });
            portcullis_tests::patience::eventually("the request at one of them", async || {
                (counts(&servers).iter().sum::<usize>() == sent).then_some(())
            })
            .await;
            if !servers[0].requests().is_empty() {
                break;
            }
        }
        let before = servers[1].requests().len();
        gets(&gateway, 40).await;
        assert_eq!(counts(&servers), [1, before + 40], "{policy}");
        gate.open_for_good();
        for answer in clients.join_all().await {
            assert_eq!(answer.status, 200);
        }
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn endpoints_of_the_own_zone_are_preferred_and_others_stand_in() {
    let servers = servers::<3>();
    let [a, b, c] = &servers;
    let zone = |upstream: &Upstream, zone: &str| {
        format!("{{ address = '{}', zone = '{zone}' }}", upstream.address())
    };
    let keys = format!(
        "endpoints = [{}, {}, {}]",
        zone(a, "a"),
        zone(b, "b"),
        zone(c, "a")
    );
    let gateway = front(&keys).gateway("zone = 'a'").workers(1).start().await;
    gets(&gateway, 10).await;
    assert_eq!(counts(&servers), [5, 0, 5]);
    a.stop();
    c.stop();
    gets(&gateway, 3).await;
    assert_eq!(counts(&servers), [5, 3, 5]);
    gateway.shutdown().await;
}
