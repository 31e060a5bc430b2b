//! Body filters: bodies go through plugins piece by piece, trailers included. The guest `sieve` does what the request orders.

mod faults;
mod volume;

use portcullis_tests::message::Framing;
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};

/// `/main` through as many entries of the guest as `keys` has keys of entries.
pub(super) fn sieves(main: &Upstream, keys: &[&str]) -> GatewayBuilder {
    let entries = keys.iter().enumerate();
    let entries: String = entries
        .map(|(number, keys)| format!("[plugins.s{number}]\nwasm = 'sieve'\n{keys}\n"))
        .collect();
    let names: Vec<_> = (0..keys.len()).map(|number| format!("'s{number}'")).collect();
    Gateway::new()
        .workers(1)
        .guest("sieve")
        .upstream("main", main)
        .toml(&format!(
            "{entries}[[routes]]\nname = 'main'\nmatch = {{ prefix = '/main' }}\npipeline = [{}]\nupstream = 'main'\n",
            names.join(", ")
        ))
}

pub(super) fn ordered(request: Request, orders: &[&str]) -> Request {
    orders
        .iter()
        .fold(request, |request, order| request.header("x-sieve", order))
}

pub(super) fn get(orders: &[&str]) -> Request {
    ordered(Request::get("/main"), orders)
}

pub(super) fn post(body: impl Into<Vec<u8>>, orders: &[&str]) -> Request {
    ordered(Request::post("/main", body), orders)
}

/// What the guest has logged, without its prefix.
pub(super) fn said(gateway: &Gateway) -> Vec<String> {
    let lines = gateway.logs().into_iter();
    lines
        .filter_map(|line| line.message.strip_prefix("sieve: ").map(str::to_owned))
        .collect()
}

/// Waits for a line of the guest.
pub(super) async fn says(gateway: &Gateway, wanted: &str) {
    eventually(wanted, async || {
        let found = said(gateway).iter().any(|line| line == wanted);
        found.then_some(())
    })
    .await;
}

