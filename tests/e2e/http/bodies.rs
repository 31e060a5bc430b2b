//! Large bodies: every byte arrives, and the gateway's memory does not grow with them.

use std::fs;

use portcullis_tests::{BinaryGateway, Connection, Request, Upstream};

use super::front;
use super::peer::Server;

const LARGE: usize = 64 << 20;
/// What the gateway may need for a body of any size: buffers of both sockets, and the allocator's slack.
const SLACK: u64 = 16 << 20;

#[tokio::test]
async fn every_byte_of_a_body_arrives_whatever_its_size() {
    let upstream = Upstream::echo();
    let gateway = front(upstream.address(), "").start().await;
    let mut connection = gateway.connect().await;
    for size in [1, 8_191, 8_192, 8_193, 65_535, 65_536, 65_537, 1_000_003] {
        let body: Vec<u8> = (0_u8..251).cycle().take(size).collect();
        for request in [
            Request::post("/", body.clone()),
            Request::post("/", "").chunks(body.chunks(10_007)),
        ] {
            let answer = connection.exchange(&request).await.unwrap();
            assert_eq!(answer.json()["body-bytes"], size);
            assert!(upstream.requests().pop().unwrap().body == body, "{size}");
        }
    }
    gateway.shutdown().await;

    let body: Vec<u8> = (0_u8..251).cycle().take(1_000_003).collect();
    let upstream = Upstream::fixed(200, &[], body.clone());
    let gateway = front(upstream.address(), "").start().await;
    assert!(gateway.get("/").await.body == body);
    gateway.shutdown().await;
}

/// The most memory that the process has ever had.
fn peak(gateway: &BinaryGateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

#[tokio::test]
async fn a_large_response_does_not_stay_in_memory() {
    let upstream = Upstream::huge(LARGE as u64);
    let gateway = front(upstream.address(), "").start_binary().await;
    let before = peak(&gateway);
    let mut connection = Connection::open(gateway.address()).await.unwrap();
    connection.send(&Request::get("/")).await.unwrap();
    let (_, head) = connection.receive_head().await.unwrap();
    let framing = head
        .fields
        .framing(portcullis_tests::message::Framing::Close)
        .unwrap();
    let count = connection.pieces(framing, |_| {}).await.unwrap();
    assert_eq!(count, LARGE as u64);
    let grown = peak(&gateway) - before;
    assert!(grown < SLACK, "{} KiB", grown >> 10);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_large_request_does_not_stay_in_memory() {
    let server = Server::start().await;
    let gateway = front(server.address(), "").start_binary().await;
    let before = peak(&gateway);
    let mut connection = Connection::open(gateway.address()).await.unwrap();
    let request = Request::post("/", vec![b'x'; LARGE]);
    let upstream = async {
        let mut upstream = server.accept().await;
        upstream.head().await;
        upstream.skip(LARGE).await;
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        upstream
    };
    let (answer, _upstream) = tokio::join!(connection.exchange(&request), upstream);
    assert_eq!(answer.unwrap().status, 204);
    let grown = peak(&gateway) - before;
    assert!(grown < SLACK, "{} KiB", grown >> 10);
    gateway.shutdown().await;
}
