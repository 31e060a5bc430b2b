//! Active checks by the health protocol of gRPC.

use bytes::Bytes;
use http::{HeaderMap, Response};
use portcullis_tests::http2::server::{Exchange, Server};
use portcullis_tests::{Gateway, GatewayBuilder};
use serde_json::Value;

const CHECK: &str = "protocol = 'h2'\n\
    health-check = { protocol = 'grpc', service = 'a.B', host = 'calls.example', interval = '20ms', timeout = '500ms', \
    unhealthy-threshold = 1, healthy-threshold = 1 }";

fn front(server: &Server) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", &[server.address()], CHECK)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

/// Ends the call with this status, after a message if there is one.
fn answer(mut check: Exchange, message: &'static [u8], status: &str) {
    let head = Response::builder().header("content-type", "application/grpc");
    if message.is_empty() {
        let head = head.header("grpc-status", status).body(()).unwrap();
        check.respond.send_response(head, true).unwrap();
        return;
    }
    let mut stream = check
        .respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    stream.send_data(Bytes::from_static(message), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    stream.send_trailers(trailers).unwrap();
}

fn state(status: &Value) -> &Value {
    &status["upstreams"][0]["endpoints"][0]["state"]
}

#[tokio::test]
async fn an_endpoint_is_used_as_long_as_it_says_that_it_serves() {
    const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
    let mut server = Server::start().await;
    let gateway = front(&server).start().await;
    for (message, status, reason) in [
        (SERVING, "0", None),
        (&[0, 0, 0, 0, 2, 8, 2], "0", Some("NOT_SERVING")),
        (SERVING, "0", None),
        (&[], "5", Some("NOT_FOUND")),
        (SERVING, "0", None),
        (SERVING, "14", Some("UNAVAILABLE")),
        (SERVING, "0", None),
        (&[0, 0, 0, 0, 9, 8], "0", Some("none to a health check")),
    ] {
        let mut check = server.accept().await;
        let request = &check.request;
        assert_eq!(
            (request.method(), request.version()),
            (&http::Method::POST, http::Version::HTTP_2)
        );
        assert_eq!(request.uri(), "http://calls.example/grpc.health.v1.Health/Check");
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
            assert_eq!(request.headers()[name], value);
        }
        assert_eq!(check.read().await.unwrap().0, b"\0\0\0\0\x05\x0a\x03a.B");
        answer(check, message, status);
        let want = if reason.is_some() {
            "unavailable"
        } else {
            "available"
        };
        gateway.wait_for(|status| state(status) == want).await;
        let lost = "an endpoint fails its health checks and is not used any more";
        let logs = gateway.logs();
        let last = logs.iter().rfind(|line| line.message == lost);
        if let Some(reason) = reason {
            let said = last.unwrap().field("reason").unwrap();
            assert!(said.contains(reason), "{said}");
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_check_that_hangs_within_its_answer_has_failed() {
    let mut server = Server::start().await;
    let gateway = front(&server).start().await;
    let mut check = server.accept().await;
    let head = Response::builder().header("content-type", "application/grpc");
    let stream = check
        .respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    gateway.wait_for(|status| state(status) == "unavailable").await;
    drop(stream);
    gateway.shutdown().await;
}
