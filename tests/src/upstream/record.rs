//! What an upstream was sent. Every byte of every connection, and the requests that they make up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::message::{Fields, Head};
use crate::wire;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Which connection, from 0.
    pub connection: usize,
    /// Of the request line.
    pub method: String,
    /// Of the request line.
    pub target: String,
    /// Fields of the head.
    pub fields: Fields,
    /// The body as far as it came, without its framing.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Fields,
    /// Head, body and framing, byte for byte.
    pub raw: Vec<u8>,
    /// Whether all of it came.
    pub complete: bool,
}

impl Received {
    /// First value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    pub(super) fn new(connection: usize, head: Head) -> Self {
        let mut words = head.start.splitn(3, ' ').map(str::to_owned);
        Self {
            connection,
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            fields: head.fields,
            body: Vec::new(),
            trailers: Fields::default(),
            raw: Vec::new(),
            complete: false,
        }
    }

    /// What [`Upstream::echo`](super::Upstream::echo) answers.
    pub(super) fn describe(&self, upstream: &str) -> Value {
        json!({
            "upstream": upstream,
            "method": self.method,
            "target": self.target,
            "headers": self.fields.0,
            "body": String::from_utf8_lossy(&self.body),
            "body-bytes": self.body.len(),
            "trailers": self.trailers.0,
        })
    }
}

/// Shared by an upstream and its connections.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: BTreeMap<usize, Received>,
    wires: Vec<Vec<u8>>,
    open: usize,
    sent: u64,
    turns: usize,
    faults: Vec<String>,
}

impl Record {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection's number.
    pub(super) fn connected(&self) -> usize {
        let mut inner = self.inner();
        inner.open += 1;
        inner.wires.push(Vec::new());
        inner.wires.len() - 1
    }

    pub(super) fn disconnected(&self) {
        self.inner().open -= 1;
    }

    /// A new request's number.
    pub(super) fn begun(&self, request: Received) -> usize {
        let mut inner = self.inner();
        let number = inner.requests.len();
        inner.requests.insert(number, request);
        number
    }

    pub(super) fn update(&self, number: usize, request: &Received) {
        self.inner().requests.insert(number, request.clone());
    }

    pub(super) fn wire(&self, connection: usize, bytes: &[u8]) {
        self.inner().wires[connection].extend_from_slice(bytes);
    }

    pub(super) fn add_sent(&self, bytes: u64) {
        self.inner().sent += bytes;
    }

    /// The number of this turn, from 0.
    pub(super) fn turn(&self) -> usize {
        let mut inner = self.inner();
        inner.turns += 1;
        inner.turns - 1
    }

    pub(super) fn fault(&self, text: String) {
        self.inner().faults.push(text);
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.inner().requests.values().cloned().collect()
    }

    pub(super) fn wires(&self) -> Vec<Vec<u8>> {
        self.inner().wires.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.inner().wires.len()
    }

    pub(super) fn open(&self) -> usize {
        self.inner().open
    }

    pub(super) fn sent(&self) -> u64 {
        self.inner().sent
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.inner().faults.clone()
    }
}

/// Whether a start line is a request line of HTTP/1.1 (RFC 9112, section 3).
pub(super) fn is_request_line(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    matches!(words.as_slice(), [method, target, "HTTP/1.1"] if !method.is_empty() && !target.is_empty())
        && wire::bytes(line).is_ascii()
}
