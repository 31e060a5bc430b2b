//! Stores that gateways share, end to end: limits of several gateways, and what they do while Redis is away. Periods are long, so that
//! no cell comes back while a test runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, GatewayBuilder, Redis, Request, Upstream, client};
use tokio::task::JoinSet;
use tokio::time::Instant;

const WORKERS: usize = 2;

/// The longest time that a request may take here: far beyond the time-out of the store (20 ms), far below the deadline of an exchange.
const LONG: Duration = Duration::from_secs(2);

/// A gateway whose route is limited by the store.
fn limited(redis: &Redis, limit: u32, keys: &str) -> GatewayBuilder {
    let url = redis.url();
    Gateway::new()
        .workers(WORKERS)
        .plugin("rate-limit")
        .toml(&format!(
            r#"
        [store.limits]
        url = "{url}"

        [plugins.rate-limit]
        allow = {{ store = "limits" }}

        [plugins.rate-limit.config]
        key = "global"
        limit = {limit}
        period = "1h"
        algorithm = "fixed-window"
        scope = "cluster"
        {keys}

        [[routes]]
        name = "all"
        match = {{ prefix = "/" }}
        pipeline = ["rate-limit"]
        upstream = "main"
        "#
        ))
}

/// How many of so many requests, sent by 16 clients at once, got which status. None took too long.
async fn statuses(gateways: &[&Gateway], requests: usize) -> BTreeMap<u16, usize> {
    let mut running = JoinSet::new();
    for client in 0..16 {
        let address = gateways[client % gateways.len()].address();
        let own = requests / 16 + usize::from(client < requests % 16);
        running.spawn(async move {
            let mut statuses = Vec::new();
            for _ in 0..own {
                let began = Instant::now();
                let answer = client::send(address, &Request::get("/"))
                    .await
                    .expect("an answer");
                assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
                statuses.push(answer.status);
            }
            statuses
        });
    }
    let mut found = BTreeMap::new();
    for status in running.join_all().await.into_iter().flatten() {
        *found.entry(status).or_default() += 1;
    }
    found
}

async fn connected(gateway: &Gateway, workers: usize) {
    eventually("workers are connected", async || {
        let found = gateway
            .metric("portcullis_store_connected{store=\"limits\"}")
            .await;
        (found == Some(workers as f64)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_share_one_limit_exactly() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let builder = || limited(&redis, 100, "").upstream("main", &upstream);
    let (one, other) = (builder().start().await, builder().start().await);
    let found = statuses(&[&one, &other], 400).await;
    assert_eq!(found, BTreeMap::from([(200, 100), (429, 300)]));
    assert_eq!(upstream.requests().len(), 100);
    one.shutdown().await;
    other.shutdown().await;
}

/// Redis stops and starts while requests come; `away` is what becomes of 20 requests meanwhile, where 5 are allowed.
async fn outage(keys: &str, away: &[(u16, usize)]) {
    let (mut redis, upstream) = (Redis::start(), Upstream::echo());
    let gateway = limited(&redis, 5, keys).upstream("main", &upstream).start().await;
    connected(&gateway, WORKERS).await;
    assert_eq!(
        statuses(&[&gateway], 20).await,
        BTreeMap::from([(200, 5), (429, 15)])
    );

    // Requests that never cease, through all of it.
    let (ended, address) = (Arc::new(AtomicBool::new(false)), gateway.address());
    let mut load = JoinSet::new();
    for _ in 0..8 {
        let ended = Arc::clone(&ended);
        load.spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = client::send(address, &Request::get("/"))
                    .await
                    .expect("an answer");
                assert!([200, 429, 503].contains(&answer.status), "{}", answer.status);
                assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
            }
        });
    }
    redis.stop();
    connected(&gateway, 0).await;
    redis.start_again();
    connected(&gateway, WORKERS).await;
    redis.stop();
    connected(&gateway, 0).await;
    ended.store(true, Ordering::Relaxed);
    load.join_all().await;

    // Alone, it is known what each one gets: the cells of this gateway itself have been taken.
    assert_eq!(statuses(&[&gateway], 20).await, away.iter().copied().collect());
    redis.start_again();
    connected(&gateway, WORKERS).await;
    assert_eq!(
        statuses(&[&gateway], 20).await,
        BTreeMap::from([(200, 5), (429, 15)])
    );
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_pass_while_the_store_is_away_where_that_is_said() {
    outage("when-store-fails = \"allow\"", &[(200, 20)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_refused_while_the_store_is_away_where_that_is_said() {
    outage("when-store-fails = \"deny\"", &[(503, 20)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gateway_counts_for_itself_while_the_store_is_away() {
    outage("when-store-fails = \"local\"", &[(429, 20)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_gateway_counts_meanwhile_is_its_own_limit() {
    let (mut redis, upstream) = (Redis::start(), Upstream::echo());
    let gateway = limited(&redis, 5, "").upstream("main", &upstream).start().await;
    connected(&gateway, WORKERS).await;
    redis.stop();
    connected(&gateway, 0).await;
    assert_eq!(
        statuses(&[&gateway], 20).await,
        BTreeMap::from([(200, 5), (429, 15)])
    );
    gateway.shutdown().await;
}
