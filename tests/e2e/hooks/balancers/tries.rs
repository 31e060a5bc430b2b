//! When a balancer is asked in one exchange, and of what: further tries, connections that fail, hedges, copies, HTTP/2.

use portcullis_tests::http2::server::Server;
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::{Step, Turn};
use portcullis_tests::{Gateway, Request, Upstream};

use super::super::trace::{get, with};
use super::{PICKER, ROUTE, asked, front, pick, servers, shown, texts};

#[tokio::test]
async fn a_further_try_asks_again_without_what_was_tried() {
    let bad = [Upstream::fixed(503, &[], "0"), Upstream::fixed(503, &[], "1")];
    let good = Upstream::fixed(200, &[], "2");
    let all = [bad[0].address(), bad[1].address(), good.address()];
    let gateway = front(&all, "retries = { attempts = 2 }").start().await;
    let orders = ["p balancer property upstream.tries", "p balancer pick 0"];
    let (answer, lines) = asked(&gateway, &get(&orders)).await;
    assert_eq!((answer.status, answer.text()), (200, "2"));
    assert_eq!(shown(&lines), [texts(&all), texts(&all[1..]), texts(&all[2..])]);
    let tries = lines
        .iter()
        .filter_map(|line| line.strip_prefix("p balancer property="));
    assert_eq!(tries.collect::<Vec<_>>(), ["1", "2", "3"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn when_all_were_tried_all_are_shown_again() {
    let upstream = Upstream::flaky(&[Turn::Answer(503), Turn::Answer(200)]);
    let gateway = front(&[upstream.address()], "retries = {}").start().await;
    let (answer, lines) = asked(&gateway, &get(&["p balancer pick 0"])).await;
    let one = texts(&[upstream.address()]);
    assert_eq!((answer.status, shown(&lines)), (200, vec![one.clone(), one]));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_fails_asks_again_also_with_a_body_that_streams() {
    let [good] = servers::<1>();
    let all = [Upstream::nowhere(), Upstream::nowhere(), good.address()];
    let gateway = front(&all, "").start().await;
    let chunked = Request::new("POST", "/").chunks(["a", "b"]);
    let plain = Request::post("/", "ab");
    for request in [chunked, plain, Request::get("/")] {
        let (answer, lines) = asked(&gateway, &with(request, &["p balancer pick 0"])).await;
        assert_eq!((answer.status, answer.text()), (200, "0"));
        assert_eq!(shown(&lines), [texts(&all), texts(&all[1..]), texts(&all[2..])]);
    }
    let bodies: Vec<_> = good
        .requests()
        .iter()
        .map(|request| request.text().to_owned())
        .collect();
    assert_eq!(bodies, ["ab", "ab", ""]);
    gateway.shutdown().await;

    let gateway = front(&all[..2], "").start().await;
    let (answer, lines) = asked(&gateway, &get(&[])).await;
    assert_eq!(answer.problem(), "upstream-connect-failed");
    assert_eq!(shown(&lines).len(), 2, "each endpoint once");
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_second_of_two_hedged_tries_is_asked_for_too() {
    let slow = Upstream::raw([Step::Request, Step::Drain]);
    let [good] = servers::<1>();
    let all = [slow.address(), good.address()];
    let gateway = front(&all, "hedge.after = '50ms'").start().await;
    let (answer, lines) = asked(&gateway, &get(&["p balancer pick 0"])).await;
    assert_eq!((answer.status, answer.text()), (200, "0"));
    assert_eq!(shown(&lines), [texts(&all), texts(&all[1..])]);
    eventually("the end of the slow try", async || {
        (slow.open() == 0).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_copy_asks_nobody() {
    let (main, copied) = (
        Upstream::fixed(200, &[], "main"),
        Upstream::fixed(200, &[], "copy"),
    );
    let gateway = Gateway::new()
        .workers(1)
        .guest("trace")
        .upstream("main", &main)
        .upstream_with("up", &[copied.address()], "balance = { plugin = 'p' }")
        .toml(PICKER)
        .toml("[[routes]]\nname = \"all\"\nupstream = \"main\"\nmirror = { upstream = \"up\" }\n")
        .start()
        .await;
    let (answer, lines) = asked(&gateway, &get(&[])).await;
    copied.wait_for_requests(1).await;
    assert_eq!((answer.text(), lines.len()), ("main", 0));
    gateway.shutdown().await;
}

#[tokio::test]
async fn endpoints_that_speak_http2_are_picked_likewise() {
    let (mut one, mut two) = (Server::start().await, Server::start().await);
    let all = [Upstream::nowhere(), one.address(), two.address()];
    let gateway = front(&all, "protocol = 'h2'").start().await;
    for round in 0..3 {
        for (index, server) in [(1, &mut one), (2, &mut two)] {
            let request = get(&[&pick(all[index])]);
            let (answer, ()) = tokio::join!(gateway.send(&request), async {
                server.accept().await.answer(200, "picked");
            });
            assert_eq!((answer.status, answer.text()), (200, "picked"), "round {round}");
        }
    }
    assert_eq!((one.connections(), two.connections()), (1, 1));
    let request = get(&["p balancer pick 0"]);
    let ((answer, lines), ()) = tokio::join!(asked(&gateway, &request), async {
        one.accept().await.answer(200, "next");
    });
    assert_eq!(answer.text(), "next");
    assert_eq!(shown(&lines), [texts(&all), texts(&all[1..])]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_try_that_is_given_up_while_it_asks_loses_nothing() {
    let [good] = servers::<1>();
    // The first try asks again, on its fiber, while the second is answered.
    let all = [Upstream::nowhere(), good.address(), Upstream::nowhere()];
    let gateway = Gateway::new()
        .workers(1)
        .guest("rogue")
        .upstream_with("up", &all, "balance = { plugin = 'rogue' }\nhedge.after = '20ms'")
        .toml(
            "[plugins.rogue]\ncpu = \"500ms\"\n\
             config = { hook = \"balancer\", fault = \"late\", millis = 40 }\n",
        )
        .toml(ROUTE)
        .start()
        .await;
    for _ in 0..6 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    gateway.shutdown().await;
}
