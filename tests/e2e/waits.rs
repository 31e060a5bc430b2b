//! Imports that may wait: requests of plugins (`http-client`) and single flights (`flights`), what their grants allow, and
//! that nobody else waits with them.
//!
//! The guest `reach` is the entry `p`; the request header `x-do` says what it does.

use std::net::SocketAddr;

use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::{Gate, Step};
use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream};

mod faults;
mod flights;
mod grants;
mod secure;

/// A gateway whose routes go through `p`, which has these keys, to an upstream `up` that says `up`.
fn front(up: &Upstream, entry: &str) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .guest("reach")
        .upstream_with("up", &[up.address()], "")
        .toml(&format!("[plugins.p]\nwasm = 'reach'\n{entry}\n"))
        .toml("[[routes]]\nname = 'all'\nupstream = 'up'\npipeline = ['p']\n")
}

/// A grant of this very address.
fn granted(address: SocketAddr) -> String {
    format!("allow.http = ['http://{address}']")
}

fn order(text: &str) -> Request {
    Request::get("/").header("x-do", text)
}

async fn told(gateway: &Gateway, text: &str) -> String {
    let answer = gateway.send(&order(text)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

fn up() -> Upstream {
    Upstream::fixed(200, &[], "up")
}

#[tokio::test]
async fn a_plugin_sends_a_request_and_gets_the_whole_answer() {
    let other = Upstream::echo();
    let gateway = front(&up(), &granted(other.address())).start().await;
    let told = told(&gateway, &format!("post http://{}/a?b=c hello", other.address())).await;
    let (status, body) = told.split_once(' ').unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(status, "200");
    assert_eq!(body["method"], "POST");
    assert_eq!(body["target"], "/a?b=c");
    assert_eq!(body["body"], "hello");
    let sent = other.only_request();
    assert_eq!(sent.header("host"), Some(&*other.address().to_string()));
}

#[tokio::test]
async fn its_connections_are_kept() {
    let other = Upstream::fixed(204, &[], "");
    let gateway = front(&up(), &granted(other.address())).start().await;
    for _ in 0..5 {
        assert_eq!(
            told(&gateway, &format!("send GET http://{}/", other.address())).await,
            "204 "
        );
    }
    assert_eq!(other.connections(), 1);
    assert_eq!(other.requests()[4].header("x-from"), Some("reach"));
}

#[tokio::test]
async fn an_upstream_is_reached_by_its_name_with_its_balancing_and_breaker() {
    let servers: [Upstream; 2] = std::array::from_fn(|index| Upstream::fixed(200, &[], index.to_string()));
    let addresses: Vec<_> = servers.iter().map(Upstream::address).collect();
    let gateway = front(&up(), "allow.http = ['upstream://others', 'upstream://none']")
        .upstream_with("others", &addresses, "")
        .upstream_with(
            "none",
            &[Upstream::nowhere()],
            "breaker = { consecutive-errors = 1, open-time = '1h' }\n",
        )
        .start()
        .await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(told(&gateway, "send GET upstream://others/x").await);
    }
    all.sort();
    assert_eq!(all, ["200 0", "200 0", "200 1", "200 1"]);
    assert_eq!(servers[0].requests()[0].header("host"), Some("others"));
    let first = told(&gateway, "send GET upstream://none/").await;
    assert!(first.starts_with("failed: "), "{first}");
    let second = told(&gateway, "send GET upstream://none/").await;
    assert!(second.contains("circuit breaker"), "{second}");
}

#[tokio::test]
async fn send_all_sends_all_at_once_and_keeps_their_order() {
    let gate = Gate::closed();
    let servers: Vec<Upstream> = (0..8)
        .map(|index| {
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{index}");
            Upstream::raw([Step::Request, Step::Wait(gate.clone()), Step::send(&text)])
        })
        .collect();
    let grants: Vec<_> = servers
        .iter()
        .map(|s| format!("'http://{}'", s.address()))
        .collect();
    let gateway = front(&up(), &format!("allow.http = [{}]", grants.join(", ")))
        .start()
        .await;
    let uris: Vec<_> = servers
        .iter()
        .map(|s| format!("http://{}/", s.address()))
        .collect();
    let order = format!("send-all {} http://{}/", uris.join(" "), Upstream::nowhere());
    let open = async {
        // None is answered before all of them are there.
        for server in &servers {
            server.wait_for_requests(1).await;
        }
        gate.open_for_good();
    };
    let (answer, ()) = tokio::join!(told(&gateway, &order), open);
    let (answers, denied) = answer.split_once("; denied: ").unwrap();
    assert_eq!(answers, "200 0; 200 1; 200 2; 200 3; 200 4; 200 5; 200 6; 200 7");
    assert!(denied.contains("is not granted"), "{denied}");
}

#[tokio::test]
async fn others_are_served_while_a_plugin_waits() {
    let (up, (slow, gate)) = (up(), Upstream::slow(&["done"]));
    let gateway = front(&up, &granted(slow.address())).start().await;
    let slow_order = order(&format!("send GET http://{}/", slow.address()));
    let meanwhile = async {
        slow.wait_for_requests(3).await;
        for _ in 0..10 {
            assert_eq!(gateway.send(&Request::get("/")).await.text(), "up");
        }
        gate.open_for_good();
    };
    let send = || async { gateway.send(&slow_order).await.text().to_owned() };
    let (a, b, c, ()) = tokio::join!(send(), send(), send(), meanwhile);
    assert_eq!([a, b, c], ["200 done", "200 done", "200 done"]);
}

#[tokio::test]
async fn a_hook_that_waited_goes_on_with_its_exchange() {
    let other = Upstream::fixed(200, &[], "told");
    let up = up();
    let gateway = front(&up, &granted(other.address())).start().await;
    let answer = gateway
        .send(&order(&format!("pass http://{}/", other.address())))
        .await;
    assert_eq!((answer.status, answer.text()), (200, "up"));
    assert_eq!(up.only_request().header("x-told"), Some("200 told"));
}

/// The number of instances that live, by the metric.
async fn instances(gateway: &Gateway) -> Option<u64> {
    let metrics = gateway.metrics().await;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("portcullis_plugin_instances{") && line.contains("\"p\""))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn is_fault(answer: &Answer) -> bool {
    answer.status == 503 && answer.text().contains("plugin-fault")
}

#[tokio::test]
async fn instances_that_many_waits_needed_are_given_up_when_nobody_needs_them() {
    let (up, (slow, gate)) = (up(), Upstream::slow(&["done"]));
    let entry = format!("{}\nmax-instances = 5\ntimeout = '1m'", granted(slow.address()));
    let gateway = front(&up, &entry).start().await;
    let slow_order = order(&format!("send GET http://{}/", slow.address()));
    let meanwhile = async {
        slow.wait_for_requests(5).await;
        assert_eq!(instances(&gateway).await, Some(5), "no more than there may be");
        gate.open_for_good();
    };
    let send = || async { gateway.send(&slow_order).await.text().to_owned() };
    let (a, b, c, d, e, f, ()) = tokio::join!(send(), send(), send(), send(), send(), send(), meanwhile);
    for told in [a, b, c, d, e, f] {
        assert_eq!(told, "200 done", "the sixth takes its turn");
    }
    eventually("one instance", async || {
        instances(&gateway).await.filter(|n| *n == 1)
    })
    .await;
}
