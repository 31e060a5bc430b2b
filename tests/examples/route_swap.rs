//! What requests feel while ten thousand routes are replaced: latencies of a load before and during the swaps.
//!
//! `cargo build --release -p portcullis && cargo run --release -p portcullis-tests --example route_swap`. It informs and
//! proves nothing by itself: on a busy machine the scheduler is in every figure.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "its output is its purpose, and a panic how it fails"
)]

use std::fmt::Write as _;
use std::time::Duration;

use portcullis_tests::load::Report;
use portcullis_tests::{Gateway, Load, Request, Upstream};
use tokio::time::Instant;

const ROUTES: usize = 10_000;
const SWAPS: usize = 20;
const CONNECTIONS: usize = 8;

fn routes(round: usize) -> String {
    let mut text = String::new();
    for name in (0..ROUTES)
        .map(|number| format!("r{round}-{number}"))
        .chain(["stays".to_owned()])
    {
        writeln!(
            text,
            "[[routes]]\nname = \"{name}\"\nmatch = {{ prefix = \"/{name}\" }}\nupstream = \"up\""
        )
        .expect("a string takes all");
    }
    text
}

fn show(name: &str, report: &Report) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{name}: {} requests, {} failed; p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        report.requests,
        report.failed,
        ms(report.percentile(50)),
        ms(report.percentile(99)),
        ms(report.percentile(100)),
    );
}

// The load runs on the runtime's thread, the swaps on the main one: what they do must not hold up the client itself.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let texts: Vec<_> = (0..=SWAPS).map(routes).collect();
    let upstream = Upstream::fixed(200, &[], "up").tolerant();
    let gateway = Gateway::new()
        .upstream("up", &upstream)
        .toml(&texts[0])
        .start_binary()
        .await;
    let load = || {
        Load::new(gateway.address(), Request::get("/stays"))
            .connections(CONNECTIONS)
            .start()
    };
    let warm = load();
    warm.wait_for(20_000).await;
    warm.stop().await;

    let before = load();
    before.wait_for(200_000).await;
    let before = before.stop().await;
    show("before", &before);

    let during = load();
    let mut took = Vec::new();
    for (round, text) in texts.iter().enumerate().skip(1) {
        gateway.write_toml(text);
        let began = Instant::now();
        let target = format!("/r{round}-{}", ROUTES - 1);
        gateway
            .wait_for_answer(&target, |answer| answer.status == 200)
            .await;
        took.push(began.elapsed());
    }
    let during = during.stop().await;
    show("during", &during);
    let limit = before.percentile(99) * 3;
    println!(
        "slower than 3 x p99 before: {} before, {} during",
        before.slower_than(limit),
        during.slower_than(limit)
    );
    println!(
        "{SWAPS} swaps of {ROUTES} routes, {:.0} ms each from the write to the first answer; slowest request / p99 before: {:.2}",
        took.iter().sum::<Duration>().as_secs_f64() * 1e3 / took.len() as f64,
        during.percentile(100).as_secs_f64() / before.percentile(99).as_secs_f64(),
    );
    gateway.shutdown().await;
}
