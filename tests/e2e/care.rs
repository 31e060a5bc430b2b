//! Endpoints and upstreams that fail, hang and slow down: health checks, ejection, circuit breakers and limits, alone and
//! under load.

use std::net::SocketAddr;

use portcullis_tests::endpoint::Endpoint;
use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request};
use serde_json::Value;
use tokio::task::JoinSet;

mod breaker;
mod health;
mod limits;
mod load;
mod outlier;
mod processes;

/// One route, to the upstream `up` with these endpoints and further keys.
fn front(endpoints: &[&Endpoint], keys: &str) -> GatewayBuilder {
    let addresses: Vec<SocketAddr> = endpoints.iter().map(|endpoint| endpoint.address()).collect();
    Gateway::new()
        .upstream_with("up", &addresses, keys)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

/// So many endpoints.
async fn endpoints<const N: usize>() -> [Endpoint; N] {
    let mut all = Vec::new();
    for _ in 0..N {
        all.push(Endpoint::start().await);
    }
    all.try_into().expect("as many as were made")
}

/// An endpoint in the status.
fn endpoint<'a>(status: &'a Value, endpoint: &Endpoint) -> &'a Value {
    let all = status["upstreams"][0]["endpoints"].as_array().unwrap();
    let address = endpoint.address().to_string();
    all.iter().find(|each| each["address"] == address).unwrap()
}

/// Waits until an endpoint is not used for this reason alone.
async fn wait_for_reason(gateway: &Gateway, of: &Endpoint, reason: &str) {
    let status = gateway
        .wait_for(|status| endpoint(status, of)["state"] == "unavailable")
        .await;
    assert_eq!(endpoint(&status, of)["reasons"], serde_json::json!([reason]));
}

/// Waits until an endpoint is used.
async fn wait_for_available(gateway: &Gateway, of: &Endpoint) {
    gateway
        .wait_for(|status| endpoint(status, of)["state"] == "available")
        .await;
}

/// The state of the breaker of the upstream.
fn breaker(status: &Value) -> &str {
    status["upstreams"][0]["breaker"].as_str().unwrap()
}

/// Sends so many requests at once, each on a connection of its own.
fn burst(gateway: &Gateway, count: usize) -> JoinSet<Answer> {
    let address = gateway.address();
    let mut clients = JoinSet::new();
    for _ in 0..count {
        clients.spawn(async move {
            portcullis_tests::client::send(address, &Request::get("/"))
                .await
                .expect("an answer")
        });
    }
    clients
}

/// The next so many answers; each must be this error, with a time to come back.
async fn expect_refused(clients: &mut JoinSet<Answer>, count: usize, code: &str) {
    for _ in 0..count {
        let answer = clients.join_next().await.unwrap().unwrap();
        assert_eq!((answer.status, answer.problem().as_str()), (503, code));
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&after), "{after}");
    }
}

/// All answers that are left; each must be a 200.
async fn expect_ok(clients: JoinSet<Answer>, count: usize) {
    let answers = clients.join_all().await;
    assert_eq!(answers.len(), count);
    for answer in answers {
        assert_eq!((answer.status, answer.text()), (200, "ok"));
    }
}

/// Whether a line with this message and these fields was logged at this level.
fn logged(gateway: &Gateway, level: &str, message: &str, fields: &[(&str, &str)]) -> bool {
    gateway.logs().iter().any(|line| {
        line.level.as_str() == level
            && line.message == message
            && fields
                .iter()
                .all(|(name, value)| line.field(name) == Some(*value))
    })
}
