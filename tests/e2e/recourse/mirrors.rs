//! Copies of requests for a second upstream.

use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::{Gate, Step};
use portcullis_tests::websocket::{Client, EchoServer};
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};

use super::of;

/// A route to `main` whose requests `shadow` gets copies of.
fn mirrored(main: &Upstream, shadow: std::net::SocketAddr, keys: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream("main", main)
        .upstream_with("shadow", &[shadow], "")
        .toml("[[routes]]\nname = 'all'\nupstream = 'main'\n[routes.mirror]\nupstream = 'shadow'\n")
        .toml(keys)
}

#[tokio::test]
async fn the_copy_is_the_same_request_byte_for_byte() {
    for request in [
        Request::get("/a?b=c").header("x-a", "b").header("cookie", "d"),
        Request::new("HEAD", "/"),
        Request::post("/", "hello"),
    ] {
        let (main, shadow) = (Upstream::echo(), Upstream::fixed(500, &[], "not for the client"));
        let gateway = mirrored(&main, shadow.address(), "").start().await;
        assert_eq!(gateway.send(&request).await.status, 200);
        let copies = shadow.wait_for_requests(1).await;
        assert_eq!(copies[0].raw, main.only_request().raw, "{request:?}");
        assert_eq!(of(&gateway, "mirrored", "shadow").await, 1.0);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_body_that_streams_is_copied_up_to_a_bound() {
    let (main, shadow) = (Upstream::echo(), Upstream::echo());
    let gateway = mirrored(&main, shadow.address(), "max-body = '6B'\n")
        .start()
        .await;
    let short = Request::post("/short", "")
        .chunks(["one", "two"])
        .trailer("x-t", "1");
    let long = Request::post("/long", "").chunks(["one", "four"]);
    for request in [
        &long,
        &short,
        &Request::post("/whole", "longer"),
        &Request::post("/over", "too long"),
    ] {
        assert_eq!(gateway.send(request).await.status, 200);
    }
    let copies = shadow.wait_for_requests(2).await;
    let mut copied: Vec<_> = copies
        .iter()
        .map(|copy| (copy.target.as_str(), copy.text()))
        .collect();
    copied.sort_unstable();
    assert_eq!(copied, [("/short", "onetwo"), ("/whole", "longer")]);
    eventually("both that were left out", async || {
        (of(&gateway, "mirror_dropped", "shadow").await == 2.0).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_shadow_that_is_dead_or_silent_is_not_noticed() {
    let main = Upstream::echo();
    let gateway = mirrored(&main, Upstream::nowhere(), "").start().await;
    for _ in 0..3 {
        assert_eq!(gateway.send(&Request::post("/", "hello")).await.status, 200);
    }
    eventually("failed copies", async || {
        let failures = "portcullis_upstream_failures_total{upstream=\"shadow\",kind=\"connect\"}";
        (gateway.metric(failures).await == Some(3.0)).then_some(())
    })
    .await;
    gateway.shutdown().await;

    let gate = Gate::closed();
    let silent = Upstream::raw([Step::Request, Step::Wait(gate.clone())]);
    let gateway = mirrored(&main, silent.address(), "max-concurrent = 2\n")
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    silent.wait_for_requests(2).await;
    let counts = (
        of(&gateway, "mirrored", "shadow").await,
        of(&gateway, "mirror_dropped", "shadow").await,
    );
    assert_eq!(counts, (2.0, 3.0));
    // Copies under way do not hold the end up either.
    gateway.shutdown().await;
    gate.open_for_good();
}

#[tokio::test]
async fn none_are_copied_at_no_per_cent() {
    let (main, shadow) = (Upstream::echo(), Upstream::echo());
    let gateway = mirrored(&main, shadow.address(), "percent = 0\n").start().await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(of(&gateway, "mirrored", "shadow").await, 0.0);
    assert_eq!(shadow.requests().len(), 0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_asks_for_an_upgrade_is_not_copied_and_its_tunnel_carries_what_it_should() {
    let (server, shadow) = (EchoServer::start().await, Upstream::echo());
    let gateway = Gateway::new()
        .workers(1)
        .upstream_with("main", &[server.address()], "retries = {}\nhedge.after = '1h'")
        .upstream("shadow", &shadow)
        .toml("[[routes]]\nname = 'all'\nupstream = 'main'\n[routes.mirror]\nupstream = 'shadow'\n")
        .start()
        .await;
    let mut client = Client::open(gateway.address(), "/", "").await;
    client.echoes("hello").await;
    drop(client);
    let counts = (
        of(&gateway, "mirrored", "shadow").await,
        of(&gateway, "mirror_dropped", "shadow").await,
        of(&gateway, "hedges", "main").await,
    );
    assert_eq!(counts, (0.0, 0.0, 0.0));
    assert_eq!(shadow.requests().len(), 0);
    gateway.shutdown().await;
}
