//! What becomes of requests when an upstream says which of them it has not seen (RFC 9113 section 6.8).

use h2::Reason;
use portcullis_tests::Gateway;
use portcullis_tests::http2::frames::{
    END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS, Wire, frame,
};
use portcullis_tests::http2::{Client, receive, request};
use tokio::net::TcpListener;

/// The client's next connection, with settings.
async fn accept(listener: &TcpListener) -> Wire {
    let mut wire = Wire::accept(listener).await;
    wire.send(&frame(SETTINGS, 0, 0, &[])).await;
    wire
}

/// The stream of the next request.
async fn stream(wire: &mut Wire) -> u32 {
    wire.next_of(&[HEADERS]).await.expect("a request").stream
}

/// `:status: 200`, the eighth entry of the static table (RFC 7541), and the end.
fn ok(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88])
}

#[tokio::test]
async fn streams_beyond_the_last_one_are_sent_again_and_those_before_it_end_as_they_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::new()
        .workers(1)
        .upstream_with("up", &[listener.local_addr().unwrap()], "protocol = 'h2'")
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
        .start()
        .await;
    let mut client = Client::connect(gateway.address()).await;
    // With a method that is sent again only if nothing was done.
    let mut waiting = vec![client.begin(request("POST", "/")).await.unwrap()];
    let mut old = accept(&listener).await;
    let mut streams = vec![stream(&mut old).await];
    for _ in 0..3 {
        waiting.push(client.begin(request("POST", "/")).await.unwrap());
        streams.push(stream(&mut old).await);
    }
    assert_eq!(streams, [1, 3, 5, 7]);
    let last = 3_u32.to_be_bytes();
    let no_error = u32::from(Reason::NO_ERROR).to_be_bytes();
    old.send(&frame(GOAWAY, 0, 0, &[last, no_error].concat())).await;

    let mut new = accept(&listener).await;
    for want in [1, 3] {
        let again = stream(&mut new).await;
        assert_eq!(again, want);
        new.send(&ok(again)).await;
    }
    for response in waiting.split_off(2) {
        assert_eq!(receive(response).await.unwrap().status, 200);
    }
    // Those that were seen are still under way: one ends well, and one does not.
    let internal = u32::from(Reason::INTERNAL_ERROR).to_be_bytes();
    old.send(&[ok(1), frame(RST_STREAM, 0, 3, &internal)].concat())
        .await;
    for (response, status) in waiting.into_iter().zip([200, 502]) {
        assert_eq!(receive(response).await.unwrap().status, status);
    }
    // The old connection has nothing left to do, and further requests take the new one.
    assert_eq!(old.next_of(&[HEADERS]).await, None);
    let next = client.begin(request("POST", "/")).await.unwrap();
    assert_eq!(stream(&mut new).await, 5);
    new.send(&ok(5)).await;
    assert_eq!(receive(next).await.unwrap().status, 200);
    gateway.shutdown().await;
}
