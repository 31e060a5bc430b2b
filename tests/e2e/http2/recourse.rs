//! Upstreams that speak HTTP/2 are looked after, limited, copied to and tried again as those that speak HTTP/1.1 are.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use http::Response;
use portcullis_tests::http2::server::{Exchange, Server};
use portcullis_tests::http2::{Client, Reply, get, receive, request};
use portcullis_tests::{Gateway, GatewayBuilder, Upstream};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// One worker and one route, to endpoints that speak HTTP/2.
fn front(endpoints: &[SocketAddr], keys: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", endpoints, &format!("protocol = 'h2'\n{keys}"))
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

/// A server that does the same with each request, and how many it has had.
fn always(
    mut server: Server,
    act: impl Fn(Exchange) + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>, JoinHandle<()>) {
    let (address, count) = (server.address(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    let task = tokio::spawn(async move {
        while let Some(exchange) = server.next().await {
            counted.fetch_add(1, Ordering::SeqCst);
            act(exchange);
        }
    });
    (address, count, task)
}

fn refuse(mut exchange: Exchange) {
    exchange.respond.send_reset(Reason::REFUSED_STREAM);
}

fn problem(reply: &Reply) -> (u16, String) {
    let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
    (reply.status, code)
}

fn first(status: &Value) -> &Value {
    &status["upstreams"][0]["endpoints"][0]
}

#[tokio::test]
async fn a_stream_has_its_place_until_its_response_has_ended() {
    let mut server = Server::start().await;
    let keys = "limits = { requests = 2 }\nbalance = 'least-request'";
    let gateway = front(&[server.address()], keys).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let one = client.begin(get("/1")).await.unwrap();
    let mut exchange = server.accept().await;
    let two = client.begin(get("/2")).await.unwrap();
    let second = server.accept().await;
    let status = gateway.status().await;
    assert_eq!(first(&status)["in-flight"], 2);
    let refused = (503, "upstream-overloaded".to_owned());
    assert_eq!(problem(&client.exchange(get("/3")).await.unwrap()), refused);
    let mut down = exchange.respond.send_response(Response::new(()), false).unwrap();
    let body = one.await.unwrap().into_body();
    // Its head is here, but not its end.
    assert_eq!(problem(&client.exchange(get("/3")).await.unwrap()), refused);
    down.send_data(Bytes::from_static(b"end"), true).unwrap();
    gateway
        .wait_for(|status| status["upstreams"][0]["in-use"]["requests"] == 1)
        .await;
    let three = client.begin(get("/3")).await.unwrap();
    server.accept().await.answer(200, "three");
    assert_eq!(receive(three).await.unwrap().text(), "three");
    second.answer(204, "");
    receive(two).await.unwrap();
    drop(body);
    let free = json!({ "requests": 0, "connections": 0, "pending": 0 });
    gateway
        .wait_for(|status| status["upstreams"][0]["in-use"] == free && first(status)["in-flight"] == 0)
        .await;
    assert_eq!(server.connections(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn streams_that_fail_open_the_breaker_and_refused_ones_that_are_sent_again_do_not() {
    let mut server = Server::start().await;
    let keys = "breaker = { consecutive-errors = 1, scope = 'both' }";
    let gateway = front(&[server.address()], keys).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let waiting = client.begin(get("/")).await.unwrap();
    refuse(server.accept().await);
    server.accept().await.answer(200, "again");
    assert_eq!(receive(waiting).await.unwrap().text(), "again");
    let waiting = client.begin(get("/")).await.unwrap();
    let mut exchange = server.accept().await;
    exchange.respond.send_reset(Reason::INTERNAL_ERROR);
    let code = problem(&receive(waiting).await.unwrap());
    assert_eq!(code, (502, "upstream-reset".to_owned()));
    let refused = problem(&client.exchange(get("/")).await.unwrap());
    assert_eq!(refused, (503, "circuit-open".to_owned()));
    let status = gateway.status().await;
    assert_eq!(status["upstreams"][0]["breaker"], "open");
    assert_eq!(first(&status)["reasons"], json!(["open"]));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_response_that_breaks_off_counts_against_the_endpoint() {
    let mut server = Server::start().await;
    let keys = "outlier = { consecutive-gateway-errors = 1, max-percent = 100 }";
    let gateway = front(&[server.address()], keys).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let waiting = client.begin(get("/")).await.unwrap();
    let mut exchange = server.accept().await;
    let mut down = exchange.respond.send_response(Response::new(()), false).unwrap();
    let head = waiting.await.unwrap();
    assert_eq!(first(&gateway.status().await)["state"], "available");
    down.send_reset(Reason::INTERNAL_ERROR);
    gateway
        .wait_for(|status| first(status)["reasons"] == json!(["ejected"]))
        .await;
    drop(head);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_request_that_an_endpoint_goes_on_refusing_is_tried_at_another_whatever_its_method() {
    let (bad, refused, _bad) = always(Server::start().await, refuse);
    let (good, answered, _good) = always(Server::start().await, |exchange| exchange.answer(200, "ok"));
    let gateway = front(&[bad, good], "retries = { attempts = 1 }").start().await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..6 {
        let reply = client.exchange(request("POST", "/")).await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, "ok"));
    }
    assert_eq!(answered.load(Ordering::SeqCst), 6);
    // Three times in each try.
    let retries = "portcullis_upstream_retries_total{upstream=\"up\",reason=\"reset\"}";
    let retries = gateway.metric(retries).await.unwrap();
    assert_eq!(refused.load(Ordering::SeqCst) as f64, 3.0 * retries);
    assert!(retries >= 1.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_bad_status_is_tried_again_on_the_same_connection() {
    let mut server = Server::start().await;
    let gateway = front(&[server.address()], "retries = {}").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let waiting = client.begin(get("/")).await.unwrap();
    server.accept().await.answer(503, "busy");
    server.accept().await.answer(200, "done");
    assert_eq!(receive(waiting).await.unwrap().text(), "done");
    assert_eq!(server.connections(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_slower_of_two_tries_is_cancelled_and_the_connection_stays() {
    let mut server = Server::start().await;
    let gateway = front(&[server.address()], "hedge.after = '20ms'").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let waiting = client.begin(get("/")).await.unwrap();
    let mut slow = server.accept().await;
    server.accept().await.answer(200, "second");
    assert_eq!(receive(waiting).await.unwrap().text(), "second");
    let reason = poll_fn(|cx| slow.respond.poll_reset(cx)).await;
    assert_eq!(reason.unwrap(), Reason::CANCEL);
    let won = "portcullis_upstream_hedges_won_total{upstream=\"up\"}";
    assert_eq!(gateway.metric(won).await, Some(1.0));
    assert_eq!((server.connections(), server.open()), (1, 1));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_copy_is_sent_over_http_2() {
    let (main, mut shadow) = (Upstream::fixed(200, &[], "real"), Server::start().await);
    let gateway = Gateway::new()
        .workers(1)
        .upstream("main", &main)
        .upstream_with("shadow", &[shadow.address()], "protocol = 'h2'")
        .toml("[[routes]]\nname = 'all'\nupstream = 'main'\nmirror = { upstream = 'shadow' }\n")
        .start()
        .await;
    let post = portcullis_tests::Request::post("/a?b=c", "hello");
    assert_eq!(gateway.send(&post).await.text(), "real");
    let mut copy = shadow.accept().await;
    assert_eq!(copy.request.uri().path_and_query().unwrap(), "/a?b=c");
    assert_eq!(copy.read().await.unwrap(), (b"hello".to_vec(), None));
    copy.answer(500, "not for the client");
    gateway.shutdown().await;
}

#[tokio::test]
async fn checks_speak_http_2_each_on_a_connection_of_its_own() {
    let mut server = Server::start().await;
    let keys = "health-check = { path = '/live', interval = '20ms', unhealthy-threshold = 1, healthy-threshold = 1 }";
    let gateway = front(&[server.address()], keys).start().await;
    for (status, state) in [
        (200, "available"),
        (503, "unavailable"),
        (503, "unavailable"),
        (204, "available"),
    ] {
        let check = server.accept().await;
        assert_eq!(check.request.uri().path(), "/live");
        assert_eq!(check.request.headers()["user-agent"], "portcullis-health-check");
        check.answer(status, "");
        gateway.wait_for(|status| first(status)["state"] == state).await;
    }
    assert!(server.connections() >= 4);
    assert!(server.open() <= 2, "{} are open", server.open());
    gateway.shutdown().await;
}
