//! Upstreams that do as they are told, on a port of their own, and remember what they were sent byte for byte. A
//! request that breaks a rule of HTTP fails the test when the upstream is dropped. They know nothing of gateways.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::patience::eventually;
use crate::port;
use crate::upstream::behaviour::Behaviour;
use crate::upstream::record::Record;

mod behaviour;
mod gate;
mod record;

pub use crate::upstream::behaviour::{Step, Turn};
pub use crate::upstream::gate::Gate;
pub use crate::upstream::record::Received;

/// A server in the test's own runtime; it ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    record: Arc<Record>,
    task: JoinHandle<()>,
    faults: Faults,
}

/// What to make of requests that break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faults {
    Fail,
    Tolerate,
}

impl Upstream {
    /// Answers 200 with JSON: `upstream` (its address), `method`, `target`, `headers` (pairs in order), `body` (text),
    /// `body-bytes`, `trailers`.
    #[must_use]
    pub fn echo() -> Self {
        Self::start(Behaviour::Echo)
    }

    /// Always the same answer; the body is sent with a `Content-Length`.
    #[must_use]
    pub fn fixed(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::start(Behaviour::Fixed {
            status,
            headers,
            body: body.into(),
        })
    }

    /// Answers 200 with these pieces as chunks. The head and each piece wait until the gate lets one more pass.
    #[must_use]
    pub fn slow(pieces: &[&str]) -> (Self, Gate) {
        let gate = Gate::closed();
        let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
        (
            Self::start(Behaviour::Slow {
                pieces,
                gate: gate.clone(),
            }),
            gate,
        )
    }

    /// Reads a request and resets the connection (RST).
    #[must_use]
    pub fn reset() -> Self {
        Self::flaky(&[Turn::Reset])
    }

    /// Answers 200 with so many bytes; [`Upstream::sent`] says how far it got.
    #[must_use]
    pub fn huge(bytes: u64) -> Self {
        Self::start(Behaviour::Huge { bytes })
    }

    /// One turn per request, over and over, whatever the connection.
    #[must_use]
    pub fn flaky(turns: &[Turn]) -> Self {
        assert!(!turns.is_empty(), "an upstream without turns");
        Self::start(Behaviour::Flaky {
            turns: turns.to_vec(),
        })
    }

    /// These steps on every connection, then it closes it.
    #[must_use]
    pub fn raw(script: impl IntoIterator<Item = Step>) -> Self {
        Self::start(Behaviour::Script {
            steps: script.into_iter().collect(),
        })
    }

    /// An address where nothing listens (any more).
    ///
    /// # Panics
    /// Without a free port.
    #[must_use]
    pub fn nowhere() -> SocketAddr {
        StdListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
    }

    /// Requests that break a rule of HTTP do not fail the test.
    #[must_use]
    pub fn tolerant(mut self) -> Self {
        self.faults = Faults::Tolerate;
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, in the order in which their heads came.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.record.requests()
    }

    /// The only request so far.
    ///
    /// # Panics
    /// When there were none, or several.
    #[must_use]
    pub fn only_request(&self) -> Received {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests: {requests:?}");
        requests.remove(0)
    }

    /// Waits for `count` requests that were read to their end, and gives all so far.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} requests at the upstream"), async || {
            let requests = self.requests();
            (requests.iter().filter(|request| request.complete).count() >= count).then_some(requests)
        })
        .await
    }

    /// All bytes that came on each connection, in the order of the connections.
    #[must_use]
    pub fn wires(&self) -> Vec<Vec<u8>> {
        self.record.wires()
    }

    /// Connections that were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.record.connections()
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.record.open()
    }

    /// Bytes of bodies that the sockets took so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.record.sent()
    }

    /// Stops: what is open is closed, new connections are refused. What was recorded stays.
    pub fn stop(&self) {
        self.task.abort();
    }

    fn start(behaviour: Behaviour) -> Self {
        let (listener, address) = port::listen();
        let record = Arc::new(Record::default());
        let task = tokio::spawn(serve(listener, address, Arc::new(behaviour), Arc::clone(&record)));
        Self {
            address,
            record,
            task,
            faults: Faults::Fail,
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
        let seen = self.record.faults();
        let fails = self.faults == Faults::Fail && !thread::panicking();
        assert!(
            !fails || seen.is_empty(),
            "the upstream {} saw: {seen:?}",
            self.address
        );
    }
}

