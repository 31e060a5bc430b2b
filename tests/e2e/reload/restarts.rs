//! What a restart finds, and a stop in the middle of a load.

use std::fs;
use std::path::Path;

use portcullis_host::gateway::{Gateway, Options, Running};
use portcullis_tests::patience::eventually;
use portcullis_tests::{Answer, Request, Upstream, artifact, client};
use tokio::task;
use tokio::time::{Duration, Instant};

use super::{route, toml};

/// Several gateways, one after the other, in one folder.
async fn start(folder: &Path) -> Running {
    let options = Options {
        config: folder.join("portcullis.toml"),
        workers: Some(1),
    };
    let started = task::spawn_blocking(move || Gateway::start(options));
    started.await.unwrap().unwrap()
}

async fn get(running: &Running, target: &str) -> Answer {
    let address = running.address("public").unwrap();
    client::send(address, &Request::get(target)).await.unwrap()
}

/// A folder with the plugin `mock`, and this in `[gateway]`.
fn folder(keys: &str, upstream: &Upstream) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::copy(artifact::plugin("mock"), folder.path().join("plugins/mock.wasm")).unwrap();
    let text = format!(
        "[gateway]\nadmin = \"127.0.0.1:0\"\n{keys}[listeners.public]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.up]\nendpoints = [\"{}\"]\n{}",
        upstream.address(),
        toml("one")
    );
    fs::write(folder.path().join("portcullis.toml"), text).unwrap();
    folder
}

#[tokio::test]
async fn a_restart_finds_the_last_good_version_beside_its_cache() {
    let upstream = Upstream::fixed(200, &[], "up");
    let folder = folder("cache-dir = \"cache\"\n", &upstream);
    let running = start(folder.path()).await;
    assert_eq!(get(&running, "/hello").await.text(), "one");
    running.shutdown().await;
    for broken in [Some("broken"), None] {
        let plugin = folder.path().join("plugins/mock.wasm");
        match broken {
            Some(text) => fs::write(&plugin, text).unwrap(),
            None => fs::remove_file(&plugin).unwrap(),
        }
        let running = start(folder.path()).await;
        assert_eq!(get(&running, "/hello").await.text(), "one");
        let status = running.board().status();
        assert!(status.contains("\"last-good\""), "{status}");
        running.shutdown().await;
    }
}

#[tokio::test]
async fn without_a_cache_a_restart_has_nothing_to_fall_back_on() {
    let upstream = Upstream::fixed(200, &[], "up");
    let folder = folder("", &upstream);
    start(folder.path()).await.shutdown().await;
    fs::write(folder.path().join("plugins/mock.wasm"), "broken").unwrap();
    let running = start(folder.path()).await;
    assert_eq!(get(&running, "/hello").await.problem(), "plugin-unavailable");
    assert_eq!(get(&running, "/plain").await.text(), "up");
    running.shutdown().await;
}

#[tokio::test]
async fn a_damaged_cache_costs_a_compilation_and_nothing_else() {
    let upstream = Upstream::fixed(200, &[], "up");
    let folder = folder("cache-dir = \"cache\"\n", &upstream);
    start(folder.path()).await.shutdown().await;
    let mut damaged = 0;
    for file in fs::read_dir(folder.path().join("cache")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            fs::write(path, "not native code").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "nothing was cached");
    let running = start(folder.path()).await;
    assert_eq!(get(&running, "/hello").await.text(), "one");
    running.shutdown().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_plugin_that_is_slow_to_load() {
    let upstream = Upstream::fixed(200, &[], "up");
    let with = |fault: &str| {
        format!("[plugins.rogue]\nconfig = {{ hook = \"configure\", fault = \"{fault}\" }}\n")
            + &route("plain", "\"up\"")
    };
    let mut gateway = portcullis_tests::Gateway::new()
        .guest("rogue")
        .upstream("up", &upstream)
        .toml(&with("none"))
        .start_binary()
        .await;
    let cpu = async || gateway.metric("process_cpu_seconds_total").await.unwrap();
    let before = cpu().await;
    gateway.write_toml(&with("spin"));
    // It spins for ten seconds of CPU time before it is given up.
    eventually("a plugin that spins", async || {
        (cpu().await > before + 1.0).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/plain").await.text(), "up");
    let begun = Instant::now();
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}
