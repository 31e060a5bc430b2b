//! What a plugin that misbehaves does to the others: nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use portcullis_tests::patience::eventually;
use portcullis_tests::{Connection, Gateway, GatewayBuilder, Load, Request, Upstream};

use super::stand::{bad, entry, faults, route};

/// Threads that use a core each, until dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Busy {
    fn start(threads: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut number = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    number = black_box(number.wrapping_add(1));
                }
            })
        };
        Self {
            threads: (0..threads).map(work).collect(),
            stop,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a thread that only counts");
        }
    }
}

/// `/good` has an innocent plugin with the default budget.
fn with_good(main: &Upstream) -> GatewayBuilder {
    Gateway::new()
        .guest("rogue")
        .guest("gate")
        .upstream("main", main)
        .toml("[plugins.rogue]\nconfig = { hook = \"on-request\", fault = \"none\" }\n")
        .toml("[plugins.gate]\nconfig = { keys = { key = \"acme\" } }\n")
        .toml(&route("good", "\"gate\", \"gate\"", "\"main\""))
}

fn good() -> Request {
    Request::get("/good").header("x-api-key", "key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn innocent_plugins_beside_spinning_ones_on_busy_cores_never_fail_by_the_clock() {
    let main = Upstream::fixed(200, &[], "answer");
    let hooks = ["on-request", "on-response", "on-finish"];
    let mut builder = with_good(&main).workers(2);
    for hook in hooks {
        builder = builder.toml(&entry(hook, hook, "spin", "")).toml(&route(
            hook,
            &format!("\"{hook}\""),
            "\"main\"",
        ));
    }
    let gateway = builder.start().await;
    let _busy = Busy::start(2);
    let load = Load::new(gateway.address(), good()).connections(4).start();
    for _ in 0..15 {
        for hook in hooks {
            let target = format!("/{hook}");
            let answer = gateway.send(&bad(Request::get(&target))).await;
            let expected = if hook == "on-finish" { 200 } else { 503 };
            assert_eq!(answer.status, expected, "{hook}");
            assert_eq!(gateway.get(&target).await.status, 200, "{hook}");
        }
        load.wait_for(20).await;
    }
    let report = load.stop().await;
    report.expect_no_failure();
    let metrics = gateway.metrics().await;
    assert!(!metrics.contains("faults_total{plugin=\"gate\""), "{report}");
    for hook in hooks {
        eventually("every spin in the metrics", async || {
            (faults(&gateway, hook, hook, "cpu").await == 15.0).then_some(())
        })
        .await;
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_long_computation_does_not_stall_its_core() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = with_good(&main)
        .workers(1)
        .toml(&entry(
            "long",
            "on-request",
            "spin",
            "cpu = \"2s\"\ntimeout = \"30s\"",
        ))
        .toml(&route("long", "\"long\"", "\"main\""))
        .start()
        .await;
    let mut spinning = Connection::open(gateway.address()).await.unwrap();
    spinning.send(&bad(Request::get("/long"))).await.unwrap();
    for _ in 0..10 {
        assert_eq!(gateway.send(&good()).await.status, 200);
    }
    let ended = faults(&gateway, "long", "on-request", "cpu").await;
    assert_eq!(ended, 0.0, "the others were answered meanwhile");
    assert_eq!(spinning.receive("GET").await.unwrap().status, 503);
    assert_eq!(faults(&gateway, "long", "on-request", "cpu").await, 1.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn other_requests_of_the_plugin_that_fails_are_answered() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = with_good(&main)
        .toml(&entry("trap", "on-request", "trap", ""))
        .toml(&route("trap", "\"trap\"", "\"main\""))
        .start()
        .await;
    let load = Load::new(gateway.address(), Request::get("/trap")).start();
    for _ in 0..40 {
        let answer = gateway.send(&bad(Request::get("/trap"))).await;
        assert_eq!(answer.problem(), "plugin-fault");
        load.wait_for(5).await;
    }
    load.stop().await.expect_no_failure();
    assert_eq!(faults(&gateway, "trap", "on-request", "trap").await, 40.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_plugin_computes_costs_nobody_else() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = with_good(&main)
        .workers(1)
        .toml(&entry(
            "long",
            "on-request",
            "late",
            "cpu = \"1s\"\ntimeout = \"30s\"",
        ))
        .toml(&route("long", "\"long\"", "\"main\""))
        .start()
        .await;
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.send(&bad(Request::get("/long"))).await.unwrap();
        // The one worker has most likely begun with the first one by then.
        assert_eq!(gateway.send(&good()).await.status, 200);
        client.reset().unwrap();
    }
    assert_eq!(gateway.get("/long").await.status, 200);
    gateway.shutdown().await;
}
