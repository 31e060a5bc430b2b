//! Large bodies through a filter: they come whole, in bounded pieces, and nothing is buffered.

use std::fs;

use portcullis_tests::gateway::binary::BinaryGateway;
use portcullis_tests::message::Framing;
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Step;
use portcullis_tests::{Request, Upstream};

use super::{get, ordered, post, says, sieves};

/// Sets the size of the bodies in MiB.
const SIZE: &str = "PORTCULLIS_TEST_VOLUME_MIB";
/// Without it.
const MIB: u64 = 64;
/// What the gateway may grow by.
const GROWTH: u64 = 64 << 20;

fn size() -> u64 {
    let asked = std::env::var(SIZE).ok().and_then(|mib| mib.parse().ok());
    asked.unwrap_or(MIB) << 20
}

/// Resident memory of its process, in bytes.
fn resident(gateway: &BinaryGateway) -> u64 {
    let path = format!("/proc/{}/status", gateway.id());
    let status = fs::read_to_string(path).expect("the status of a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.expect("a size in kB") << 10
}

/// Bytes whose order can be told, from an offset on.
fn pattern(from: u64, length: usize) -> Vec<u8> {
    (from..)
        .take(length)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

#[tokio::test]
async fn a_large_upload_comes_whole_and_is_not_buffered() {
    let size = size();
    let main = Upstream::raw([
        Step::Request,
        Step::send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ]);
    let gateway = sieves(&main, &["", ""])
        .toml(&format!("max-body = '{size}B'\n"))
        .start_binary()
        .await;
    gateway.send(&get(&[])).await;
    let before = resident(&gateway);
    let body = pattern(0, usize::try_from(size).unwrap());
    let answer = gateway.send(&post(body.clone(), &["request copy"])).await;
    assert_eq!(answer.status, 200);
    let grown = resident(&gateway).saturating_sub(before);
    assert!(
        main.requests().last().unwrap().body == body,
        "the body has changed"
    );
    assert!(grown <= GROWTH, "memory grew by {grown} bytes");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_large_download_comes_whole_and_is_not_buffered() {
    let size = size();
    let main = Upstream::huge(size);
    let gateway = sieves(&main, &["", ""]).start_binary().await;
    gateway.send(&Request::get("/nowhere")).await;
    let before = resident(&gateway);
    let mut client = gateway.connect().await;
    client.send(&get(&["response upper"])).await.unwrap();
    let (status, head) = client.receive_head().await.unwrap();
    assert_eq!(status, 200);
    // The client does not read: the upstream comes to a stop far from its end.
    let mut sent = 0;
    eventually("an upstream that waits", async || {
        let now = main.sent();
        let rests = now > 0 && now == sent;
        sent = now;
        rests.then_some(())
    })
    .await;
    assert!(sent < size, "{sent}");
    let framing = head.fields.framing(Framing::Close).unwrap();
    let mut whole = true;
    let length = client
        .pieces(framing, |piece| whole &= piece.iter().all(|byte| *byte == b'X'))
        .await
        .unwrap();
    assert_eq!((length, whole), (size, true));
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown <= GROWTH, "memory grew by {grown} bytes");
    gateway.shutdown().await;
}

#[tokio::test]
async fn no_piece_is_longer_than_64_kib() {
    let main = Upstream::echo();
    let gateway = sieves(&main, &[""]).toml("max-body = '4MiB'\n").start().await;
    let request = ordered(Request::post("/main", vec![b'x'; 1 << 20]), &["request twice"]);
    assert_eq!(gateway.send(&request).await.status, 200);
    let request = ordered(Request::post("/main", vec![b'x'; 1 << 20]), &["request largest"]);
    assert_eq!(gateway.send(&request).await.status, 200);
    let lines = super::said(&gateway);
    let largest = lines.iter().find_map(|line| line.strip_prefix("largest "));
    let largest: usize = largest.expect("the largest piece").parse().unwrap();
    assert!((1..=64 << 10).contains(&largest), "{largest}");
    says(&gateway, "open").await;
    gateway.shutdown().await;
}
