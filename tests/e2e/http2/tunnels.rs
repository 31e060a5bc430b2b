//! Tunnels in streams: what they carry, how both sides come to their end, and what is said of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Builder;
use h2::{Reason, RecvStream, SendStream};
use portcullis_tests::Gateway;
use portcullis_tests::http2::tunnel::Tunnel;
use portcullis_tests::http2::{Client, next, send};
use portcullis_tests::patience::{PATIENCE, at_rest, eventually};
use portcullis_tests::websocket::{EchoServer, Frame, opcode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::front;
use super::websocket::{chat, opened};
use crate::http::access_log::Log;
use crate::http::peer::{End, Server};
use crate::http::websocket::{Case, all};

#[tokio::test]
async fn either_side_can_end_its_direction_and_go_on_reading() {
    let server = Server::start().await;
    let gateway = front(server.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
    tunnel.send("last words").await;
    tunnel.finish();
    assert_eq!(upstream.rest().await, ("last words".to_owned(), End::Closed));
    upstream.send("an answer").await;
    drop(upstream);
    assert_eq!(tunnel.rest().await, (b"an answer".to_vec(), None));

    let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
    upstream.send("last words").await;
    upstream.finish().await;
    assert_eq!(tunnel.rest().await, (b"last words".to_vec(), None));
    tunnel.send("still here").await;
    tunnel.finish();
    assert_eq!(upstream.rest().await, ("still here".to_owned(), End::Closed));
    gateway.shutdown().await;
}

/// Waits until no tunnel is open.
async fn no_tunnels(gateway: &Gateway) {
    let open = "portcullis_listener_tunnels{listener=\"public\"}";
    eventually("no tunnel is left", async || {
        (gateway.metric(open).await == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reset_by_either_side_ends_the_other() {
    let server = Server::start().await;
    let gateway = front(server.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (mut tunnel, upstream) = opened(&mut client, &server).await;
    upstream.reset();
    assert_eq!(tunnel.rest().await, (Vec::new(), Some(Reason::CANCEL)));
    let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
    tunnel.reset(Reason::CANCEL);
    upstream.rest().await;
    // Also when nothing more is read of the client, and the upstream has nothing to say.
    let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
    tunnel.finish();
    assert_eq!(upstream.rest().await, (String::new(), End::Closed));
    drop(tunnel);
    no_tunnels(&gateway).await;
    drop(upstream);
    // The death of the connection is that of its tunnels.
    let (tunnel, mut upstream) = opened(&mut client, &server).await;
    client.abort();
    upstream.rest().await;
    drop(tunnel);
    gateway.shutdown().await;
}

#[tokio::test]
async fn trailers_in_a_tunnel_end_it() {
    let server = Server::start().await;
    let gateway = front(server.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
    tunnel.outflow.send_trailers(http::HeaderMap::new()).unwrap();
    upstream.rest().await;
    assert!(tunnel.rest().await.1.is_some(), "a reset");
    gateway.shutdown().await;
}

/// Sends without end until the other side takes no more; gives what was taken then, and the sender.
async fn held_back(mut outflow: SendStream<Bytes>) -> (usize, tokio::task::JoinHandle<SendStream<Bytes>>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let task = tokio::spawn(async move {
        let piece = Bytes::from(vec![b'x'; 16 << 10]);
        while send(&mut outflow, piece.clone()).await.is_ok() {
            count.fetch_add(piece.len(), Ordering::Relaxed);
        }
        outflow
    });
    let before = at_rest("a sender that is held back", || sent.load(Ordering::Relaxed)).await;
    (before, task)
}

#[tokio::test]
async fn a_side_that_does_not_read_holds_the_other_back() {
    let server = Server::start().await;
    let gateway = front(server.address()).start().await;
    let mut client = Client::connect_with(
        gateway.address(),
        Builder::new().initial_connection_window_size(1 << 20),
    )
    .await;
    let (tunnel, upstream) = opened(&mut client, &server).await;
    let Tunnel { outflow, inflow, .. } = tunnel;
    let (taken, sender) = held_back(outflow).await;
    // What sockets hold, the stream's window and a piece.
    assert!(taken < 32 << 20, "{taken}");
    let (mut reader, mut writer) = upstream.into_stream().into_split();
    let mut left = taken + (4 << 20);
    let mut space = vec![0; 1 << 20];
    while left > 0 {
        let read = timeout(PATIENCE, reader.read(&mut space)).await.unwrap();
        left = left.saturating_sub(read.unwrap());
    }
    // The other way the client's window is the bound.
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let upward = tokio::spawn(async move {
        let piece = vec![b'y'; 64 << 10];
        while let Ok(written) = writer.write(&piece).await {
            count.fetch_add(written, Ordering::Relaxed);
        }
    });
    let taken = at_rest("an upstream that is held back", || sent.load(Ordering::Relaxed)).await;
    assert!(taken < 32 << 20, "{taken}");
    let mut inflow: RecvStream = inflow;
    let mut left = taken + (4 << 20);
    while left > 0 {
        let piece = next(&mut inflow).await.unwrap().unwrap();
        left = left.saturating_sub(piece.len());
    }
    drop((inflow, reader));
    sender.abort();
    upward.abort();
    gateway.shutdown().await;
}

#[tokio::test]
async fn silence_ends_a_tunnel_and_the_routes_timeout_does_not() {
    let (log, server) = (Log::new(), Server::start().await);
    let route = "[[routes]]\nname = 'all'\nupstream = 'up'\ntimeout = '300ms'\nupgrade-idle-timeout = '1s'\n";
    let builder = Gateway::new()
        .workers(1)
        .upstream_with("up", &[server.address()], "")
        .toml(route);
    let gateway = log.on(builder, "json").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let begun = Instant::now();
    let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
    let (bytes, reason) = tunnel.rest().await;
    assert_eq!((bytes.len(), reason), (0, Some(Reason::CANCEL)));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    upstream.rest().await;
    let line = log.one_of(gateway).await;
    assert_eq!(line["error_code"], "upstream-idle-timeout", "{line}");
}

#[tokio::test]
async fn the_access_log_and_on_finish_hooks_see_a_tunnel_as_over_http1() {
    let (log, server) = (Log::new(), Server::start().await);
    let builder = Gateway::new()
        .workers(1)
        .guest("trace")
        .upstream_with("up", &[server.address()], "")
        .toml("[plugins.a]\nwasm = 'trace'\nconfig = { name = 'a' }\n")
        .toml("[[routes]]\nname = 'all'\npipeline = ['a']\nupstream = 'up'\n");
    let gateway = log.on(builder, "json").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
    tunnel.send("12345").await;
    upstream.until("12345").await;
    upstream.send("123").await;
    assert_eq!(tunnel.read(3).await, b"123");
    tunnel.finish();
    drop(upstream);
    assert_eq!(tunnel.rest().await, (Vec::new(), None));
    let trace = || -> Vec<String> {
        let lines = gateway.logs().into_iter();
        lines
            .filter_map(|line| line.message.strip_prefix("trace: ").map(str::to_owned))
            .collect()
    };
    eventually("the end of the exchange", async || {
        (trace().len() == 3).then_some(())
    })
    .await;
    assert_eq!(
        trace(),
        [
            "a on-request",
            "a on-response 101",
            "a on-finish 101 5 3 complete"
        ]
    );
    let line = log.one_of(gateway).await;
    assert_eq!(
        (&line["status"], &line["bytes_in"], &line["bytes_out"]),
        (&101.into(), &5.into(), &3.into()),
        "{line}"
    );
    assert_eq!(
        (&line["method"], &line["protocol"], &line["route"]),
        (&"GET".into(), &"HTTP/2.0".into(), &"all".into())
    );
}

#[tokio::test]
async fn a_reload_cuts_no_tunnel_and_the_end_of_the_gateway_does_when_its_time_is_over() {
    let (log, server) = (Log::new(), EchoServer::start().await);
    let gateway = log
        .on(front(server.address()), "json")
        .gateway("shutdown-timeout = '300ms'")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    let mut tunnel = client.tunnel(chat()).await;
    let before = gateway.status().await["generation"].as_u64();
    gateway.write_toml("[[routes]]\nname = 'none'\nupgrades = []\nupstream = 'up'\n");
    gateway
        .wait_for(|status| status["generation"].as_u64() > before)
        .await;
    let text = Frame::new(opcode::TEXT, "still here");
    tunnel.send(text.masked()).await;
    assert_eq!(tunnel.read(text.plain().len()).await, text.plain());
    let end = tokio::spawn(async move { log.one_of(gateway).await });
    // The end of the connection, whether or not the stream's came before it.
    while let Ok(Some(_)) = next(&mut tunnel.inflow).await {}
    let line = end.await.unwrap();
    assert_eq!(
        (&line["status"], &line["aborted"]),
        (&101.into(), &true.into()),
        "{line}"
    );
}

#[tokio::test]
async fn streams_that_are_reset_leave_no_tunnels_behind() {
    let server = Server::start().await;
    let gateway = front(server.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    let mut upstreams = Vec::new();
    for _ in 0..50 {
        let (mut tunnel, mut upstream) = opened(&mut client, &server).await;
        tunnel.finish();
        assert_eq!(upstream.rest().await, (String::new(), End::Closed));
        tunnel.reset(Reason::CANCEL);
        upstreams.push(upstream);
    }
    no_tunnels(&gateway).await;
    let (tunnel, upstream) = opened(&mut client, &server).await;
    drop((tunnel, upstream, upstreams));
    gateway.shutdown().await;
}

/// Everything that comes back to a case, to the end of the stream.
pub(super) async fn verdict(client: &mut Client, case: &Case) -> Vec<u8> {
    let Tunnel {
        mut outflow,
        mut inflow,
        ..
    } = client.tunnel(chat()).await;
    let end = Frame::close(1000, "").masked();
    let bytes = Bytes::from([case.bytes.as_slice(), &end].concat());
    // Smaller frames than this would be a flood where the tunnel falls behind.
    let chop = case.chop.max(16);
    let send = async {
        for start in (0..bytes.len()).step_by(chop) {
            let piece = bytes.slice(start..bytes.len().min(start.saturating_add(chop)));
            // The server may have closed on what came before.
            if send(&mut outflow, piece).await.is_err() {
                return;
            }
        }
        outflow.send_data(Bytes::new(), true).ok();
    };
    let receive = async {
        let mut got = Vec::new();
        while let Ok(Some(piece)) = next(&mut inflow).await {
            got.extend_from_slice(&piece);
        }
        got
    };
    let both = async { tokio::join!(send, receive).1 };
    timeout(PATIENCE, both)
        .await
        .unwrap_or_else(|_| panic!("{}", case.name))
}

#[tokio::test]
async fn verdicts_are_those_of_the_server_alone() {
    let server = EchoServer::start().await;
    let gateway = front(server.address()).start().await;
    let mut client = Client::connect(gateway.address()).await;
    for case in all() {
        let alone = crate::http::websocket::verdict(server.address(), &case).await;
        let behind = verdict(&mut client, &case).await;
        assert!(
            alone == behind,
            "{}: {} bytes alone, {} behind the gateway",
            case.name,
            alone.len(),
            behind.len()
        );
    }
    gateway.shutdown().await;
}
