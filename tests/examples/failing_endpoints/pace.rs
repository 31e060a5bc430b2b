//! Requests on a fixed schedule, each sent when its time has come, however long those before it take. It knows the address
//! only.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_tests::{Connection, Request};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::tally::Outcome;

/// Connections at the start; more are opened when all of them wait for an answer.
const CONNECTIONS: usize = 16;
/// A request that takes longer has failed: it bounds how many wait at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// The schedule, and connections on which nothing is under way, the one that rested longest first.
pub(crate) struct Pace {
    address: SocketAddr,
    gap: Duration,
    next: Instant,
    idle: Arc<Mutex<VecDeque<Connection>>>,
}

impl Pace {
    /// So many requests a second from `start` on.
    pub(crate) async fn new(address: SocketAddr, rate: u32, start: Instant) -> Self {
        let mut idle = VecDeque::new();
        for _ in 0..CONNECTIONS {
            idle.push_back(Connection::open(address).await.expect("a gateway that listens"));
        }
        Self {
            address,
            gap: Duration::from_secs(1) / rate,
            next: start,
            idle: Arc::new(Mutex::new(idle)),
        }
    }

    /// Sends until then; the last ones may be under way still.
    pub(crate) async fn send_until(&mut self, until: Instant) -> JoinSet<Outcome> {
        let mut requests = JoinSet::new();
        while self.next < until {
            sleep_until(self.next).await;
            self.next += self.gap;
            requests.spawn(once(self.address, Arc::clone(&self.idle)));
        }
        requests
    }
}

async fn once(address: SocketAddr, idle: Arc<Mutex<VecDeque<Connection>>>) -> Outcome {
    let begun = Instant::now();
    let error = match timeout(PATIENCE, exchange(address, &idle)).await {
        Ok(result) => result.err(),
        Err(_) => Some("no answer".to_owned()),
    };
    Outcome {
        latency: begun.elapsed(),
        error,
    }
}

async fn exchange(address: SocketAddr, idle: &Mutex<VecDeque<Connection>>) -> Result<(), String> {
    let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut connection = match kept {
        Some(connection) => connection,
        None => Connection::open(address)
            .await
            .map_err(|fault| fault.to_string())?,
    };
    let answer = connection.exchange(&Request::get("/")).await;
    let answer = answer.map_err(|fault| fault.to_string())?;
    if !answer.fields.lists("connection", "close") {
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back(connection);
    }
    match answer.status {
        200 => Ok(()),
        status => Err(format!("{status}: {}", String::from_utf8_lossy(&answer.body))),
    }
}
