//! `endpoint ADDRESS`: a server that answers everything with 200, until its input ends. For tests that kill a process.
#![allow(clippy::expect_used, reason = "a panic is how it fails")]

use std::io;
use std::net::SocketAddr;

use portcullis_tests::endpoint::Endpoint;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address: Option<SocketAddr> = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let _endpoint = Endpoint::start_at(address.expect("an address")).await;
    let input = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    input.await.expect("no panic").expect("an input");
}
