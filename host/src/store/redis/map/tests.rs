//! Values, and how a link behaves when its store does not.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::time::Instant;

use super::super::testing::{LONG, Server, entry};
use super::super::{Remote, Remotes};
use super::*;
use crate::telemetry::StoreStats;

const MOST: usize = 1_000;

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[tokio::test]
async fn values_are_kept_by_key_until_they_are_removed() {
    let server = Server::start();
    let remote = server.entry("e");
    remote.put("a", b"1", 0, MOST, LONG).await.unwrap();
    assert_eq!(remote.put_absent("a", b"2", 0, MOST, LONG).await, Ok(false));
    assert_eq!(
        remote.put_absent("b", b"\0\xff", 60_000, MOST, LONG).await,
        Ok(true)
    );
    let values = remote.get(&keys(&["a", "x", "b"]), MOST, LONG).await.unwrap();
    assert_eq!(
        values,
        [
            Some(Bytes::from_static(b"1")),
            None,
            Some(Bytes::from_static(b"\0\xff"))
        ]
    );
    let others = server
        .entry("other")
        .get(&keys(&["a"]), MOST, LONG)
        .await
        .unwrap();
    assert_eq!(others, [None], "entries have keys of their own");
    assert_eq!(remote.remove(&keys(&["a", "x"]), LONG).await, Ok(1));
    assert_eq!(remote.get(&keys(&["a"]), MOST, LONG).await, Ok(vec![None]));
}

#[tokio::test]
async fn sizes_are_bounded() {
    let server = Server::start();
    let remote = server.entry("e");
    let limit = |result: Result<(), RemoteError>| matches!(result, Err(RemoteError::Limit(_)));
    let long = vec![b'x'; MOST + 1];
    assert!(limit(remote.put("a", &long, 0, MOST, LONG).await));
    remote.put("a", &long, 0, MOST + 1, LONG).await.unwrap();
    assert!(limit(remote.get(&keys(&["a"]), MOST, LONG).await.map(drop)));
    assert!(limit(
        remote
            .get(&vec![String::new(); MAX_KEYS + 1], MOST, LONG)
            .await
            .map(drop)
    ));
    let key = "k".repeat(MAX_KEY_BYTES + 1);
    let refused = remote.put(&key, b"", 0, MOST, LONG).await;
    assert!(matches!(refused, Err(RemoteError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn a_store_that_is_not_there_fails_at_once_and_is_found_again() {
    let mut server = Server::start();
    let remote = server.entry("e");
    remote.put("a", b"1", 0, MOST, LONG).await.unwrap();
    server.stop();
    // The first one may be told of the connection's end; the next find none.
    let lost = remote.put("a", b"1", 0, MOST, LONG).await.unwrap_err();
    assert!(
        matches!(lost, RemoteError::Broken | RemoteError::Disconnected),
        "{lost:?}"
    );
    let began = Instant::now();
    while remote.put("a", b"1", 0, MOST, LONG).await != Err(RemoteError::Disconnected) {
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < LONG);
    server.restart();
    while remote.put("a", b"1", 0, MOST, LONG).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_store_that_stands_still_costs_no_more_than_the_time_out_and_is_connected_anew() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.timeout = Duration::from_millis(20);
    settings.max_pending = 2;
    let remote = entry(settings, "e");
    remote.get(&keys(&["a"]), MOST, LONG).await.unwrap();
    server.signal(Signal::STOP);
    for _ in 0..2 {
        let late = remote.get(&keys(&["a"]), MOST, LONG).await;
        assert_eq!(late, Err(RemoteError::Timeout));
    }
    // What it owes still counts.
    assert_eq!(
        remote.get(&keys(&["a"]), MOST, LONG).await,
        Err(RemoteError::Busy)
    );
    let began = Instant::now();
    while remote.get(&keys(&["a"]), MOST, LONG).await != Err(RemoteError::Disconnected) {
        assert!(began.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal(Signal::CONT);
    while remote.get(&keys(&["a"]), MOST, LONG).await.is_err() {
        assert!(began.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_time_that_the_caller_has_left_counts() {
    let server = Server::start();
    let remote = server.entry("e");
    remote.get(&keys(&["a"]), MOST, LONG).await.unwrap();
    server.signal(Signal::STOP);
    let late = remote.get(&keys(&["a"]), MOST, Duration::from_millis(1)).await;
    assert_eq!(late, Err(RemoteError::Timeout));
    server.signal(Signal::CONT);
}

#[tokio::test]
async fn the_same_settings_are_the_same_store_as_long_as_somebody_has_it() {
    let server = Server::start();
    let (remotes, stats) = (Remotes::default(), || Arc::new(StoreStats::default()));
    let first = remotes.get_or_create(server.settings(), stats);
    assert!(Arc::ptr_eq(
        &first,
        &remotes.get_or_create(server.settings(), stats)
    ));
    let mut other = server.settings();
    other.timeout *= 2;
    assert!(!Arc::ptr_eq(&first, &remotes.get_or_create(other, stats)));
}

#[tokio::test]
async fn a_store_that_is_dropped_lets_its_connection_go() {
    let server = Server::start();
    let (observer, remote) = (
        server.entry("e"),
        Arc::new(Remote::new(server.settings(), Arc::default())),
    );
    remote.of("e").get(&keys(&["a"]), MOST, LONG).await.unwrap();
    observer.get(&keys(&["a"]), MOST, LONG).await.unwrap();
    let clients = || async {
        let list = redis::cmd("CLIENT").arg("LIST").to_owned();
        let answer = observer.call(list, observer.until(LONG)).await.unwrap();
        let text = match answer {
            Value::VerbatimString { text, .. } => text,
            Value::BulkString(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        };
        text.lines().count()
    };
    assert_eq!(clients().await, 2);
    drop(remote);
    // Its link is still known to this thread until the next is made, as an end.
    let next = server.entry("e");
    while clients().await > 1 {
        tokio::task::yield_now().await;
    }
    next.get(&keys(&["a"]), MOST, LONG).await.unwrap();
    assert_eq!(clients().await, 2);
}