/// Accepts until it is aborted, which drops the connections with it.
async fn serve(listener: TcpListener, address: SocketAddr, behaviour: Arc<Behaviour>, record: Arc<Record>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (behaviour, record) = (Arc::clone(&behaviour), Arc::clone(&record));
                connections.spawn(async move { behaviour.run(stream, address, &record).await });
            }
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    record.fault("a connection of the upstream panicked".to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::{Connection, send};
    use crate::message::Framing;
    use crate::request::Request;
    use crate::wire::Fault;

    #[tokio::test]
    async fn an_echo_says_what_came_and_remembers_it() {
        let upstream = Upstream::echo();
        let mut connection = Connection::open(upstream.address()).await.unwrap();
        let request = Request::post("/a?b=c", "abc")
            .header("X-A", "1")
            .header("x-a", "2");
        for _ in 0..2 {
            let echo = connection.exchange(&request).await.unwrap().json();
            assert_eq!(echo["method"], "POST");
            assert_eq!(echo["target"], "/a?b=c");
            assert_eq!(echo["body"], "abc");
            assert_eq!(echo["upstream"], upstream.address().to_string());
            let headers = echo["headers"].as_array().unwrap();
            assert_eq!(headers[1..3], [json!(["X-A", "1"]), json!(["x-a", "2"])]);
        }
        let requests = upstream.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].raw, request.bytes(&upstream.address().to_string()));
        assert_eq!(requests[0].header("x-a"), Some("1"));
        assert_eq!((requests[1].connection, requests[1].complete), (0, true));
        assert_eq!(
            upstream.wires(),
            [[requests[0].raw.clone(), requests[1].raw.clone()].concat()]
        );
        assert_eq!((upstream.connections(), upstream.open()), (1, 1));
    }

    #[tokio::test]
    async fn a_fixed_answer_is_sent_as_given_and_not_to_head() {
        let upstream = Upstream::fixed(418, &[("x-tea", "pot")], "short");
        let answer = send(upstream.address(), &Request::get("/")).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("x-tea"), answer.text()),
            (418, Some("pot"), "short")
        );
        let head = send(upstream.address(), &Request::new("HEAD", "/"))
            .await
            .unwrap();
        assert_eq!((head.header("content-length"), head.text()), (Some("5"), ""));
    }

    #[tokio::test]
    async fn a_slow_answer_waits_for_its_gate() {
        let (upstream, gate) = Upstream::slow(&["one", "two"]);
        let mut connection = Connection::open(upstream.address()).await.unwrap();
        connection.send(&Request::get("/")).await.unwrap();
        upstream.wait_for_requests(1).await;
        gate.open(2);
        let (status, head) = connection.receive_head().await.unwrap();
        assert_eq!(
            (status, head.fields.framing(Framing::Close).unwrap()),
            (200, Framing::Chunked)
        );
        eventually("the first piece", async || (upstream.sent() == 3).then_some(())).await;
        gate.open_for_good();
        let mut body = Vec::new();
        connection
            .pieces(Framing::Chunked, |piece| body.extend_from_slice(piece))
            .await
            .unwrap();
        assert_eq!(body, b"onetwo");
    }

    #[tokio::test]
    async fn resets_and_closes_are_told_apart() {
        let upstream = Upstream::flaky(&[Turn::Answer(200), Turn::Reset, Turn::Close, Turn::Answer(503)]);
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(send(upstream.address(), &Request::get("/")).await);
        }
        assert_eq!(answers[0].as_ref().unwrap().status, 200);
        assert!(answers[1].as_ref().unwrap_err().is_reset(), "{answers:?}");
        assert!(matches!(answers[2], Err(Fault::Closed)), "{answers:?}");
        assert_eq!(answers[3].as_ref().unwrap().status, 503);
        assert_eq!(answers[4].as_ref().unwrap().status, 200);
    }

    #[tokio::test]
    async fn a_huge_answer_is_not_held_in_memory() {
        let upstream = Upstream::huge(50_000_000);
        let mut connection = Connection::open(upstream.address()).await.unwrap();
        connection.send(&Request::get("/")).await.unwrap();
        let (_, head) = connection.receive_head().await.unwrap();
        let framing = head.fields.framing(Framing::Close).unwrap();
        assert_eq!(connection.pieces(framing, |_| ()).await.unwrap(), 50_000_000);
        assert_eq!(upstream.sent(), 50_000_000);
    }

    #[tokio::test]
    async fn a_script_runs_on_every_connection() {
        let gate = Gate::closed();
        let upstream = Upstream::raw([
            Step::Request,
            Step::send("HTTP/1.1 "),
            Step::Wait(gate.clone()),
            Step::send("200 OK\r\ncontent-length: 0\r\n\r\n"),
        ]);
        gate.open_for_good();
        for connection in 0..2 {
            assert_eq!(
                send(upstream.address(), &Request::get("/")).await.unwrap().status,
                200
            );
            assert_eq!(upstream.requests()[connection].connection, connection);
        }
    }

    #[tokio::test]
    async fn a_body_cut_off_is_recorded_as_such() {
        let upstream = Upstream::echo();
        let mut connection = Connection::open(upstream.address()).await.unwrap();
        connection
            .write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabc")
            .await
            .unwrap();
        connection.finish().await.unwrap();
        connection.closed().await.unwrap();
        let request = upstream.only_request();
        assert_eq!((request.complete, request.body.as_slice()), (false, &b"abc"[..]));
    }

    #[tokio::test]
    async fn a_request_that_breaks_a_rule_fails_the_test() {
        let upstream = Upstream::echo();
        let mut connection = Connection::open(upstream.address()).await.unwrap();
        connection
            .write(b"GET / HTTP/1.1\r\nhost : x\r\n\r\n")
            .await
            .unwrap();
        connection.closed().await.unwrap();
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(upstream)));
        let text = dropped.unwrap_err().downcast_ref::<String>().unwrap().clone();
        assert!(text.contains("bad field"), "{text}");
    }

    #[tokio::test]
    async fn nobody_listens_after_a_stop() {
        let upstream = Upstream::echo();
        upstream.stop();
        eventually("a refused connection", async || {
            Connection::open(upstream.address()).await.err()
        })
        .await;
        let refused = Connection::open(Upstream::nowhere()).await;
        assert!(matches!(refused, Err(Fault::Connect(_))));
    }
}
