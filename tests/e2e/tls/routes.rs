//! Routes for names that handshakes ask for.

use portcullis_tests::tls::{Authority, Dialer};
use portcullis_tests::{Request, Upstream, client, http2};

use super::{get, with_tls};

#[tokio::test]
async fn a_route_can_demand_the_name_of_the_handshake_whatever_the_host() {
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.example", "x.b.example", "other.example"]);
    let rules = [
        ("a", "sni = 'A.example'"),
        ("below", "sni = ['c.example', '*.b.example']"),
        ("rest", ""),
    ];
    let mut builder = with_tls(&[&leaf]).toml("[listeners.clear]\naddress = \"127.0.0.1:0\"\n");
    let mut upstreams = Vec::new();
    for (name, rule) in rules {
        let upstream = Upstream::fixed(200, &[], name);
        builder = builder.upstream(name, &upstream).toml(&format!(
            "[[routes]]\nname = '{name}'\nmatch = {{ {rule} }}\nupstream = '{name}'\n"
        ));
        upstreams.push(upstream);
    }
    let gateway = builder.start().await;
    let to = |name: &str| Dialer::to(gateway.address(), &authority, name);
    for (name, expected) in [
        ("a.example", "a"),
        ("x.b.example", "below"),
        ("other.example", "rest"),
    ] {
        let dialer = to(name).start();
        // The second handshake continues the session of the first.
        for _ in 0..2 {
            assert_eq!(get(&dialer, "/").await.text(), expected, "{name}");
            let host = Request::get("/").header("host", "a.example");
            let answer = client::send(dialer.address(), &host).await.unwrap();
            assert_eq!(answer.text(), expected, "{name}");
        }
        let dialer = to(name).protocols(&["h2"]).start();
        let mut streams = http2::Client::connect(dialer.address()).await;
        let reply = streams.exchange(http2::get("/")).await.unwrap();
        assert_eq!(reply.text(), expected, "{name}");
    }
    let nameless = to("a.example").nameless().start();
    assert_eq!(get(&nameless, "/").await.text(), "rest");
    let clear = gateway.address_of("clear");
    let host = Request::get("/").header("host", "a.example");
    let answer = client::send(clear, &host).await.unwrap();
    assert_eq!(answer.text(), "rest");
    gateway.shutdown().await;
}
