//! Every time limit, with the clock paused.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Empty};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use super::super::{Aim, Cluster, Failure, FailureKind, Reply, RequestHead, RetrySafety, Settings, Until};
use super::script::{Wire, cluster, data, drain, feed, get, get_text, memory, send, settings, stats};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Connecting 1 s, first byte 10 s, idle 5 s.
fn timed() -> Settings {
    Settings {
        connect_timeout: seconds(1),
        first_byte_timeout: seconds(10),
        idle_timeout: seconds(5),
        ..settings(&[1])
    }
}

fn setup() -> (std::rc::Rc<Cluster>, Wire<DuplexStream>) {
    memory(timed(), 4096)
}

async fn get_by(
    cluster: &std::rc::Rc<Cluster>,
    deadline: Instant,
) -> Result<http::Response<Reply<Empty<Bytes>>>, Failure> {
    let headers = HeaderMap::new();
    let head = RequestHead {
        method: &Method::GET,
        target: "/",
        authority: "test",
        headers: &headers,
        upgrade: None,
        via: None,
    };
    cluster
        .send(head, Empty::new(), Some(deadline), Aim::default())
        .await
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time() {
    let (cluster, _wire) = setup();
    let start = Instant::now();
    let failure = get(&cluster).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::FirstByteTimeout, RetrySafety::Idempotent)
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!((stats(&cluster).failures, stats(&cluster).idle), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_time_for_an_answer_starts_anew_with_every_request_and_every_interim_response() {
    let (cluster, mut wire) = setup();
    let client = async {
        for _ in 0..3 {
            assert_eq!(get_text(&cluster).await.unwrap(), "ok");
        }
    };
    let script = async {
        for _ in 0..3 {
            wire.head().await;
            sleep(seconds(9)).await;
            wire.say("HTTP/1.1 102 Processing\r\n\r\n").await;
            sleep(seconds(9)).await;
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    };
    tokio::join!(client, script);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_too_late() {
    let (cluster, mut wire) = setup();
    let start = Instant::now();
    let script = async {
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
            sleep(seconds(1)).await;
            wire.say([*byte]).await;
        }
    };
    let failure = tokio::select! {
        result = get(&cluster) => result.err().unwrap(),
        () = script => panic!("the client waits for ever"),
    };
    assert_eq!(failure.kind, FailureKind::FirstByteTimeout);
    assert!(
        (10..=20).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_does_not_use_up_the_time_for_the_answer() {
    let (cluster, mut wire) = setup();
    let (pieces, body) = feed(Some(40));
    let client = async {
        let mut response = send(&cluster, Method::POST, body).await.unwrap();
        drain(response.body_mut()).await.unwrap();
    };
    let script = async {
        wire.head().await;
        for _ in 0..10 {
            sleep(seconds(4)).await;
            pieces.send(data("abcd")).await.unwrap();
        }
        drop(pieces);
        wire.take(40).await;
        sleep(seconds(9)).await;
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    };
    tokio::join!(client, script);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_and_an_upstream_that_stalls_are_told_apart() {
    let (cluster, mut wire) = setup();
    let (_pieces, body) = feed(Some(40));
    let start = Instant::now();
    let (result, _) = tokio::join!(send(&cluster, Method::POST, body), wire.rest());
    assert_eq!(result.err().unwrap().kind, FailureKind::RequestStalled);
    assert_eq!((start.elapsed().as_secs(), stats(&cluster).failures), (5, 0));

    let (cluster, mut wire) = setup();
    let (pieces, body) = feed(Some(10_000));
    pieces.send(data(vec![b'x'; 10_000])).await.unwrap();
    let start = Instant::now();
    let (result, _) = tokio::join!(send(&cluster, Method::POST, body), wire.head());
    assert_eq!(result.err().unwrap().kind, FailureKind::IdleTimeout);
    assert_eq!((start.elapsed().as_secs(), stats(&cluster).failures), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn silence_within_a_body() {
    let (cluster, mut wire) = setup();
    let client = async {
        let mut response = get(&cluster).await.unwrap();
        drain(response.body_mut()).await.err().unwrap()
    };
    let script = async {
        wire.answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            .await;
        for _ in 0..4 {
            sleep(seconds(4)).await;
            wire.say("abc").await;
        }
        let last = Instant::now();
        wire.rest().await;
        assert_eq!(last.elapsed().as_secs(), 5);
    };
    let (failure, ()) = tokio::join!(client, script);
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::IdleTimeout, RetrySafety::Unsafe)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_its_time_is_not_the_upstreams_silence() {
    let (cluster, mut wire) = memory(timed(), 100);
    let client = async {
        let mut response = get(&cluster).await.unwrap();
        let mut count = 0;
        while let Some(frame) = response.body_mut().frame().await {
            count += frame.unwrap().data_ref().map_or(0, Bytes::len);
            sleep(seconds(60)).await;
        }
        assert_eq!(count, 1000);
    };
    let script = async {
        wire.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            .await;
        wire.say([b'x'; 1000]).await;
    };
    tokio::join!(client, script);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_before_and_within_the_response() {
    let (cluster, _wire) = setup();
    let start = Instant::now();
    let failure = get_by(&cluster, start + seconds(3)).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Deadline, RetrySafety::Unsafe)
    );
    assert_eq!(start.elapsed().as_secs(), 3);

    let (cluster, mut wire) = setup();
    let start = Instant::now();
    let script = async {
        wire.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        loop {
            sleep(seconds(2)).await;
            wire.say("1\r\nx\r\n").await;
        }
    };
    let client = async {
        let mut response = get_by(&cluster, start + seconds(15)).await.unwrap();
        drain(response.body_mut()).await.err().unwrap()
    };
    let failure = tokio::select! {
        failure = client => failure,
        () = script => unreachable!(),
    };
    assert_eq!(failure.kind, FailureKind::Deadline);
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn an_endless_body_does_not_outrun_the_deadline() {
    let (cluster, mut wire) = setup();
    let start = Instant::now();
    let script = async {
        wire.answer("HTTP/1.1 200 OK\r\n\r\n").await;
        loop {
            wire.say([b'x'; 10]).await;
            sleep(Duration::from_millis(1)).await;
        }
    };
    let client = async {
        let mut response = get_by(&cluster, start + seconds(2)).await.unwrap();
        drain(response.body_mut()).await.err().unwrap()
    };
    let failure = tokio::select! {
        failure = client => failure,
        () = script => unreachable!(),
    };
    assert_eq!(failure.kind, FailureKind::Deadline);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_deadline() {
    let (cluster, mut wire) = setup();
    let failure = get_by(&cluster, Instant::now()).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Deadline, RetrySafety::Unsent)
    );
    drop(cluster);
    assert_eq!(wire.rest().await, "");
}

/// A listener whose queue is full: the kernel leaves further connects unanswered.
fn full_listener() -> (socket2::Socket, std::net::TcpStream, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let waiting = std::net::TcpStream::connect(address).unwrap();
    (socket, waiting, address.port())
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_has_its_time_to_connect() {
    let (_listener, _waiting, port) = full_listener();
    let cluster = cluster(Settings {
        endpoints: settings(&[port, port]).endpoints,
        ..timed()
    });
    let start = Instant::now();
    let failure = get(&cluster).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::ConnectTimeout, RetrySafety::Unsent)
    );
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_while_connecting() {
    let (_listener, _waiting, port) = full_listener();
    let cluster = cluster(Settings {
        endpoints: settings(&[port, port]).endpoints,
        ..timed()
    });
    let start = Instant::now();
    let failure = get_by(&cluster, start + Duration::from_millis(1500))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Deadline, RetrySafety::Unsent)
    );
    assert_eq!(start.elapsed().as_millis(), 1500);
}

#[tokio::test(start_paused = true)]
async fn a_try_ends_before_the_exchange_and_can_be_repeated() {
    for (method, retry) in [
        (Method::GET, RetrySafety::Idempotent),
        (Method::POST, RetrySafety::Unsafe),
    ] {
        let (cluster, _wire) = setup();
        let start = Instant::now();
        let failure = within(&cluster, &method, seconds(3), Some(start + seconds(8)))
            .await
            .err()
            .unwrap();
        assert_eq!(
            (failure.kind, failure.retry),
            (FailureKind::FirstByteTimeout, retry)
        );
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_that_outlasts_the_exchange_ends_with_it() {
    let (cluster, _wire) = setup();
    let start = Instant::now();
    let failure = within(&cluster, &Method::GET, seconds(8), Some(start + seconds(3)))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.kind, FailureKind::Deadline);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_try_is_over_with_the_head() {
    let (cluster, mut wire) = setup();
    let client = async {
        let mut response = within(&cluster, &Method::GET, seconds(1), None).await.unwrap();
        drain(response.body_mut()).await.unwrap()
    };
    let script = async {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n").await;
        for piece in ["a", "b", "c"] {
            sleep(seconds(4)).await;
            wire.say(piece).await;
        }
    };
    tokio::join!(client, script);
}

#[tokio::test(start_paused = true)]
async fn a_try_bounds_connecting_too() {
    let (_listener, _waiting, port) = full_listener();
    let cluster = cluster(Settings {
        connect_timeout: seconds(60),
        ..settings(&[port])
    });
    let start = Instant::now();
    let failure = within(&cluster, &Method::POST, seconds(3), Some(start + seconds(8)))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::ConnectTimeout, RetrySafety::Unsent)
    );
    assert_eq!(start.elapsed().as_secs(), 3);
}

/// A request without a body whose head must be there in time.
async fn within(
    cluster: &std::rc::Rc<Cluster>,
    method: &Method,
    time: Duration,
    end: Option<Instant>,
) -> Result<http::Response<Reply<Empty<Bytes>>>, Failure> {
    let headers = HeaderMap::new();
    let head = RequestHead {
        method,
        target: "/",
        authority: "test",
        headers: &headers,
        upgrade: None,
        via: None,
    };
    let until = Until {
        end,
        head: Some(Instant::now() + time),
    };
    cluster.send(head, Empty::new(), until, Aim::default()).await
}
