//! What tunnels to upstreams that speak HTTP/2 carry, and how both sides come to their end.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use portcullis_tests::http2::{Client, send};
use portcullis_tests::websocket::EchoServer;
use portcullis_tests::websocket::tunnelled::EchoTunnels;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{front, no_tunnels, opened, server};
use crate::http::access_log::Log;
use crate::http::websocket::{all, verdict};
use crate::http2::tunnels;

#[tokio::test]
async fn verdicts_are_those_of_the_server_alone_for_clients_of_both_protocols() {
    let (alone, tunnels) = (EchoServer::start().await, EchoTunnels::start().await);
    let gateway = front(tunnels.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let mut wrong = Vec::new();
    for case in all() {
        let alone = verdict(alone.address(), &case).await;
        let http1 = verdict(gateway.address(), &case).await;
        let http2 = tunnels::verdict(&mut client, &case).await;
        for (got, version) in [(http1, 1), (http2, 2)] {
            if got != alone {
                wrong.push(format!("{}: HTTP/{version}, {} bytes", case.name, got.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn either_side_can_end_its_direction_and_go_on_reading() {
    let mut server = server().await;
    let gateway = front(server.address(), "").start().await;
    let (mut client, mut exchange, mut outflow) = opened(&gateway, &mut server).await;
    client.stream.write_all(b"last words").await.unwrap();
    client.stream.shutdown().await.unwrap();
    assert_eq!(exchange.read().await.unwrap().0, b"last words");
    outflow.send_data(Bytes::from_static(b"an answer"), true).unwrap();
    let mut rest = String::new();
    client.stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "an answer");

    let (mut client, mut exchange, mut outflow) = opened(&gateway, &mut server).await;
    outflow
        .send_data(Bytes::from_static(b"last words"), true)
        .unwrap();
    rest.clear();
    client.stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "last words");
    client.stream.write_all(b"still here").await.unwrap();
    drop(client);
    assert_eq!(exchange.read().await.unwrap().0, b"still here");
    no_tunnels(&gateway).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_an_upstream_sent_comes_to_the_client_although_it_takes_nothing_more() {
    let log = Log::new();
    let mut server = server().await;
    let gateway = log.on(front(server.address(), ""), "json").start().await;
    let (mut client, exchange, mut outflow) = opened(&gateway, &mut server).await;
    let bytes = Bytes::from(vec![b'x'; 200_000]);
    send(&mut outflow, bytes).await.unwrap();
    outflow.send_data(Bytes::new(), true).unwrap();
    // A server resets a stream with NO_ERROR whose rest nobody will read.
    drop((exchange, outflow));
    client.stream.write_all(b"too late").await.unwrap();
    let mut got = Vec::new();
    client.stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), 200_000);
    drop(client);
    let line = log.one_of(gateway).await;
    assert_eq!((line["status"].as_u64(), line.get("error")), (Some(101), None));
}

#[tokio::test]
async fn the_death_of_one_side_ends_the_other() {
    let mut server = server().await;
    let gateway = front(server.address(), "").start().await;
    let (client, _exchange, mut outflow) = opened(&gateway, &mut server).await;
    socket2::SockRef::from(&client.stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    let reason = poll_fn(|cx| outflow.poll_reset(cx)).await;
    assert_eq!(reason.unwrap(), Reason::CANCEL);
    drop(outflow);
    let (mut client, _exchange, mut outflow) = opened(&gateway, &mut server).await;
    outflow.send_reset(Reason::INTERNAL_ERROR);
    assert_eq!(client.receive().await, None);
    no_tunnels(&gateway).await;
    // The connection to the upstream has outlived both.
    assert_eq!((server.connections(), server.open()), (1, 1));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_tunnel_keeps_the_place_of_its_request() {
    let mut server = server().await;
    let gateway = front(server.address(), "limits = { requests = 1 }").start().await;
    let (client, exchange, outflow) = opened(&gateway, &mut server).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, &*answer.problem()), (503, "upstream-overloaded"));
    drop((client, exchange, outflow));
    no_tunnels(&gateway).await;
    let (answer, ()) = tokio::join!(gateway.get("/"), async {
        server.accept().await.answer(200, "");
    });
    assert_eq!(answer.status, 200);
    gateway.shutdown().await;
}
