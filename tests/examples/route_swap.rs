//! What requests feel while ten thousand routes are replaced: latencies of a load before and during the swaps.
//!
//! `cargo build --release -p portcullis && cargo run --release -p portcullis-tests --example route_swap [-- PAUSE]`; with a
//! pause in milliseconds between two requests of a connection the load leaves the machine time, without one it takes all.
//! Windows with a swap stand beside as many of the same length without one: on a busy machine the scheduler is in every
//! figure.
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

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn show(name: &str, report: &Report) {
    println!(
        "{name}: {} requests, {} failed; p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        report.requests,
        report.failed,
        ms(report.percentile(50)),
        ms(report.percentile(99)),
        ms(report.percentile(100)),
    );
}

/// The longest latencies of windows of the same length, with and without a swap in them.
#[derive(Default)]
struct Windows {
    swapped: Vec<Duration>,
    quiet: Vec<Duration>,
}

fn show_windows(name: &str, windows: &mut [Duration], limit: Duration) {
    windows.sort_unstable();
    let within = windows.iter().filter(|longest| **longest <= limit).count();
    println!(
        "{name}: slowest request of each window, median {:.2} ms, longest {:.2} ms; {within} of {} windows within 3 x p99",
        ms(windows[windows.len() / 2]),
        ms(windows[windows.len() - 1]),
        windows.len(),
    );
}

// The load runs on the runtime's thread, the swaps on the main one: what they do must not hold up the client itself.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let pause = std::env::args()
        .nth(1)
        .map_or(0, |text| text.parse().expect("milliseconds"));
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
            .pause(Duration::from_millis(pause))
            .start()
    };
    let count = if pause == 0 { 200_000 } else { 20_000 };
    let warm = load();
    warm.wait_for(count / 10).await;
    warm.stop().await;

    let before = load();
    before.wait_for(count).await;
    let before = before.stop().await;
    show("before", &before);
    let limit = before.percentile(99) * 3;

    let during = load();
    let mut took = Vec::new();
    let mut windows = Windows::default();
    for (round, text) in texts.iter().enumerate().skip(1) {
        let began = Instant::now();
        let _before = during.take_longest();
        gateway.write_toml(text);
        let target = format!("/r{round}-{}", ROUTES - 1);
        gateway
            .wait_for_answer(&target, |answer| answer.status == 200)
            .await;
        took.push(began.elapsed());
        windows.swapped.push(during.take_longest());
        // What the generation before leaves is taken apart in it, too.
        tokio::time::sleep(began.elapsed()).await;
        windows.swapped.push(during.take_longest());
        for _ in 0..2 {
            tokio::time::sleep(took[took.len() - 1]).await;
            windows.quiet.push(during.take_longest());
        }
    }
    let during = during.stop().await;
    show("during", &during);
    show_windows("with a swap", &mut windows.swapped, limit);
    show_windows("without", &mut windows.quiet, limit);
    println!(
        "{SWAPS} swaps of {ROUTES} routes, {:.0} ms each from the write to the first answer",
        ms(took.iter().sum::<Duration>()) / took.len() as f64,
    );
    gateway.shutdown().await;
}
