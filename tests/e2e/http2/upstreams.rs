//! Upstreams that speak HTTP/2.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Response};
use portcullis_tests::http2::server::Server;
use portcullis_tests::http2::{Client, get, next, receive, request, send, with};
use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};

fn front(upstream: SocketAddr, keys: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", &[upstream], &format!("protocol = 'h2'\n{keys}"))
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}

#[tokio::test]
async fn requests_of_both_protocols_share_one_connection() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    for round in 0..3 {
        let first = client.begin(get("/h2?a=b")).await.unwrap();
        let mut exchange = server.accept().await;
        assert_eq!(exchange.request.uri(), "http://a.example/h2?a=b");
        assert!(!exchange.request.headers().contains_key("host"));
        assert_eq!(exchange.read().await.unwrap(), (Vec::new(), None));
        exchange.answer(200, "two");
        assert_eq!(receive(first).await.unwrap().text(), "two");
        let post = Request::post("/h1", "body");
        let (answer, ()) = tokio::join!(gateway.send(&post), async {
            let mut exchange = server.accept().await;
            assert_eq!(exchange.request.headers()["content-length"], "4");
            assert_eq!(exchange.read().await.unwrap().0, b"body");
            exchange.answer(201, "one");
        });
        assert_eq!((answer.status, answer.text()), (201, "one"), "round {round}");
    }
    assert_eq!(server.connections(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_call_of_grpc_streams_both_ways_and_ends_with_its_trailers() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let call = with(
        request("POST", "/pkg.Service/Chat"),
        "content-type",
        "application/grpc",
    );
    let call = with(with(call, "te", "trailers"), "grpc-timeout", "5S");
    let (response, mut up) = client.open(call).await;
    let mut exchange = server.accept().await;
    for (name, value) in [
        ("te", "trailers"),
        ("grpc-timeout", "5S"),
        ("content-type", "application/grpc"),
    ] {
        assert_eq!(exchange.request.headers()[name], value);
    }
    let mut down = exchange.respond.send_response(Response::new(()), false).unwrap();
    let mut body = response.await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        send(&mut up, Bytes::from(word)).await.unwrap();
        assert_eq!(next(exchange.request.body_mut()).await.unwrap().unwrap(), word);
        send(&mut down, Bytes::from(word.to_uppercase())).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), word.to_uppercase());
    }
    up.send_data(Bytes::new(), true).unwrap();
    assert!(next(exchange.request.body_mut()).await.unwrap().is_none());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    down.send_trailers(trailers).unwrap();
    assert!(next(&mut body).await.unwrap().is_none());
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_error_of_trailers_only_is_a_head_that_ends_the_stream() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let (response, mut up) = client.open(request("POST", "/pkg.Service/No")).await;
    send(&mut up, Bytes::from_static(b"message")).await.unwrap();
    let mut exchange = server.accept().await;
    let error = Response::builder().header("grpc-status", "12").body(()).unwrap();
    drop(exchange.respond.send_response(error, true).unwrap());
    let reply = receive(response).await.unwrap();
    assert_eq!(
        (reply.status, &reply.headers["grpc-status"]),
        (200, &"12".parse().unwrap())
    );
    assert!(reply.body.is_empty() && reply.trailers.is_none());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_on_the_other_side() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    // Before the head of the response, and within its body.
    let waiting = client.begin(get("/1")).await.unwrap();
    let mut exchange = server.accept().await;
    drop(waiting);
    let reason = std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await;
    assert_eq!(reason.unwrap(), Reason::CANCEL);
    let waiting = client.begin(get("/2")).await.unwrap();
    let mut exchange = server.accept().await;
    let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
    drop(waiting.await.unwrap());
    let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    assert_eq!(reason.unwrap(), Reason::CANCEL);
    // The other way round.
    let waiting = client.begin(get("/3")).await.unwrap();
    let mut exchange = server.accept().await;
    let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
    let mut body = waiting.await.unwrap().into_body();
    send(&mut stream, Bytes::from_static(b"part")).await.unwrap();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "part");
    stream.send_reset(Reason::INTERNAL_ERROR);
    assert_eq!(
        next(&mut body).await.unwrap_err().reason(),
        Some(Reason::INTERNAL_ERROR)
    );
    assert_eq!(server.connections(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn messages_of_4_mib_pass_in_both_directions() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let message = Bytes::from(vec![b'm'; 4 << 20]);
    let (reply, ()) = tokio::join!(client.upload(request("POST", "/"), message.clone()), async {
        let mut exchange = server.accept().await;
        let (content, _) = exchange.read().await.unwrap();
        assert_eq!(content.len(), 4 << 20);
        let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
        send(&mut stream, Bytes::from(content)).await.unwrap();
        stream.send_data(Bytes::new(), true).unwrap();
    });
    assert_eq!(reply.unwrap().body, message);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_upstream_back_and_no_other_stream() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let mut client = Client::connect_with(gateway.address(), &builder).await;
    let stuck = client.begin(get("/1")).await.unwrap();
    let mut exchange = server.accept().await;
    let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
    let unread = stuck.await.unwrap();
    let mut taken = 0;
    // The windows of client and gateway, and what is on the way.
    let flood = async {
        loop {
            send(&mut stream, Bytes::from(vec![0; 16 << 10])).await.unwrap();
            taken += 16 << 10;
        }
    };
    let other = async {
        let waiting = client.begin(get("/2")).await.unwrap();
        server.accept().await.answer(200, "free");
        assert_eq!(receive(waiting).await.unwrap().text(), "free");
    };
    tokio::select! {
        () = flood => {}
        () = other => {}
    }
    assert!(taken < 2 << 20, "{taken} bytes were taken");
    drop((unread, client));
    gateway.shutdown().await;
}

#[tokio::test]
async fn requests_beyond_the_upstreams_limit_get_another_connection() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let mut server = Server::start_with(builder).await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    // After this the limit is known.
    let first = client.begin(get("/0")).await.unwrap();
    server.accept().await.answer(204, "");
    receive(first).await.unwrap();
    let mut waiting = Vec::new();
    let mut exchanges = Vec::new();
    for n in 1..=4 {
        waiting.push(client.begin(get(&format!("/{n}"))).await.unwrap());
        exchanges.push(server.accept().await);
    }
    assert_eq!(server.connections(), 2);
    for exchange in exchanges {
        exchange.answer(200, "done");
    }
    for response in waiting {
        assert_eq!(receive(response).await.unwrap().text(), "done");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_and_one_that_may_have_been_seen_is_not() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let waiting = client.begin(request("DELETE", "/")).await.unwrap();
    server.accept().await.respond.send_reset(Reason::REFUSED_STREAM);
    server.accept().await.answer(200, "second");
    assert_eq!(receive(waiting).await.unwrap().text(), "second");
    let waiting = client.begin(request("POST", "/")).await.unwrap();
    server.accept().await.respond.send_reset(Reason::INTERNAL_ERROR);
    let reply = receive(waiting).await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (502, &"upstream-reset".into())
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn after_goaway_streams_end_and_new_requests_get_a_new_connection() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let old = client.begin(get("/old")).await.unwrap();
    let old_exchange = server.accept().await;
    server.go_away();
    eventually("a request on a new connection", async || {
        let waiting = client.begin(get("/new")).await.unwrap();
        server.accept().await.answer(200, "new");
        assert_eq!(receive(waiting).await.unwrap().text(), "new");
        (server.connections() == 2).then_some(())
    })
    .await;
    old_exchange.answer(200, "old");
    assert_eq!(receive(old).await.unwrap().text(), "old");
    gateway.shutdown().await;
}

#[tokio::test]
async fn times_are_bounded_as_over_http_1() {
    let mut server = Server::start().await;
    let gateway = front(
        server.address(),
        "first-byte-timeout = '200ms'\nidle-timeout = '300ms'\nmax-idle-time = '1s'",
    )
    .start()
    .await;
    let mut client = Client::connect(gateway.address()).await;
    let reply = client.exchange(get("/")).await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (504, &"upstream-timeout".into())
    );
    let mut silent = server.accept().await;
    let reason = std::future::poll_fn(|cx| silent.respond.poll_reset(cx)).await;
    assert_eq!(reason.unwrap(), Reason::CANCEL);
    let waiting = client.begin(get("/")).await.unwrap();
    let mut exchange = server.accept().await;
    let stream = exchange.respond.send_response(Response::new(()), false).unwrap();
    let error = receive(waiting).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    drop(stream);
    // A connection that may be dead takes no further request, and an idle one is closed.
    eventually("connections are closed", async || {
        (server.open() == 0).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_upstream_that_speaks_something_else_is_malformed() {
    let upstream = Upstream::raw([portcullis_tests::upstream::Step::send(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
    )]);
    let gateway = front(upstream.address(), "").start().await;
    let answer = gateway.get("/").await;
    assert_eq!(answer.status, 502);
    gateway.shutdown().await;
    let gateway = front(Upstream::nowhere(), "").start().await;
    let answer = gateway.get("/").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (502, "upstream-connect-failed")
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn many_requests_at_once_open_one_connection() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let mut waiting = Vec::new();
    for n in 0..50 {
        waiting.push(client.begin(get(&format!("/{n}"))).await.unwrap());
    }
    for _ in 0..50 {
        server.accept().await.answer(200, "done");
    }
    for response in waiting {
        assert_eq!(receive(response).await.unwrap().text(), "done");
    }
    assert_eq!(server.connections(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn trailers_carry_nothing_that_belongs_into_a_head() {
    let mut server = Server::start().await;
    let gateway = front(server.address(), "").start().await;
    let mut client = Client::connect(gateway.address()).await;
    let trailers = || {
        let mut trailers = HeaderMap::new();
        for name in ["authorization", "x-sum", "cache-control"] {
            trailers.insert(name, "1".parse().unwrap());
        }
        trailers
    };
    let (response, mut up) = client.open(request("POST", "/")).await;
    send(&mut up, Bytes::from("body")).await.unwrap();
    up.send_trailers(trailers()).unwrap();
    let mut exchange = server.accept().await;
    let (body, fields) = exchange.read().await.unwrap();
    let fields = fields.unwrap();
    assert_eq!((body, fields.len()), (b"body".to_vec(), 1), "{fields:?}");
    let head = Response::builder()
        .header("proxy-authenticate", "Basic")
        .body(())
        .unwrap();
    let mut down = exchange.respond.send_response(head, false).unwrap();
    send(&mut down, Bytes::from("well")).await.unwrap();
    down.send_trailers(trailers()).unwrap();
    let reply = receive(response).await.unwrap();
    assert_eq!(reply.text(), "well");
    assert!(!reply.headers.contains_key("proxy-authenticate"));
    let fields = reply.trailers.unwrap();
    assert_eq!(
        (fields.len(), fields.contains_key("x-sum")),
        (1, true),
        "{fields:?}"
    );
    gateway.shutdown().await;
}
