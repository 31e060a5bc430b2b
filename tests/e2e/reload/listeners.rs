//! Listeners that come, go and move.

use std::net::{SocketAddr, TcpListener};

use portcullis_tests::gateway::site::Site;
use portcullis_tests::patience::eventually;
use portcullis_tests::{Connection, Request, Upstream, client};
use serde_json::Value;

use super::{finish, hello, load, next, rejected, route, toml};

fn listener(name: &str, address: SocketAddr) -> String {
    format!("[listeners.{name}]\naddress = \"{address}\"\n")
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn address(status: &Value, name: &str) -> Option<SocketAddr> {
    let listeners = status["listeners"].as_array()?;
    let listener = listeners.iter().find(|listener| listener["name"] == name)?;
    listener["address"].as_str()?.parse().ok()
}

async fn added(site: &Site, name: &str) -> SocketAddr {
    let status = site.wait_for(|status| address(status, name).is_some()).await;
    address(&status, name).unwrap()
}

async fn refuses(address: SocketAddr) {
    eventually("a refused connection", async || {
        Connection::open(address).await.err()
    })
    .await;
}

#[tokio::test]
async fn a_listener_is_added_and_removed_under_load() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one"]);
    gateway.write_toml(&(toml("one") + &listener("second", any())));
    let second = added(&gateway, "second").await;
    let answer = client::send(second, &Request::get("/hello")).await.unwrap();
    assert_eq!(answer.text(), "one");
    let mut kept = Connection::open(second).await.unwrap();
    assert_eq!(
        kept.exchange(&Request::get("/hello")).await.unwrap().text(),
        "one"
    );
    gateway.write_toml(&toml("one"));
    refuses(second).await;
    kept.closed().await.unwrap();
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_exchange_on_a_removed_listener_comes_to_its_end() {
    let (upstream, gate) = Upstream::slow(&["late"]);
    let (_up, builder) = hello("one");
    let gateway = builder
        .upstream("slow", &upstream)
        .toml(&(route("slow", "\"slow\"") + &listener("second", any())))
        .start()
        .await;
    let second = gateway.address_of("second");
    let mut connection = Connection::open(second).await.unwrap();
    connection.send(&Request::get("/slow")).await.unwrap();
    upstream.wait_for_requests(1).await;
    gateway.write_toml(&(toml("one") + &route("slow", "\"slow\"")));
    refuses(second).await;
    gate.open_for_good();
    let answer = connection.receive("GET").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "late"));
    connection.closed().await.unwrap();
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_listener_moves_and_leaves_its_old_address() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.toml(&listener("second", any())).start().await;
    let old = gateway.address_of("second");
    let load = load(&gateway, "/hello", &["one"]);
    let mut kept = Connection::open(old).await.unwrap();
    assert_eq!(
        kept.exchange(&Request::get("/hello")).await.unwrap().text(),
        "one"
    );
    // Its new address is given by the kernel, too: another loopback address keeps the two apart.
    gateway.write_toml(&(toml("one") + &listener("second", "127.0.0.2:0".parse().unwrap())));
    let status = gateway
        .wait_for(|status| address(status, "second").is_some_and(|now| now.ip() != old.ip()))
        .await;
    let new = address(&status, "second").unwrap();
    assert_eq!(
        client::send(new, &Request::get("/hello")).await.unwrap().text(),
        "one"
    );
    refuses(old).await;
    // It is the same listener: what is connected stays.
    assert_eq!(
        kept.exchange(&Request::get("/hello")).await.unwrap().text(),
        "one"
    );
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_listener_can_be_given_another_name() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.toml(&listener("second", any())).start().await;
    let place = gateway.address_of("second");
    gateway.write_toml(&(toml("one") + &listener("third", place)));
    assert_eq!(added(&gateway, "third").await, place);
    let renamed = load(&gateway, "/hello", &["one"]);
    assert_eq!(
        client::send(place, &Request::get("/hello")).await.unwrap().text(),
        "one"
    );
    finish(renamed).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_address_that_others_have_is_rejected_and_nothing_changes() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.allow_errors().start().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap();
    let load = load(&gateway, "/hello", &["one"]);
    gateway.write_toml(&(toml("two") + &listener("second", place)));
    let status = rejected(&gateway, &format!("cannot listen on {place}")).await;
    assert_eq!(status["generation"], 1);
    drop(taken);
    // Another edit, for nobody tells the gateway that the address is free.
    gateway.write_toml(&(toml("one") + &listener("second", place) + "# again\n"));
    next(&gateway, &status).await;
    assert_eq!(
        client::send(place, &Request::get("/hello")).await.unwrap().text(),
        "one"
    );
    finish(load).await;
    gateway.shutdown().await;
}
