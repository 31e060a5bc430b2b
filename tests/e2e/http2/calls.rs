//! Calls of gRPC go by the status of the call: for breakers, ejection and retries.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use portcullis_tests::http2::server::{Exchange, Server};
use portcullis_tests::http2::{Client, Reply, request, send, with};
use portcullis_tests::{Gateway, GatewayBuilder};
use serde_json::{Value, json};

/// One worker and one route, to an endpoint that answers calls.
fn front(endpoint: SocketAddr, keys: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", &[endpoint], &format!("protocol = 'h2'\n{keys}"))
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

fn call() -> Request<()> {
    let call = request("POST", "/pkg.Service/Get");
    with(with(call, "content-type", "application/grpc"), "te", "trailers")
}

/// A call whose message is `message`, and what is done with it.
async fn exchange(client: &mut Client, server: &mut Server, serve: impl AsyncFnOnce(&mut Server)) -> Reply {
    let (reply, ()) = tokio::join!(client.upload(call(), "message"), serve(server));
    reply.unwrap()
}

fn head() -> http::response::Builder {
    Response::builder().header("content-type", "application/grpc")
}

/// Ends a call with its head.
fn end_at_once(mut exchange: Exchange, status: u8) {
    let head = head().header("grpc-status", status.to_string());
    exchange
        .respond
        .send_response(head.body(()).unwrap(), true)
        .unwrap();
}

/// Answers a call with a message, then ends it.
async fn answer(mut exchange: Exchange, status: u8) {
    assert_eq!(exchange.read().await.unwrap(), (b"message".to_vec(), None));
    let head = head().body(()).unwrap();
    let mut stream = exchange.respond.send_response(head, false).unwrap();
    send(&mut stream, Bytes::from_static(b"answer")).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.to_string().parse().unwrap());
    stream.send_trailers(trailers).unwrap();
}

fn ended_with(reply: &Reply, fields: &HeaderMap) -> String {
    assert_eq!(reply.status, 200);
    fields["grpc-status"].to_str().unwrap().to_owned()
}

fn only(status: &Value) -> &Value {
    &status["upstreams"][0]["endpoints"][0]
}

#[tokio::test]
async fn calls_that_end_badly_in_a_row_open_the_breaker_by_head_or_by_trailers() {
    let mut server = Server::start().await;
    let keys = "breaker = { consecutive-errors = 3 }";
    let gateway = front(server.address(), keys).start().await;
    let mut client = Client::connect(gateway.address()).await;
    // NOT_FOUND and OK say that it works; INTERNAL and UNAVAILABLE do not.
    for (status, breaker) in [
        (14, "closed"),
        (13, "closed"),
        (5, "closed"),
        (14, "closed"),
        (0, "closed"),
        (14, "closed"),
        (13, "closed"),
        (14, "open"),
    ] {
        let reply = exchange(&mut client, &mut server, async |server| {
            answer(server.accept().await, status).await;
        })
        .await;
        assert_eq!(reply.text(), "answer");
        let trailers = reply.trailers.as_ref().unwrap();
        assert_eq!(ended_with(&reply, trailers), status.to_string());
        let now = gateway.status().await;
        assert_eq!(now["upstreams"][0]["breaker"], breaker, "after {status}");
    }
    let refused = client.exchange(call()).await.unwrap();
    assert_eq!(refused.status, 503);
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_endpoint_whose_calls_end_badly_at_once_is_ejected() {
    let mut server = Server::start().await;
    let keys = "outlier = { consecutive-gateway-errors = 2, max-percent = 100 }";
    let gateway = front(server.address(), keys).start().await;
    let mut client = Client::connect(gateway.address()).await;
    for (status, state) in [(14, "available"), (4, "unavailable")] {
        let reply = exchange(&mut client, &mut server, async |server| {
            end_at_once(server.accept().await, status);
        })
        .await;
        assert_eq!(ended_with(&reply, &reply.headers), status.to_string());
        assert_eq!(only(&gateway.status().await)["state"], state);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_call_that_the_client_gives_up_says_nothing_of_the_endpoint() {
    let mut server = Server::start().await;
    let keys = "outlier = { consecutive-5xx = 1, max-percent = 100 }\nbreaker = { consecutive-errors = 1 }\n\
                limits = { requests = 1 }";
    let gateway = front(server.address(), keys).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (response, upload) = client.open(call()).await;
    let mut exchange = server.accept().await;
    let head = head().body(()).unwrap();
    let stream = exchange.respond.send_response(head, false).unwrap();
    let body = response.await.unwrap().into_body();
    drop((body, upload));
    gateway
        .wait_for(|status| status["upstreams"][0]["in-use"]["requests"] == 0)
        .await;
    let status = gateway.status().await;
    assert_eq!(status["upstreams"][0]["breaker"], "closed");
    assert_eq!(only(&status)["state"], json!("available"));
    drop(stream);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_call_is_made_again_when_it_ends_at_once_in_a_way_that_is_named() {
    let mut server = Server::start().await;
    let keys = "retries = { on = ['unavailable', 'resource-exhausted'] }";
    let gateway = front(server.address(), keys).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let reply = exchange(&mut client, &mut server, async |server| {
        let mut first = server.accept().await;
        // Its message is kept although the method is POST.
        assert_eq!(first.read().await.unwrap().0, b"message");
        end_at_once(first, 14);
        end_at_once(server.accept().await, 8);
        answer(server.accept().await, 0).await;
    })
    .await;
    let trailers = reply.trailers.as_ref().unwrap();
    assert_eq!((reply.text(), &*ended_with(&reply, trailers)), ("answer", "0"));

    // A status that is not named, and one that comes after a message.
    let reply = exchange(&mut client, &mut server, async |server| {
        end_at_once(server.accept().await, 13);
    })
    .await;
    assert_eq!(ended_with(&reply, &reply.headers), "13");
    let reply = exchange(&mut client, &mut server, async |server| {
        answer(server.accept().await, 14).await;
    })
    .await;
    let trailers = reply.trailers.as_ref().unwrap();
    assert_eq!((reply.text(), &*ended_with(&reply, trailers)), ("answer", "14"));
    let retries = "portcullis_upstream_retries_total{upstream=\"up\",reason=\"status\"}";
    assert_eq!(gateway.metric(retries).await, Some(2.0));
    gateway.shutdown().await;
}
