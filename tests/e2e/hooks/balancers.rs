//! The hook `balancer`: when it is asked and of what, what its answer does, what it may read and edit, and what its faults cost.
//!
//! The guest `trace` is the entry `p`, which upstream `up` names; the request orders what it picks
//! (`x-do: p balancer pick-address 127.0.0.1:9001`).

use std::net::SocketAddr;

use portcullis_tests::endpoint::Endpoint;
use portcullis_tests::patience::eventually;
use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream};

use super::trace::{get, lines, result, with};

mod faults;
mod tries;
mod versions;

/// The balancer.
const PICKER: &str = "[plugins.p]\nwasm = \"trace\"\nconfig = { name = \"p\" }\n";
/// The one route.
const ROUTE: &str = "[[routes]]\nname = \"all\"\nupstream = \"up\"\n";

fn front(endpoints: &[SocketAddr], keys: &str) -> GatewayBuilder {
    let keys = format!("balance = {{ plugin = 'p' }}\n{keys}");
    Gateway::new()
        .workers(1)
        .guest("trace")
        .upstream_with("up", endpoints, &keys)
        .toml(PICKER)
        .toml(ROUTE)
}

/// So many upstreams that say their number.
fn servers<const N: usize>() -> [Upstream; N] {
    std::array::from_fn(|index| Upstream::fixed(200, &[], index.to_string()))
}

fn addresses(upstreams: &[Upstream]) -> Vec<SocketAddr> {
    upstreams.iter().map(Upstream::address).collect()
}

fn pick(address: SocketAddr) -> String {
    format!("p balancer pick-address {address}")
}

/// The answer with the lines of the trace that it led to.
async fn asked(gateway: &Gateway, request: &Request) -> (Answer, Vec<String>) {
    let before = lines(gateway).len();
    let answer = gateway.send(request).await;
    (answer, lines(gateway).split_off(before))
}

/// What was shown each time: the candidates of the lines `p balancer up ADDRESS,1 ADDRESS,1`.
fn shown(lines: &[String]) -> Vec<Vec<String>> {
    let asked = lines.iter().filter_map(|line| line.strip_prefix("p balancer up"));
    asked
        .map(|candidates| {
            let parts = candidates.split_whitespace();
            parts
                .map(|part| part.split(',').next().unwrap_or_default().to_owned())
                .collect()
        })
        .collect()
}

fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_request_chooses_its_endpoint_and_without_a_preference_they_take_turns() {
    let upstreams = servers::<3>();
    let all = addresses(&upstreams);
    let gateway = front(&all, "").start().await;
    for (index, address) in all.iter().enumerate() {
        for _ in 0..3 {
            let (answer, lines) = asked(&gateway, &get(&[&pick(*address)])).await;
            assert_eq!((answer.status, answer.text()), (200, &*index.to_string()));
            assert_eq!(shown(&lines), [texts(&all)]);
        }
    }
    let mut turns = Vec::new();
    for _ in 0..6 {
        turns.push(gateway.get("/").await.text().to_owned());
    }
    turns.sort();
    assert_eq!(turns, ["0", "0", "1", "1", "2", "2"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn candidates_have_their_weight_labels_and_zone_and_the_own_zone_is_first() {
    let [one, two] = servers::<2>();
    let endpoints = format!(
        "[upstreams.up]\nbalance = {{ plugin = 'p' }}\nendpoints = [\n\
         {{ address = '{}', weight = 3, zone = 'b', labels = {{ tier = 'gold', build = '7' }} }},\n\
         {{ address = '{}', zone = 'a' }} ]\n",
        one.address(),
        two.address()
    );
    let gateway = Gateway::new()
        .workers(1)
        .guest("trace")
        .gateway("zone = 'a'")
        .toml(&endpoints)
        .toml(PICKER)
        .toml(ROUTE)
        .start()
        .await;
    let (answer, lines) = asked(&gateway, &get(&["p balancer pick-label tier=gold"])).await;
    assert_eq!(answer.text(), "0");
    let line = format!(
        "p balancer up {},1,zone=a {},3,build=7,tier=gold,zone=b",
        two.address(),
        one.address()
    );
    assert_eq!(lines, [line]);
    // Without a preference the zone counts as ever.
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.text(), "1");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_balancer_is_shown_no_more_than_it_may_be() {
    let [one] = servers::<1>();
    let mut all: Vec<SocketAddr> = (0..5).map(|_| Upstream::nowhere()).collect();
    all.push(one.address());
    let text = format!(
        "[upstreams.up]\nbalance = {{ plugin = 'p', max-candidates = 2 }}\nendpoints = {:?}\n",
        texts(&all)
    );
    let gateway = Gateway::new()
        .workers(1)
        .guest("trace")
        .toml(&text)
        .toml(PICKER)
        .toml(ROUTE)
        .start()
        .await;
    let mut seen = std::collections::BTreeSet::new();
    eventually("every endpoint among those shown", async || {
        let (answer, lines) = asked(&gateway, &get(&[])).await;
        assert_eq!(answer.text(), "0", "what cannot be connected is passed over");
        for candidates in shown(&lines) {
            assert!((1..=2).contains(&candidates.len()), "{candidates:?}");
            seen.extend(candidates);
        }
        (seen.len() == 6).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_unhealthy_endpoint_is_not_shown_and_is_shown_as_sick_in_panic() {
    let (one, two) = (Endpoint::start().await, Endpoint::start().await);
    let all = [one.address(), two.address()];
    let check = "health-check = { path = '/health', interval = '20ms', timeout = '500ms' }\n";
    for panic in [0, 100] {
        one.set_health(200);
        let gateway = front(&all, &format!("{check}panic-threshold = {panic}"))
            .start()
            .await;
        one.set_health(500);
        eventually("the check", async || {
            let (answer, lines) = asked(&gateway, &get(&[])).await;
            assert_eq!(answer.status, 200);
            let sick = format!("p balancer up {},1,sick {},1", one.address(), two.address());
            let gone = format!("p balancer up {},1", two.address());
            (lines == [if panic == 0 { gone } else { sick }]).then_some(())
        })
        .await;
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_balancer_reads_the_request_and_edits_nothing_but_attributes() {
    let upstream = Upstream::echo();
    let gateway = front(&[upstream.address()], "").start().await;
    for (order, expected) in [
        ("set-target /blue", "wrong-phase"),
        ("set-method POST", "wrong-phase"),
        ("set-authority example.org", "wrong-phase"),
        ("set-upstream up", "wrong-phase"),
        ("set-status 200", "wrong-phase"),
        ("set-request-header v", "wrong-phase"),
        ("append-request-header v", "wrong-phase"),
        ("remove-request-header host", "wrong-phase"),
        ("set-response-header v", "wrong-phase"),
        ("set-state kept", "wrong-phase"),
        ("delay 1", "wrong-phase"),
        ("set-retry 0 1", "wrong-phase"),
        ("set-attribute note=1", "ok"),
        ("set-attribute auth.subject=me", "denied"),
        ("header x-read", "read"),
        ("property request.raw-target", "/main?q"),
        ("property upstream.name", "up"),
        ("state", "none"),
        ("status", "0"),
    ] {
        let request = with(
            Request::get("/main?q").header("x-read", "read"),
            &[&format!("p balancer {order}")],
        );
        let (answer, lines) = asked(&gateway, &request).await;
        assert_eq!(answer.status, 200, "{order}");
        let verb = order.split(' ').next().unwrap();
        assert_eq!(result(&lines, verb), expected, "{order}");
    }
    let last = upstream.requests().pop().unwrap();
    assert_eq!(
        (last.method.as_str(), last.target.as_str(), last.header("x-set")),
        ("GET", "/main?q", None)
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_entry_may_be_balancer_and_stage_and_sees_what_the_pipeline_made_of_the_request() {
    let [one, two] = servers::<2>();
    let all = [one.address(), two.address()];
    let gateway = Gateway::new()
        .workers(1)
        .guest("trace")
        .upstream_with("up", &all, "balance = { plugin = 'p' }")
        .toml(PICKER)
        .toml("[[routes]]\nname = \"all\"\npipeline = [\"p\"]\nupstream = \"up\"\n")
        .start()
        .await;
    let orders = [
        "p on-request set-request-field x-made here",
        "p on-request set-attribute early=1",
        "p on-request set-state kept",
        "p balancer header x-made",
        "p balancer attribute early",
        "p balancer set-attribute late=2",
        &pick(two.address()),
        "p on-response state",
        "p on-response tell late",
    ];
    let (answer, lines) = super::trace::exchange(&gateway, &get(&orders), 1).await;
    assert_eq!((answer.text(), answer.header("x-told")), ("1", Some("2")));
    assert_eq!(result(&lines, "header"), "here");
    assert_eq!(result(&lines, "attribute"), "1");
    assert_eq!(result(&lines, "state"), "kept", "the state of the stage stays");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_sticky_cookie_goes_before_the_plugin() {
    let [one, two] = servers::<2>();
    let gateway = front(&[one.address(), two.address()], "sticky = {}")
        .start()
        .await;
    let first = gateway.send(&get(&[&pick(two.address())])).await;
    assert_eq!(first.text(), "1");
    let cookie = first
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let request = with(
        Request::get("/").header("cookie", &cookie),
        &[&pick(one.address())],
    );
    let (answer, lines) = asked(&gateway, &request).await;
    assert_eq!((answer.text(), shown(&lines).len()), ("1", 0));
    gateway.shutdown().await;
}
