//! The end of a gateway, and of a listener, with streams in flight.

use portcullis_tests::Upstream;
use portcullis_tests::http2::{Client, get, receive};

use super::front;

#[tokio::test]
async fn streams_in_flight_end_well_and_the_client_is_told() {
    let (upstream, gate) = Upstream::slow(&["one", "two"]);
    let mut gateway = front(upstream.address()).start_binary().await;
    let mut idle = Client::connect(gateway.address()).await;
    let mut client = Client::connect(gateway.address()).await;
    let first = client.begin(get("/1")).await.unwrap();
    let second = client.begin(get("/2")).await.unwrap();
    upstream.wait_for_requests(2).await;
    gateway.signal("TERM");
    // GOAWAY, and nothing is lost.
    idle.closed().await.unwrap();
    gate.open_for_good();
    for waiting in [first, second] {
        let reply = receive(waiting).await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, "onetwo"));
    }
    client.closed().await.unwrap();
    assert!(gateway.ended().await.success());
}
