//! Keeping, retrying, taking turns and closing.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;

use super::super::{Aim, Endpoint, EndpointStats, FailureKind, RequestHead, RetrySafety};
use super::script::{Server, closed_port, cluster, get, get_text, memory, send, settings, stats};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let client = async {
        for _ in 0..5 {
            assert_eq!(get_text(&cluster).await.unwrap(), "ok");
        }
    };
    let script = async {
        let mut wire = server.accept().await;
        for _ in 0..5 {
            let head = wire.answer(OK).await;
            assert_eq!(head, "GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        }
    };
    tokio::join!(client, script);
    assert_eq!(
        stats(&cluster),
        EndpointStats {
            connects: 1,
            reuses: 4,
            failures: 0,
            idle: 1,
            in_flight: 0
        }
    );
}

#[tokio::test]
async fn field_values_outlive_the_next_exchange_on_the_connection() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let client = async {
        let mut kept = Vec::new();
        for _ in 0..50 {
            kept.push(get(&cluster).await.unwrap());
        }
        for (index, response) in kept.into_iter().enumerate() {
            assert_eq!(response.headers()["x-index"], index.to_string());
            let content = response
                .into_body()
                .frame()
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap();
            assert_eq!(content, format!("{index:05}"));
        }
    };
    let script = async {
        let mut wire = server.accept().await;
        for index in 0..50 {
            wire.answer(format!(
                "HTTP/1.1 200 OK\r\nX-Index: {index}\r\nContent-Length: 5\r\n\r\n{index:05}"
            ))
            .await;
        }
    };
    tokio::join!(client, script);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_once_for_a_repeatable_request() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let client = async {
        get_text(&cluster).await.unwrap();
        assert_eq!(get_text(&cluster).await.unwrap(), "ok");
    };
    let script = async {
        let mut wire = server.accept().await;
        wire.answer(OK).await;
        // The client sends its second request before the server closes.
        wire.head().await;
        drop(wire);
        server.accept().await.answer(OK).await
    };
    tokio::join!(client, script);
    assert_eq!(stats(&cluster).connects, 2);
    assert_eq!(stats(&cluster).failures, 0);
}

#[tokio::test]
async fn a_fresh_connection_that_is_closed_is_not_retried() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let script = async {
        server.accept().await.head().await;
    };
    let (result, ()) = tokio::join!(get(&cluster), script);
    let failure = result.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Reset, RetrySafety::Idempotent)
    );
    assert_eq!(
        failure.to_string(),
        "the upstream closed the connection before it answered"
    );
    assert_eq!(
        stats(&cluster),
        EndpointStats {
            connects: 1,
            failures: 1,
            ..EndpointStats::default()
        }
    );
}

#[tokio::test]
async fn a_request_that_must_not_be_repeated_is_not() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let client = async {
        get_text(&cluster).await.unwrap();
        send(&cluster, Method::POST, Full::new(Bytes::from_static(b"pay")))
            .await
            .err()
            .unwrap()
    };
    let script = async {
        let mut wire = server.accept().await;
        wire.answer(OK).await;
        wire.head().await;
    };
    let (failure, ()) = tokio::join!(client, script);
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Reset, RetrySafety::Unsafe)
    );
    assert_eq!(stats(&cluster).connects, 1);
}

#[tokio::test]
async fn a_kept_connection_with_a_pending_end_is_not_used_for_a_post() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let (first, wire) = tokio::join!(get_text(&cluster), async {
        let mut wire = server.accept().await;
        wire.answer(OK).await;
        wire
    });
    assert_eq!(first.unwrap(), "ok");
    drop(wire);
    let (second, head) = tokio::join!(
        send(&cluster, Method::POST, Full::new(Bytes::from_static(b"pay"))),
        async { server.accept().await.answer(OK).await }
    );
    assert_eq!(second.unwrap().status(), 200);
    assert!(head.contains("content-length: 3\r\n"));
}

#[tokio::test]
async fn a_kept_connection_with_unasked_for_bytes_is_not_used() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let (first, mut wire) = tokio::join!(get_text(&cluster), async {
        let mut wire = server.accept().await;
        wire.answer(OK).await;
        wire
    });
    first.unwrap();
    wire.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
    let (second, _) = tokio::join!(
        send(&cluster, Method::POST, Full::new(Bytes::from_static(b"x"))),
        async { server.accept().await.answer(OK).await }
    );
    assert_eq!(second.unwrap().headers()["content-length"], "2");
}

#[tokio::test]
async fn a_body_that_is_dropped_in_the_middle_closes_and_at_its_end_does_not() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let client = async {
        let mut response = get(&cluster).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(stats(&cluster).in_flight, 1);
        drop(response);
        assert_eq!((stats(&cluster).in_flight, stats(&cluster).idle), (0, 0));
        drop(get(&cluster).await.unwrap());
        assert_eq!(stats(&cluster).idle, 1);
    };
    let script = async {
        let mut wire = server.accept().await;
        wire.answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
            .await;
        assert_eq!(wire.rest().await, "", "the client closes");
        let mut wire = server.accept().await;
        wire.answer(OK).await;
        wire
    };
    tokio::join!(client, script);
}

#[tokio::test]
async fn a_send_that_is_dropped_closes() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let wire = tokio::select! {
        _ = get(&cluster) => panic!("there is no answer"),
        wire = async {
            let mut wire = server.accept().await;
            wire.head().await;
            wire
        } => wire,
    };
    let mut wire = wire;
    assert_eq!(wire.rest().await, "");
    assert_eq!(stats(&cluster).in_flight, 0);
}

