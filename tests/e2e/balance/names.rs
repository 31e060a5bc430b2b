//! Names of endpoints, resolved by DNS.

use std::net::{IpAddr, Ipv4Addr};

use portcullis_tests::dns::{Mood, NameServer, Records};
use portcullis_tests::patience::eventually;
use portcullis_tests::{Gateway, GatewayBuilder, Upstream};
use serde_json::Value;

use super::{front, servers};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NAME: &str = "orders.example";

/// A gateway that asks this server.
fn asking(dns: &NameServer, keys: &str) -> GatewayBuilder {
    front(keys).gateway(&format!("dns = {{ servers = ['{}'] }}", dns.address()))
}

/// The addresses of the endpoints in the status.
fn addresses(status: &Value) -> Vec<String> {
    let endpoints = status["upstreams"][0]["endpoints"].as_array().unwrap();
    let address = |endpoint: &Value| endpoint["address"].as_str().unwrap().to_owned();
    endpoints.iter().map(address).collect()
}

/// SRV records of one priority for these upstreams, with these weights.
fn services(dns: &NameServer, ttl: u32, upstreams: &[(&Upstream, u16)]) {
    let service =
        |(upstream, weight): &(&Upstream, u16)| (10, *weight, upstream.address().port(), NAME.to_owned());
    let mut services: Vec<_> = upstreams.iter().map(service).collect();
    // One that is only for when the others are gone.
    services.push((20, 1, 1, NAME.to_owned()));
    let records = Records {
        ttl,
        addresses: Vec::new(),
        services,
    };
    dns.set("_http._tcp.orders.example", records);
    dns.set_addresses(NAME, ttl, &[HERE]);
}

async fn gets(gateway: &Gateway, count: usize) {
    for _ in 0..count {
        assert_eq!(gateway.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_name_is_resolved_before_the_first_request_and_again_when_its_time_is_over() {
    let dns = NameServer::start();
    let upstream = Upstream::fixed(200, &[], "ok");
    let port = upstream.address().port();
    dns.set_addresses(NAME, 1, &[HERE]);
    let gateway = asking(&dns, &format!("endpoints = ['{NAME}:{port}']"))
        .start()
        .await;
    assert_eq!(addresses(&gateway.status().await), [format!("127.0.0.1:{port}")]);
    gets(&gateway, 4).await;
    let two = [HERE, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))];
    dns.set_addresses(NAME, 1, &two);
    let status = gateway.wait_for(|status| addresses(status).len() == 2).await;
    assert_eq!(addresses(&status)[1], format!("127.0.0.2:{port}"));
    // Nothing listens there: the other one stands in.
    gets(&gateway, 4).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_was_known_stays_when_lookups_fail_or_are_empty() {
    for failing in [Mood::Fail, Mood::Answer] {
        let dns = NameServer::start();
        let upstream = Upstream::fixed(200, &[], "ok");
        dns.set_addresses(NAME, 1, &[HERE]);
        let keys = format!("endpoints = ['{NAME}:{}']", upstream.address().port());
        let gateway = asking(&dns, &keys).start().await;
        dns.mood(failing);
        dns.set_addresses(NAME, 1, &[]);
        let asked = dns.asked(NAME);
        eventually("two more questions", async || {
            (dns.asked(NAME) > asked + 1).then_some(())
        })
        .await;
        gets(&gateway, 4).await;
        assert_eq!(
            addresses(&gateway.status().await),
            [upstream.address().to_string()]
        );
        let failed = "portcullis_upstream_lookups_total{upstream=\"up\",result=\"failed\"}";
        assert!(gateway.metric(failed).await.is_some_and(|count| count >= 1.0));
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn services_give_ports_and_weights() {
    let dns = NameServer::start();
    let servers = servers::<3>();
    let [a, b, c] = &servers;
    services(&dns, 1, &[(a, 30), (b, 10)]);
    let keys = "endpoints = [{ srv = '_http._tcp.orders.example', zone = 'z' }]";
    let gateway = asking(&dns, keys).workers(1).start().await;
    gets(&gateway, 8).await;
    assert_eq!(super::counts(&servers), [6, 2, 0]);
    services(&dns, 1, &[(c, 0)]);
    let here = [c.address().to_string()];
    gateway.wait_for(|status| addresses(status) == here).await;
    gets(&gateway, 3).await;
    assert_eq!(super::counts(&servers), [6, 2, 3]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn addresses_and_the_hosts_file_need_no_server() {
    let dns = NameServer::start();
    let upstream = Upstream::fixed(200, &[], "ok");
    let port = upstream.address().port();
    let keys = format!("endpoints = ['127.0.0.1:{port}', 'localhost:{port}']");
    let gateway = asking(&dns, &keys).start().await;
    gets(&gateway, 4).await;
    assert_eq!((dns.asked("127.0.0.1"), dns.asked("localhost")), (0, 0));
    gateway.shutdown().await;
}
