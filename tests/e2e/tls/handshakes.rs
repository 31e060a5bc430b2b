//! Versions, protocols, and handshakes that go wrong.

use portcullis_tests::patience::eventually;
use portcullis_tests::tls::{Authority, BOTH, Dialer, TLS12, TLS13};
use portcullis_tests::{Connection, Gateway, Request};

use super::{dialer, echo, get, refused};

const FAILED: &str = "portcullis_listener_tls_handshakes_total{listener=\"public\",result=\"failed\"}";

#[tokio::test]
async fn both_versions_are_spoken_unless_the_older_is_turned_off() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    for (versions, version) in [(TLS12, "1.2"), (TLS13, "1.3"), (BOTH, "1.3")] {
        let dialer = Dialer::to(gateway.address(), &authority, "site.example")
            .versions(versions)
            .start();
        assert_eq!(get(&dialer, "/").await.status, 200);
        assert_eq!(dialer.last().version, version);
    }
    gateway.shutdown().await;

    let (_upstream, builder) = echo(&authority);
    let gateway = builder.listener("tls.min-version = \"1.3\"").start().await;
    let new = Dialer::to(gateway.address(), &authority, "site.example").versions(TLS13);
    assert_eq!(get(&new.start(), "/").await.status, 200);
    let old = Dialer::to(gateway.address(), &authority, "site.example").versions(TLS12);
    let why = refused(&old.start()).await;
    assert!(why.contains("ProtocolVersion"), "{why}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_protocol_is_agreed_on_or_there_is_no_handshake() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    let offering = |protocols: &[&str]| {
        Dialer::to(gateway.address(), &authority, "site.example")
            .protocols(protocols)
            .start()
    };
    let both = offering(&["unheard-of", "http/1.1"]);
    assert_eq!(get(&both, "/").await.status, 200);
    assert_eq!(both.last().protocol.as_deref(), Some("http/1.1"));
    let why = refused(&offering(&["unheard-of"])).await;
    assert!(why.contains("NoApplicationProtocol"), "{why}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn http_in_clear_is_told_so() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    let mut connection = gateway.connect().await;
    let request = Request::post("/", vec![b'x'; 1 << 10]);
    let answer = connection.exchange(&request).await.unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (400, "http-to-tls-port")
    );
    assert_eq!(answer.header("connection"), Some("close"));
    connection.closed().await.unwrap();
    assert_eq!(get(&dialer(&gateway, &authority), "/").await.status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn bytes_that_are_no_handshake_end_the_connection() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    for bytes in [
        &b"\0\0\0\0\0\0\0\0"[..],
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\xff\xfe\xfd",
    ] {
        let mut connection = gateway.connect().await;
        connection.write(bytes).await.unwrap();
        connection.finish().await.unwrap();
        let failed = eventually("the end of the connection", async || gateway.metric(FAILED).await);
        assert!(failed.await > 0.0);
    }
    // Who connects and leaves is no trouble either.
    drop(gateway.connect().await);
    eventually("all to be counted", async || {
        gateway.metric(FAILED).await.filter(|count| *count >= 6.0)
    })
    .await;
    assert_eq!(get(&dialer(&gateway, &authority), "/").await.status, 200);
    gateway.shutdown().await;
}

/// Waits until the gateway has ended a connection.
async fn is_cut(mut connection: Connection) {
    let ended = connection.closed().await;
    assert!(
        ended.is_ok() || ended.as_ref().is_err_and(portcullis_tests::wire::Fault::is_reset),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway: Gateway = builder.listener("tls.handshake-timeout = \"50ms\"").start().await;
    let silent = gateway.connect().await;
    let mut halfway = gateway.connect().await;
    halfway.write(b"\x16\x03\x01\x01\x00\x01\x00").await.unwrap();
    is_cut(silent).await;
    is_cut(halfway).await;
    // One whose handshake is done has the time of its requests.
    let dialer = dialer(&gateway, &authority);
    let mut connection = Connection::open(dialer.address()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(connection.exchange(&Request::get("/")).await.unwrap().status, 200);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn handshakes_count_against_the_connections_of_the_listener() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder
        .workers(1)
        .listener("limits.connections = 1")
        .start()
        .await;
    let first = gateway.connect().await;
    is_cut(gateway.connect().await).await;
    drop(first);
    let dialer = dialer(&gateway, &authority);
    eventually("room for a connection", async || {
        let answer = portcullis_tests::client::send(dialer.address(), &Request::get("/")).await;
        answer.ok().filter(|answer| answer.status == 200)
    })
    .await;
    gateway.shutdown().await;
}
