//! Messages of few bytes, each a frame of its own as gRPC and WebSocket send them, to somebody who does not read: the windows
//! hold the sender back, and no connection breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::SendStream;
use http::Response;
use portcullis_tests::http2::server::Server;
use portcullis_tests::http2::{Client, get, next, receive, request, send};
use portcullis_tests::patience::at_rest;
use portcullis_tests::{Gateway, GatewayBuilder};
use tokio::task::JoinHandle;

const MESSAGE: &[u8] = b"of sixteen bytes";

fn front(upstream: SocketAddr) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", &[upstream], "protocol = 'h2'")
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

/// A server that takes any frames.
async fn patient_server() -> Server {
    let mut builder = h2::server::Builder::new();
    builder.data_frame_budget(usize::MAX);
    Server::start_with(builder).await
}

/// A client that takes any frames.
async fn patient_client(gateway: &Gateway) -> Client {
    let mut builder = h2::client::Builder::new();
    builder.data_frame_budget(usize::MAX);
    Client::connect_with(gateway.address(), &builder).await
}

/// Sends messages until the stream takes no more; then no further ones when told, but the end.
struct Sender {
    sent: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Sender {
    fn start(mut stream: SendStream<Bytes>) -> Self {
        let (sent, most) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(usize::MAX)),
        );
        let (count, limit) = (Arc::clone(&sent), Arc::clone(&most));
        let task = tokio::spawn(async move {
            while count.load(Ordering::SeqCst) < limit.load(Ordering::SeqCst) {
                send(&mut stream, Bytes::from_static(MESSAGE)).await.unwrap();
                count.fetch_add(MESSAGE.len(), Ordering::SeqCst);
            }
            stream.send_data(Bytes::new(), true).unwrap();
        });
        Self { sent, most, task }
    }

    /// Waits until nothing more is taken.
    async fn held_back(&self) {
        at_rest("a sender that is held back", || self.sent.load(Ordering::SeqCst)).await;
    }

    /// Has it end, and gives what it sent.
    async fn end(self) -> usize {
        self.most.store(0, Ordering::SeqCst);
        self.task.await.unwrap();
        self.sent.load(Ordering::SeqCst)
    }
}

/// Reads to the end while the sender is told to end.
async fn drained(mut body: h2::RecvStream, sender: Sender) {
    let read = async {
        let mut read = 0;
        while let Some(piece) = next(&mut body).await.unwrap() {
            read += piece.len();
        }
        read
    };
    let (read, sent) = tokio::join!(read, sender.end());
    assert_eq!(read, sent);
}

#[tokio::test]
async fn an_upstream_that_does_not_read_holds_back_the_stream_and_not_its_connection() {
    let mut server = patient_server().await;
    let gateway = front(server.address()).start().await;
    let mut client = patient_client(&gateway).await;
    let (response, outflow) = client.open(request("POST", "/")).await;
    let sender = Sender::start(outflow);
    let slow = server.accept().await;
    sender.held_back().await;
    let other = client.begin(get("/")).await.unwrap();
    server.accept().await.answer(200, "other");
    assert_eq!(receive(other).await.unwrap().text(), "other");
    let (_, body) = slow.request.into_parts();
    drained(body, sender).await;
    let mut respond = slow.respond;
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(receive(response).await.unwrap().status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_no_other_its_connection_to_the_upstream() {
    let mut server = patient_server().await;
    let gateway = front(server.address()).start().await;
    let mut slow = patient_client(&gateway).await;
    let response = slow.begin(get("/slow")).await.unwrap();
    let mut exchange = server.accept().await;
    let outflow = exchange.respond.send_response(Response::new(()), false);
    let sender = Sender::start(outflow.unwrap());
    let body = response.await.unwrap().into_body();
    sender.held_back().await;
    let mut client = Client::connect(gateway.address()).await;
    let other = client.begin(get("/")).await.unwrap();
    server.accept().await.answer(200, "other");
    assert_eq!(receive(other).await.unwrap().text(), "other");
    assert_eq!(server.connections(), 1);
    drained(body, sender).await;
    gateway.shutdown().await;
}
