//! What HTTP/1.1 has beside plain requests: events as they come, leave to send a body, ranges, `Via` and loops.

use portcullis_tests::message::Framing;
use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, Request, Upstream};

use super::peer::{Peer, Server};
use super::{expect_problem, front};

#[tokio::test]
async fn each_event_reaches_the_client_before_the_next_one_exists() {
    for framing in ["transfer-encoding: chunked\r\n", "connection: close\r\n"] {
        let server = Server::start().await;
        let gateway = Gateway::new()
            .plugin("request-id")
            .plugin("cors")
            .upstream_with("up", &[server.address()], "")
            .toml(
                "[plugins.cors]\nconfig = { origins = [\"*\"] }\n\
                 [[routes]]\nname = \"all\"\npipeline = [\"request-id\", \"cors\"]\nupstream = \"up\"\n",
            )
            .start()
            .await;
        let mut client = Peer::connect(gateway.address()).await;
        client
            .send("GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n")
            .await;
        let mut upstream = server.accept().await;
        upstream.head().await;
        upstream
            .send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n"
            ))
            .await;
        let head = client.head().await;
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        for event in ["data: one\n\n", ": beat\n\n", "data: two\n\n"] {
            let bytes = if framing.contains("chunked") {
                format!("{:x}\r\n{event}\r\n", event.len())
            } else {
                event.to_owned()
            };
            upstream.send(bytes).await;
            let got = client.until("\n\n").await;
            assert!(got.ends_with(event), "{got:?}");
        }
        drop((client, upstream));
        gateway.shutdown().await;
    }
}

const WAITS: &str = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";

#[tokio::test]
async fn leave_to_send_a_body_is_given_only_when_somebody_will_read_it() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .plugin("auth-key")
        .upstream("up", &upstream)
        .toml(
            "[plugins.auth-key]\nconfig = { keys = { acme = \"secret\" } }\n\
             [[routes]]\nname = \"all\"\npipeline = [\"auth-key\"]\nupstream = \"up\"\n",
        )
        .start()
        .await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send(WAITS).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    // Whether the client sends its body nevertheless, nobody knows.
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(upstream.requests().is_empty());
    gateway.shutdown().await;

    let gateway = front(Upstream::nowhere(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send(WAITS).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_can_answer_before_the_body_that_leave_was_given_for() {
    let upstream = Upstream::raw([
        Step::Head,
        Step::send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"),
        Step::Drain,
    ]);
    let gateway = front(upstream.address(), "").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send(WAITS).await;
    let mut head = client.head().await;
    if head == "HTTP/1.1 100 Continue\r\n\r\n" {
        head = client.head().await;
    }
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    drop(client);
    gateway.shutdown().await;
}

#[tokio::test]
async fn ranges_pass_both_ways() {
    let parts = "--x\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/9\r\n\r\nab\r\n--x--\r\n";
    for (status, fields, body) in [
        (
            206,
            "content-range: bytes 2-4/9\r\naccept-ranges: bytes\r\netag: \"v1\"\r\n",
            "cde",
        ),
        (206, "content-type: multipart/byteranges; boundary=x\r\n", parts),
        (416, "content-range: bytes */9\r\n", ""),
    ] {
        let text = format!(
            "HTTP/1.1 {status} Status\r\n{fields}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let upstream = Upstream::raw([Step::Request, Step::send(&text)]);
        let gateway = front(upstream.address(), "").start().await;
        let request = Request::get("/file")
            .header("range", "bytes=2-4")
            .header("if-range", "\"v1\"");
        let answer = gateway.send(&request).await;
        assert_eq!((answer.status, answer.text()), (status, body));
        assert_eq!(answer.framing, Framing::Length(body.len() as u64));
        for line in fields.split_terminator("\r\n") {
            let (name, value) = line.split_once(": ").unwrap();
            assert_eq!(answer.header(name), Some(value));
        }
        let request = upstream.only_request();
        assert_eq!(
            (request.header("range"), request.header("if-range")),
            (Some("bytes=2-4"), Some("\"v1\""))
        );
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn the_name_in_via_can_be_set_and_left_out() {
    let upstream = Upstream::echo();
    for (keys, want) in [
        ("via = 'edge-1'", Some("1.1 edge-1")),
        ("via = ''", None),
        ("", Some("1.1 portcullis")),
    ] {
        let gateway = front(upstream.address(), "").gateway(keys).start().await;
        gateway.get("/").await;
        let request = upstream.requests().pop().unwrap();
        assert_eq!(request.header("via"), want, "{keys}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_route_that_leads_back_to_the_gateway_ends() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let route = "[[routes]]\nname = \"all\"\nupstream = \"up\"\n";
    let own = format!("[upstreams.up]\nendpoints = [\"{}\"]\n{route}", gateway.address());
    gateway.write_toml(&own);
    let answer = gateway.wait_for_answer("/", |answer| answer.status != 200).await;
    expect_problem(&answer, 508, "loop-detected");
    gateway.shutdown().await;
}