/// Waits until the entry `s0` has so many instances.
pub(super) async fn instances(gateway: &Gateway, wanted: impl Fn(f64) -> bool) {
    eventually("the number of instances", async || {
        let count = gateway
            .metric("portcullis_plugin_instances{plugin=\"s0\"}")
            .await?;
        wanted(count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_body_that_no_plugin_filters_goes_on_as_it_came() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = sieves(&main, &[""]).start().await;
    let answer = gateway.send(&post("hello", &[])).await;
    assert_eq!((answer.text(), answer.framing), ("answer", Framing::Length(6)));
    let request = main.only_request();
    assert_eq!(
        (request.text(), request.header("content-length")),
        ("hello", Some("5"))
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn both_bodies_go_through_every_filter() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = sieves(&main, &["", "", "cpu = '50ms'"]).start().await;
    let orders = [
        "request field there",
        "request count",
        "response field back",
        "response upper",
    ];
    let answer = gateway.send(&post("hello", &orders)).await;
    assert_eq!((answer.text(), answer.framing), ("ANSWER", Framing::Chunked));
    assert_eq!(answer.header("x-sieved"), Some("back"));
    let request = main.only_request();
    assert_eq!(request.text(), "hello[5][8][11]");
    assert_eq!(request.header("content-length"), None);
    assert_eq!(request.header("x-sieved"), Some("there"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_filter_may_hold_a_body_back_to_its_end() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = sieves(&main, &["", "cpu = '50ms'"]).start().await;
    let answer = gateway
        .send(&post(
            "hello",
            &["request hold", "response swallow", "response count"],
        ))
        .await;
    assert_eq!((answer.status, answer.text()), (200, "[3]"));
    assert_eq!(main.only_request().text(), "hello");
    gateway.shutdown().await;
}

#[tokio::test]
async fn responses_without_a_body_open_no_filter() {
    for (request, main) in [
        (Request::get("/main"), Upstream::fixed(204, &[], "")),
        (Request::get("/main"), Upstream::fixed(304, &[], "")),
        (Request::get("/main"), Upstream::fixed(200, &[], "")),
        (Request::new("HEAD", "/main"), Upstream::fixed(200, &[], "answer")),
    ] {
        let gateway = sieves(&main, &[""]).start().await;
        let request = ordered(request, &["request count", "response count"]);
        let answer = gateway.send(&request).await;
        assert_eq!(answer.text(), "");
        let opened = said(&gateway).iter().filter(|line| *line == "open").count();
        assert_eq!(opened, 0, "{answer:?}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn trailers_are_read_and_edited_at_the_end() {
    let main = Upstream::raw([
        Step::Request,
        Step::send(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n3\r\nabc\r\n0\r\nx-end: back\r\n\r\n",
        ),
    ]);
    let gateway = sieves(&main, &["", "cpu = '50ms'"]).start().await;
    let orders = [
        "request show-trailer x-end",
        "request trailer one",
        "response show-trailer x-end",
        "response trailer two",
    ];
    let request = ordered(
        Request::post("/main", "")
            .chunks(["he", "llo"])
            .trailer("x-end", "there")
            .header("te", "trailers"),
        &orders,
    );
    let answer = gateway.send(&request).await;
    assert_eq!(answer.text(), "abc");
    assert_eq!(
        (answer.trailers.get("x-end"), answer.trailers.get("x-sieved")),
        (Some("back"), Some("two"))
    );
    let request = main.only_request();
    assert_eq!(request.text(), "hello");
    let (end, sieved) = (request.trailers.get("x-end"), request.trailers.get("x-sieved"));
    assert_eq!((end, sieved), (Some("there"), Some("one")));
    let said = said(&gateway);
    for line in ["saw there", "saw back"] {
        assert_eq!(said.iter().filter(|said| *said == line).count(), 2, "{said:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_filtered_response_streams() {
    let (main, gate) = Upstream::slow(&["first", "second"]);
    let gateway = sieves(&main, &["", "cpu = '50ms'"]).start().await;
    let mut client = gateway.connect().await;
    client.send(&get(&["response upper"])).await.unwrap();
    gate.open(2);
    let (status, head) = client.receive_head().await.unwrap();
    assert_eq!(status, 200);
    let framing = head.fields.framing(Framing::Close).unwrap();
    let mut body = Vec::new();
    client
        .pieces(framing, |piece| {
            body.extend_from_slice(piece);
            // Only what the client has read lets the upstream send the rest.
            gate.open_for_good();
        })
        .await
        .unwrap();
    assert_eq!(body, b"FIRSTSECOND");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_filtered_request_streams() {
    let main = Upstream::raw([
        Step::Request,
        Step::send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ]);
    let gateway = sieves(&main, &["", "cpu = '50ms'"]).start().await;
    let mut client = gateway.connect().await;
    let head = "POST /main HTTP/1.1\r\nhost: x\r\nx-sieve: request upper\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    client.write(head.as_bytes()).await.unwrap();
    let begun = eventually("the request at the upstream", async || main.requests().pop()).await;
    assert!(!begun.complete);
    client.write(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(client.receive("POST").await.unwrap().status, 200);
    assert_eq!(main.only_request().text(), "FIRSTSECOND");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_was_filtered_can_be_sent_again() {
    let main = Upstream::flaky(&[
        portcullis_tests::upstream::Turn::Answer(503),
        portcullis_tests::upstream::Turn::Answer(200),
    ]);
    let gateway = Gateway::new()
        .workers(1)
        .guest("sieve")
        .upstream_with(
            "main",
            &[main.address()],
            "retries = { attempts = 2, on = ['5xx'], methods = ['PUT'] }",
        )
        .toml(
            "[plugins.s0]\nwasm = 'sieve'\n[[routes]]\nname = 'main'\npipeline = ['s0']\nupstream = 'main'\n",
        )
        .start()
        .await;
    let request = ordered(Request::new("PUT", "/main").body("hello"), &["request count"]);
    assert_eq!(gateway.send(&request).await.status, 200);
    let bodies: Vec<_> = main
        .requests()
        .iter()
        .map(|request| request.text().to_owned())
        .collect();
    assert_eq!(bodies, ["hello[5]", "hello[5]"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn leases_are_bounded() {
    let (main, gate) = Upstream::slow(&["first", "second"]);
    let gateway = sieves(&main, &["max-leases = 1\ntimeout = '50ms'"]).start().await;
    let mut holder = gateway.connect().await;
    holder.send(&get(&["response upper"])).await.unwrap();
    gate.open(2);
    let (_, head) = holder.receive_head().await.unwrap();
    // Its response is under way, so its filter is open.
    let refused = gateway.send(&post("hello", &["request upper"])).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (503, "plugin-overloaded".to_owned())
    );
    gate.open_for_good();
    let framing = head.fields.framing(Framing::Close).unwrap();
    holder.pieces(framing, |_| ()).await.unwrap();
    let answer = gateway.send(&get(&["response upper"])).await;
    assert_eq!(answer.text(), "FIRSTSECOND");
    gateway.shutdown().await;
}

#[tokio::test]
async fn instances_grow_with_leases_and_shrink_afterwards() {
    let main = Upstream::huge(200_000_000);
    let gateway = sieves(&main, &[""]).start().await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = gateway.connect().await;
        client.send(&get(&["response upper"])).await.unwrap();
        client.receive_head().await.unwrap();
        clients.push(client);
    }
    instances(&gateway, |count| count >= 12.0).await;
    for client in clients {
        client.reset().unwrap();
    }
    instances(&gateway, |count| count <= 5.0).await;
    gateway.shutdown().await;
}
