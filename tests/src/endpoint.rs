//! An endpoint that can be killed, hung, slowed and brought back on the same port while a test goes on. It answers
//! requests without a body, counts them, and keeps checks (`/health`) apart. It knows nothing of gateways.

pub mod process;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use crate::patience::eventually;
use crate::upstream::Gate;

/// The target of checks.
pub const HEALTH: &str = "/health";

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// What an endpoint does with requests.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Answers with this status.
    Answer(u16),
    /// Answers 200 after a while.
    Slow(Duration),
    /// Answers 200 once the gate lets it pass.
    Wait(Gate),
    /// Accepts connections and never answers, checks included.
    Hang,
}

/// A server in the test's own runtime; it ends when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<State>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    mode: Mutex<Mode>,
    /// The answer to checks.
    health: Mutex<u16>,
    requests: AtomicUsize,
    checks: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Endpoint {
    /// Answers everything with 200.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same at an address.
    ///
    /// # Panics
    /// When that is taken.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let endpoint = Self {
            address: listener.local_addr().expect("a bound listener has an address"),
            state: Arc::new(State {
                mode: Mutex::new(Mode::Answer(200)),
                health: Mutex::new(200),
                requests: AtomicUsize::new(0),
                checks: AtomicUsize::new(0),
                now: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
            }),
            task: Mutex::new(None),
        };
        endpoint.serve(listener);
        endpoint
    }

    /// Where it listens, or did.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does with requests from now on.
    pub fn set(&self, mode: Mode) {
        *lock(&self.state.mode) = mode;
    }

    /// What it answers to checks from now on.
    pub fn set_health(&self, status: u16) {
        *lock(&self.state.health) = status;
    }

    /// Dies as a killed process does: the kernel closes every socket of it.
    pub fn kill(&self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }

    /// Comes back on the same port.
    pub async fn restart(&self) {
        self.kill();
        let listener = eventually("a port that is free again", async || {
            TcpListener::bind(self.address).await.ok()
        })
        .await;
        self.serve(listener);
    }

    /// Requests so far, without checks.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Checks so far.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.state.checks.load(Ordering::Relaxed)
    }

    /// Most requests that it had at once.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.state.most.load(Ordering::Relaxed)
    }

    /// Waits until it has `count` requests at once.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_for_at_once(&self, count: usize) {
        eventually(&format!("{count} requests at once"), async || {
            (self.state.now.load(Ordering::Relaxed) == count).then_some(())
        })
        .await;
    }

    /// Waits until it was checked.
    ///
    /// # Panics
    /// When it is not.
    pub async fn wait_for_check(&self) {
        eventually("a check", async || (self.checks() > 0).then_some(())).await;
    }

    fn serve(&self, listener: TcpListener) {
        let task = tokio::spawn(accept(listener, Arc::clone(&self.state)));
        *lock(&self.task) = Some(task);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection to its end.
async fn serve(mut stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).ok();
    let mut unread = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            let read = stream.read_buf(&mut unread).await;
            if unread.len() > MAX_HEAD || !matches!(read, Ok(count) if count > 0) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&unread[..end]).into_owned();
        unread.drain(..end);
        let status = tokio::select! {
            status = state.answer(&head) => status,
            () = left(&stream) => return,
        };
        let head_only = head.starts_with("HEAD ");
        let body = if head_only { "" } else { "ok" };
        let text = format!("HTTP/1.1 {status} Status\r\ncontent-length: 2\r\n\r\n{body}");
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Returns once the client has closed the connection.
async fn left(stream: &TcpStream) {
    if matches!(stream.peek(&mut [0]).await, Ok(count) if count > 0) {
        // The next request is there already; whether the client is shows when it is answered.
        std::future::pending::<()>().await;
    }
}

impl State {
    /// The status of the answer, when it is time for it.
    async fn answer(&self, head: &str) -> u16 {
        let is_check = head.split(' ').nth(1).is_some_and(|target| target == HEALTH);
        let mode = lock(&self.mode).clone();
        if is_check {
            self.checks.fetch_add(1, Ordering::Relaxed);
            if matches!(mode, Mode::Hang) {
                std::future::pending::<()>().await;
            }
            return *lock(&self.health);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        let _here = Here(&self.now);
        match mode {
            Mode::Answer(status) => return status,
            Mode::Slow(time) => time::sleep(time).await,
            Mode::Wait(gate) => gate.pass().await,
            Mode::Hang => std::future::pending().await,
        }
        200
    }
}

/// Counts a request until it is answered, or given up with its connection.
struct Here<'a>(&'a AtomicUsize);

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::send;
    use crate::request::Request;

    #[tokio::test]
    async fn it_dies_and_comes_back_on_its_port() {
        let endpoint = Endpoint::start().await;
        let get = async |target| send(endpoint.address(), &Request::get(target)).await;
        assert_eq!(get("/").await.unwrap().status, 200);
        endpoint.kill();
        eventually("a dead endpoint", async || get("/").await.err()).await;
        endpoint.restart().await;
        endpoint.set(Mode::Answer(503));
        assert_eq!(get("/").await.unwrap().status, 503);
        assert_eq!(get(HEALTH).await.unwrap().status, 200);
        assert_eq!(
            (endpoint.requests(), endpoint.checks(), endpoint.most_at_once()),
            (2, 1, 1)
        );
    }
}
