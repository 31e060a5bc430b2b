//! The echo server in streams of HTTP/2 (RFC 8441). Knows nothing of gateways.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::server::Builder;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::task::{JoinHandle, JoinSet};

use super::talk;
use crate::http2::server::{Exchange, Server};
use crate::http2::{next, send};

/// Bytes between a stream and the server.
const ROOM: usize = 64 << 10;

/// Takes every extended CONNECT, and refuses everything else with 400; it ends when it is dropped.
#[derive(Debug)]
pub struct EchoTunnels {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl EchoTunnels {
    /// On a port of its own.
    pub async fn start() -> Self {
        let mut builder = Builder::new();
        // A client may send byte by byte.
        builder.enable_connect_protocol().data_frame_budget(256 << 20);
        let mut server = Server::start_with(builder).await;
        let address = server.address();
        let task = tokio::spawn(async move {
            let mut streams = JoinSet::new();
            while let Some(exchange) = server.next().await {
                streams.spawn(serve(exchange));
            }
        });
        Self { address, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for EchoTunnels {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut exchange: Exchange) {
    if exchange.request.extensions().get::<h2::ext::Protocol>().is_none() {
        return exchange.answer(400, "no tunnel");
    }
    let mut outflow = exchange.open(HeaderMap::new());
    let inflow = exchange.request.body_mut();
    let (near, mut far) = duplex(ROOM);
    let (mut from, mut to) = split(near);
    let inwards = async {
        while let Ok(Some(piece)) = next(inflow).await {
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        to.shutdown().await.ok();
    };
    let outwards = async {
        let mut piece = vec![0; ROOM];
        while let Ok(count @ 1..) = from.read(&mut piece).await {
            if send(&mut outflow, Bytes::copy_from_slice(&piece[..count]))
                .await
                .is_err()
            {
                return;
            }
        }
        outflow.send_data(Bytes::new(), true).ok();
    };
    tokio::join!(inwards, outwards, talk(&mut far));
}
