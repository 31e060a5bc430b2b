//! The end of a gateway, and the start of a second one beside it.

use portcullis_host::gateway::StartError;
use portcullis_tests::patience::eventually;
use portcullis_tests::{Connection, Gateway, Request, Upstream, client};

use super::front;

#[tokio::test]
async fn an_exchange_in_flight_ends_well_and_new_connections_are_refused() {
    let (upstream, gate) = Upstream::slow(&["one", "two"]);
    let mut gateway = front(upstream.address(), "").start_binary().await;
    let (address, admin) = (gateway.address(), gateway.admin());
    let mut idle = Connection::open(address).await.unwrap();
    let mut waiting = Connection::open(address).await.unwrap();
    waiting.send(&Request::get("/")).await.unwrap();
    upstream.wait_for_requests(1).await;

    gateway.signal("TERM");
    eventually("a listener that refuses", async || {
        Connection::open(address).await.is_err().then_some(())
    })
    .await;
    idle.closed().await.unwrap();
    let ready = client::send(admin, &Request::get("/ready")).await.unwrap();
    assert_eq!((ready.status, ready.text()), (503, "draining\n"));
    let live = client::send(admin, &Request::get("/live")).await.unwrap();
    assert_eq!(live.status, 200);

    gate.open_for_good();
    let answer = waiting.receive("GET").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "onetwo"));
    assert!(answer.fields.lists("connection", "close"));
    waiting.closed().await.unwrap();
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn an_exchange_that_takes_too_long_does_not_hold_the_end_up() {
    for signal in ["TERM", "INT"] {
        let (upstream, _closed) = Upstream::slow(&["one"]);
        let mut gateway = front(upstream.address(), "")
            .gateway("shutdown-timeout = '200ms'")
            .start_binary()
            .await;
        let mut waiting = gateway.connect().await;
        waiting.send(&Request::get("/")).await.unwrap();
        upstream.wait_for_requests(1).await;
        gateway.signal(signal);
        waiting.receive("GET").await.unwrap_err();
        assert!(gateway.ended().await.success());
    }
}

#[tokio::test]
async fn a_second_gateway_on_a_port_fails_loudly_and_the_first_goes_on() {
    let upstream = Upstream::echo();
    let first = front(upstream.address(), "").start().await;
    let public = first.address();
    let second = front(upstream.address(), "")
        .toml(&format!("[listeners.public]\naddress = \"{public}\"\n"))
        .try_start()
        .await;
    let Err(error) = second else {
        panic!("a second gateway on {public}");
    };
    assert!(matches!(error, StartError::Bind(_)), "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on {public}: ")),
        "{error}"
    );

    let admin = first.admin();
    let second = Gateway::new()
        .toml(&format!("[gateway]\nadmin = \"{admin}\"\n"))
        .try_start()
        .await;
    assert!(matches!(second, Err(StartError::Bind(_))));
    assert_eq!(first.get("/").await.status, 200);
    first.shutdown().await;
}

#[tokio::test]
async fn a_port_can_be_used_again_after_the_end() {
    let upstream = Upstream::echo();
    let first = front(upstream.address(), "").start().await;
    let public = first.address();
    let mut connection = first.connect().await;
    connection.exchange(&Request::get("/")).await.unwrap();
    first.shutdown().await;
    let second = front(upstream.address(), "")
        .toml(&format!("[listeners.public]\naddress = \"{public}\"\n"))
        .start()
        .await;
    assert_eq!(second.address(), public);
    assert_eq!(second.get("/").await.status, 200);
    second.shutdown().await;
}