#[tokio::test]
async fn endpoints_take_turns_and_one_that_is_down_is_passed_over() {
    let servers = [Server::start().await, Server::start().await];
    let cluster = cluster(settings(&[servers[0].port, closed_port().await, servers[1].port]));
    let client = async {
        for _ in 0..6 {
            assert_eq!(get_text(&cluster).await.unwrap(), "ok");
        }
    };
    let first = async {
        let mut wire = servers[0].accept().await;
        for _ in 0..3 {
            wire.answer(OK).await;
        }
    };
    // The turns of the closed port go to the endpoint after it, on the connection that it has.
    let second = async {
        let mut wire = servers[1].accept().await;
        for _ in 0..3 {
            wire.answer(OK).await;
        }
    };
    tokio::join!(client, first, second);
    let stats: Vec<EndpointStats> = cluster.stats().into_iter().map(|(_, stats)| stats).collect();
    assert_eq!(stats.iter().map(|s| s.connects).collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!(stats.iter().map(|s| s.failures).collect::<Vec<_>>(), [0, 3, 0]);
}

#[tokio::test]
async fn no_endpoint_and_no_connection_are_told_apart() {
    let nowhere = cluster(settings(&[]));
    let failure = get(&nowhere).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::NoEndpoint, RetrySafety::Unsent)
    );
    assert!(failure.endpoint.is_none());
    let port = closed_port().await;
    let refused = cluster(settings(&[port, port]));
    let failure = send(&refused, Method::POST, Full::new(Bytes::from_static(b"x")))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Connect, RetrySafety::Unsent)
    );
    assert_eq!(
        failure.endpoint.as_deref(),
        Some(format!("127.0.0.1:{port}").as_str())
    );
    assert!(std::error::Error::source(&failure).is_some());
    assert_eq!(
        refused
            .stats()
            .into_iter()
            .map(|(_, stats)| stats.failures)
            .sum::<u64>(),
        2
    );
}

#[tokio::test]
async fn names_are_resolved_and_brackets_are_not_part_of_an_address() {
    let server = Server::start().await;
    let mut named = settings(&[]);
    named.endpoints = vec![
        Endpoint {
            host: "localhost".to_owned(),
            port: server.port,
        }
        .into(),
    ];
    let named = cluster(named);
    let (result, _) = tokio::join!(get_text(&named), async { server.accept().await.answer(OK).await });
    assert_eq!(result.unwrap(), "ok");
    let mut unknown = settings(&[]);
    unknown.endpoints = vec![
        Endpoint {
            host: "no such name".to_owned(),
            port: 1,
        }
        .into(),
    ];
    let failure = get(&cluster(unknown)).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Resolve, RetrySafety::Unsent)
    );
}

#[tokio::test]
async fn the_pool_has_a_bound() {
    let server = Server::start().await;
    let mut few = settings(&[server.port]);
    few.max_idle = 2;
    let cluster = cluster(few);
    let client = async {
        let three = tokio::join!(get_text(&cluster), get_text(&cluster), get_text(&cluster));
        assert!(three.0.is_ok() && three.1.is_ok() && three.2.is_ok());
        assert_eq!((stats(&cluster).connects, stats(&cluster).idle), (3, 2));
    };
    let script = async {
        let mut wires = [
            server.accept().await,
            server.accept().await,
            server.accept().await,
        ];
        for wire in &mut wires {
            wire.answer(OK).await;
        }
        wires
    };
    tokio::join!(client, script);
}

#[tokio::test]
async fn a_sweep_drops_what_the_peer_closed() {
    let server = Server::start().await;
    let cluster = server.cluster();
    let (_, wire) = tokio::join!(get_text(&cluster), async {
        let mut wire = server.accept().await;
        wire.answer(OK).await;
        wire
    });
    cluster.sweep();
    assert_eq!(stats(&cluster).idle, 1);
    drop(wire);
    cluster.sweep();
    assert_eq!(stats(&cluster).idle, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_drops_what_was_idle_for_too_long() {
    let (cluster, mut wire) = memory(settings(&[1]), 4096);
    tokio::time::advance(Duration::from_secs(50)).await;
    cluster.sweep();
    let (result, _) = tokio::join!(get_text(&cluster), wire.answer(OK));
    result.unwrap();
    tokio::time::advance(Duration::from_secs(50)).await;
    cluster.sweep();
    assert_eq!(stats(&cluster).idle, 1, "use makes it young again");
    tokio::time::advance(Duration::from_secs(10)).await;
    cluster.sweep();
    assert_eq!(stats(&cluster).idle, 0);
}

#[tokio::test]
async fn what_cannot_be_written_is_not_sent() {
    let cluster = cluster(settings(&[1]));
    let headers = HeaderMap::new();
    for (target, authority) in [("/a b", "h"), ("/a\r\nx: y", "h"), ("/", "h\r\n")] {
        let head = RequestHead {
            method: &Method::GET,
            target,
            authority,
            headers: &headers,
            upgrade: None,
            via: None,
        };
        let body = http_body_util::Empty::<Bytes>::new();
        let failure = cluster
            .send(head, body, Some(Instant::now()), Aim::default())
            .await
            .err()
            .unwrap();
        assert!(matches!(failure.kind, FailureKind::Unsendable(_)));
        assert_eq!(failure.retry, RetrySafety::Unsent);
    }
    assert_eq!(Rc::strong_count(&cluster), 1);
}
