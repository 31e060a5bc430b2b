//! What clients feel while one of three endpoints is killed, hung or slowed under load: error rate and p99 of the gateway,
//! and of Envoy's least request beside it when `ENVOY` names its binary.
//!
//! `cargo build -p portcullis && ENVOY=.. cargo run -p portcullis-tests --example failing_endpoints`, or both with
//! `--release`: it runs the gateway's binary of its own profile. It informs and proves nothing by itself: on a busy machine the scheduler is in every figure.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "its output is its purpose, and a panic how it fails"
)]

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis_tests::endpoint::{Endpoint, Mode};
use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, Load, Request, client};
use tokio::time::sleep;

const CONNECTIONS: usize = 16;
/// Before the fault, while it lasts, and after it.
const PHASES: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(2),
];

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Killed,
    Hung,
    Slowed,
}

impl Trouble {
    async fn begin(self, endpoint: &Endpoint) {
        match self {
            Self::Killed => endpoint.kill(),
            Self::Hung => endpoint.set(Mode::Hang),
            Self::Slowed => endpoint.set(Mode::Slow(Duration::from_millis(200))),
        }
    }

    async fn end(self, endpoint: &Endpoint) {
        match self {
            Self::Killed => endpoint.restart().await,
            Self::Hung | Self::Slowed => endpoint.set(Mode::Answer(200)),
        }
    }
}

/// One run of one load against `address`.
async fn run(name: &str, address: SocketAddr, trouble: Trouble, victim: &Endpoint) {
    let load = || {
        let load = Load::new(address, Request::get("/"));
        load.connections(CONNECTIONS).start()
    };
    let warm = load();
    sleep(PHASES[0]).await;
    warm.stop().await;
    let during = load();
    trouble.begin(victim).await;
    sleep(PHASES[1]).await;
    trouble.end(victim).await;
    sleep(PHASES[2]).await;
    let report = during.stop().await;
    println!(
        "{name:<28} {:<7} {:>8} requests, {:>6.3} % failed; p50 {:>7.2} ms, p99 {:>7.2} ms, max {:>8.2} ms",
        format!("{trouble:?}"),
        report.requests,
        report.failed as f64 / report.requests.max(1) as f64 * 100.0,
        ms(report.percentile(50)),
        ms(report.percentile(99)),
        ms(report.percentile(100)),
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn endpoints() -> [Endpoint; 3] {
    [
        Endpoint::start().await,
        Endpoint::start().await,
        Endpoint::start().await,
    ]
}

const CARE: &str = "first-byte-timeout = '500ms'\nconnect-timeout = '500ms'\n\
                    health-check = { path = '/health', interval = '500ms', timeout = '250ms', unhealthy-threshold = 2 }\n\
                    outlier = { consecutive-gateway-errors = 3, base-time = '2s' }\n";

async fn ours(name: &str, keys: &str, trouble: Trouble) {
    let all = endpoints().await;
    let addresses = all.each_ref().map(Endpoint::address);
    let gateway = Gateway::new()
        .upstream_with("up", &addresses, &format!("{CARE}{keys}"))
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
        .start_binary()
        .await;
    run(name, gateway.address(), trouble, &all[1]).await;
    gateway.shutdown().await;
}

/// Envoy with what comes nearest to the settings above.
struct Envoy(Child);

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn envoy(binary: &str, port: u16, endpoints: &[SocketAddr]) -> Envoy {
    let address = |address: SocketAddr| serde_json::json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let hosts: Vec<_> = endpoints
        .iter()
        .map(|endpoint| serde_json::json!({ "endpoint": { "address": address(*endpoint) } }))
        .collect();
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let router = serde_json::json!({
        "name": "router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    });
    let route = serde_json::json!({
        "match": { "prefix": "/" },
        "route": {
            "cluster": "up", "timeout": "2s",
            "retry_policy": {
                "retry_on": "connect-failure,reset,gateway-error", "num_retries": 2, "per_try_timeout": "0.5s",
            },
        },
    });
    let manager = serde_json::json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "all",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
        "http_filters": [router],
    });
    let check = serde_json::json!({
        "timeout": "0.25s", "interval": "0.5s", "unhealthy_threshold": 2, "healthy_threshold": 2,
        "http_health_check": { "path": "/health" },
    });
    let config = serde_json::json!({ "static_resources": {
        "listeners": [{ "name": "all", "address": address(listen), "filter_chains": [{ "filters": [{
            "name": "http", "typed_config": manager }] }] }],
        "clusters": [{
            "name": "up", "type": "STATIC", "lb_policy": "LEAST_REQUEST", "connect_timeout": "0.5s",
            "health_checks": [check],
            "outlier_detection": { "consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100,
                                   "base_ejection_time": "2s", "max_ejection_percent": 50 },
            "load_assignment": { "cluster_name": "up", "endpoints": [{ "lb_endpoints": hosts }] },
        }],
    } });
    let child = Command::new(binary)
        .args(["--config-yaml", &config.to_string()])
        .args(["--concurrency", "2", "--disable-hot-restart", "-l", "error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("an Envoy that starts");
    Envoy(child)
}

async fn theirs(binary: &str, trouble: Trouble) {
    let all = endpoints().await;
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("a bound listener has an address");
    drop(free);
    let addresses = all.each_ref().map(Endpoint::address);
    let _envoy = envoy(binary, address.port(), &addresses);
    eventually("an Envoy that answers", async || {
        let answer = client::send(address, &Request::get("/")).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    run("envoy least-request", address, trouble, &all[1]).await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let binary = std::env::var("ENVOY").ok();
    for trouble in [Trouble::Killed, Trouble::Hung, Trouble::Slowed] {
        ours("round-robin", "", trouble).await;
        ours(
            "round-robin, retries",
            "retries = { on = ['connect-failure', 'reset', 'gateway-error', 'timeout'] }\n",
            trouble,
        )
        .await;
        ours("least-request, retries", "balance = 'least-request'\nretries = { on = ['connect-failure', 'reset', 'gateway-error', 'timeout'] }\n", trouble).await;
        if let Some(binary) = &binary {
            theirs(binary, trouble).await;
        }
    }
}
