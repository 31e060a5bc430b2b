//! What clients feel while one of three endpoints is killed, hung and slowed under load: the gateway's least request, and
//! Envoy's beside it at the same time when `ENVOY` names its binary.
//!
//! `cargo build -p portcullis && ENVOY=/path/to/envoy cargo run -p portcullis-tests --example failing_endpoints [-- RATE]`,
//! or both with `--release`: it runs the gateway's binary of its own profile, for half a minute. Each gateway has three
//! endpoints of its own, which do the same at the same times, and gets RATE requests a second (1000) on a fixed schedule,
//! whether or not earlier ones were answered: a gateway that waits does not get less load. A request counts in the phase
//! in which it was sent, so that those under way when a fault begins count before it. What both were told to do is
//! printed: health checks, ejection, retries on another endpoint, a budget for these. The figures inform and prove nothing by themselves:
//! on a busy machine the scheduler is in all of them.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "its output is its purpose, and a panic how it fails"
)]

mod envoy;
mod pace;
mod tally;

use std::net::SocketAddr;
use std::time::Duration;

use envoy::Envoy;
use pace::Pace;
use portcullis_tests::endpoint::{Endpoint, Mode};
use portcullis_tests::{BinaryGateway, Gateway};
use tally::Tally;
use tokio::time::{Instant, sleep_until};

const RATE: u32 = 1_000;
/// What a request to the slowed endpoint takes.
const SLOW: Duration = Duration::from_millis(200);
/// The endpoint that fails.
const VICTIM: usize = 1;

/// What the victim does in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Well,
    Killed,
    Hung,
    Slowed,
    Recovered,
}

/// The rows of the table, in order.
const PHASES: [(Phase, &str); 5] = [
    (Phase::Well, "all well"),
    (Phase::Killed, "one killed"),
    (Phase::Hung, "one hung"),
    (Phase::Slowed, "one slowed"),
    (Phase::Recovered, "recovered"),
];

/// The schedule, in seconds. What follows a fault counts as recovered from the moment in which the endpoint works again.
const SCHEDULE: [(Phase, u64); 7] = [
    (Phase::Well, 4),
    (Phase::Killed, 5),
    (Phase::Recovered, 3),
    (Phase::Hung, 5),
    (Phase::Recovered, 3),
    (Phase::Slowed, 5),
    (Phase::Recovered, 3),
];

impl Phase {
    /// From what was before to this.
    async fn begin(self, endpoint: &Endpoint, before: Self) {
        match self {
            Self::Killed => endpoint.kill(),
            Self::Hung => endpoint.set(Mode::Hang),
            Self::Slowed => endpoint.set(Mode::Slow(SLOW)),
            Self::Well | Self::Recovered if before == Self::Killed => endpoint.restart().await,
            Self::Well | Self::Recovered => endpoint.set(Mode::Answer(200)),
        }
    }
}

async fn endpoints() -> [Endpoint; 3] {
    [
        Endpoint::start().await,
        Endpoint::start().await,
        Endpoint::start().await,
    ]
}

/// What a user would write for these endpoints; [`envoy`] has what says the same.
const KEYS: &str = "\
connect-timeout = '500ms'
balance = 'least-request'
health-check = { path = '/health', interval = '500ms', timeout = '250ms', unhealthy-threshold = 2, healthy-threshold = 2 }
outlier = { consecutive-gateway-errors = 3, base-time = '2s', max-percent = 50 }
retries = { on = ['connect-failure', 'reset', 'gateway-error'], attempts = 2, per-try-timeout = '500ms' }
retry-budget = { percent = 20, min-per-second = 10 }
";

async fn portcullis(endpoints: &[Endpoint; 3]) -> BinaryGateway {
    Gateway::new()
        .upstream_with("up", &endpoints.each_ref().map(Endpoint::address), KEYS)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\ntimeout = \"2s\"\n")
        .start_binary()
        .await
}

/// The whole schedule from `start` on; a row for each of [`PHASES`].
async fn run(address: SocketAddr, endpoints: &[Endpoint; 3], rate: u32, start: Instant) -> Vec<Tally> {
    let mut pace = Pace::new(address, rate, start).await;
    let mut tallies: Vec<Tally> = PHASES.iter().map(|_| Tally::default()).collect();
    let (mut before, mut until) = (Phase::Well, start);
    sleep_until(start).await;
    let mut parts = Vec::new();
    for (phase, seconds) in SCHEDULE {
        phase.begin(&endpoints[VICTIM], before).await;
        before = phase;
        until += Duration::from_secs(seconds);
        let row = PHASES.iter().position(|(each, _)| *each == phase);
        parts.push((
            row.expect("every phase has its row"),
            pace.send_until(until).await,
        ));
    }
    for (row, requests) in parts {
        tallies[row].add(requests.join_all().await);
    }
    tallies
}

fn show(name: &str, tallies: &[Tally]) {
    for ((_, phase), tally) in PHASES.iter().zip(tallies) {
        println!("{name:<12} {phase:<12} {tally}");
    }
    for ((_, phase), tally) in PHASES.iter().zip(tallies) {
        for (detail, count) in tally.errors() {
            println!("{name:<12} {phase:<12} {count} x {detail}");
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let rate = std::env::args().nth(1).map_or(RATE, |text| {
        let rate = text.parse().expect("RATE is a number");
        assert!((1..=10_000).contains(&rate), "RATE is from 1 to 10000");
        rate
    });
    let (mine, theirs) = (endpoints().await, endpoints().await);
    let gateway = portcullis(&mine).await;
    let envoy = match std::env::var("ENVOY") {
        Ok(binary) => Some(Envoy::start(&binary, &theirs.each_ref().map(Endpoint::address)).await),
        Err(_) => None,
    };
    println!("Portcullis, the upstream:\n{KEYS}");
    if let Some(envoy) = &envoy {
        println!("Envoy, route and cluster:\n{}\n", envoy.shown());
    }
    println!("{rate} requests a second to each, slowed to {SLOW:?}");
    let start = Instant::now() + Duration::from_secs(1);
    let other = async {
        match &envoy {
            Some(envoy) => Some(run(envoy.address(), &theirs, rate, start).await),
            None => None,
        }
    };
    let (ours, other) = tokio::join!(run(gateway.address(), &mine, rate, start), other);
    println!("{:<12} {:<12} {}", "gateway", "phase", tally::COLUMNS);
    show("Portcullis", &ours);
    if let Some(other) = other {
        show("Envoy", &other);
    }
    gateway.shutdown().await;
}
