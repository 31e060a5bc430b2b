//! An upstream that speaks HTTP/2 by prior knowledge: each stream is the test's to answer. Knows nothing of gateways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::patience::PATIENCE;

/// Streams that may wait for the test.
const WAITING: usize = 1_000;

/// A listening server; it ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    streams: mpsc::Receiver<Exchange>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    drain: Arc<tokio::sync::Notify>,
    task: JoinHandle<()>,
}

/// One stream.
#[derive(Debug)]
pub struct Exchange {
    /// What came.
    pub request: Request<RecvStream>,
    /// Takes the answer.
    pub respond: SendResponse<Bytes>,
}

impl Server {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(Builder::new()).await
    }

    /// Starts one with settings of its own.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start_with(builder: Builder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (sender, streams) = mpsc::channel(WAITING);
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let drain = Arc::new(tokio::sync::Notify::new());
        let counts = (Arc::clone(&connections), Arc::clone(&open));
        let told = Arc::clone(&drain);
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, builder, told) = (sender.clone(), builder.clone(), Arc::clone(&told));
                let (connections, open) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
                connections.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                serving.spawn(async move {
                    if let Ok(mut connection) = builder.handshake(stream).await {
                        loop {
                            tokio::select! {
                                accepted = connection.accept() => match accepted {
                                    Some(Ok((request, respond))) => {
                                        if sender.send(Exchange { request, respond }).await.is_err() {
                                            break;
                                        }
                                    }
                                    _ => break,
                                },
                                () = told.notified() => connection.graceful_shutdown(),
                            }
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            streams,
            connections,
            open,
            drain,
            task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Sends GOAWAY on the connections that are open; streams go on.
    pub fn go_away(&self) {
        self.drain.notify_waiters();
    }

    /// The next stream.
    ///
    /// # Panics
    /// When none comes.
    pub async fn accept(&mut self) -> Exchange {
        let stream = timeout(PATIENCE, self.next()).await;
        stream.expect("a stream").expect("a server that runs")
    }

    /// The next stream, however long that takes; none when the server has ended.
    pub async fn next(&mut self) -> Option<Exchange> {
        self.streams.recv().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exchange {
    /// Reads the request's body to its end: content and trailers.
    ///
    /// # Errors
    /// When the stream is reset.
    pub async fn read(&mut self) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
        let body = self.request.body_mut();
        let mut content = Vec::new();
        while let Some(piece) = super::next(body).await? {
            content.extend_from_slice(&piece);
        }
        let trailers = body.trailers().await?;
        Ok((content, trailers))
    }

    /// Opens the tunnel that was asked for (RFC 8441), with these fields in the answer; gives what goes to the client.
    ///
    /// # Panics
    /// When none was asked for, or the stream is reset.
    pub fn open(&mut self, headers: HeaderMap) -> SendStream<Bytes> {
        assert_eq!(self.request.method(), "CONNECT", "{:?}", self.request);
        let mut response = Response::new(());
        *response.headers_mut() = headers;
        self.respond
            .send_response(response, false)
            .expect("an open stream")
    }

    /// Answers with a status and a body.
    ///
    /// # Panics
    /// When the stream is reset.
    pub fn answer(mut self, status: u16, body: &'static str) {
        let response = Response::builder().status(status).body(()).expect("a response");
        let sent = self.respond.send_response(response, body.is_empty());
        let mut stream = sent.expect("an open stream");
        if !body.is_empty() {
            stream
                .send_data(Bytes::from_static(body.as_bytes()), true)
                .expect("an open stream");
        }
    }
}
