//! TLS to upstreams: who is believed, by which name, and what goes wrong.

use portcullis_tests::dns::NameServer;
use portcullis_tests::patience::eventually;
use portcullis_tests::tls::{Authority, Front, Leaf, TLS12, TLS13};
use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, Request, Upstream};

use super::ALL;

/// A gateway in clear before this front, with these keys in `tls`.
async fn gateway(front: &Front, files: &[(&str, &str)], tls: &str) -> Gateway {
    let keys = format!("tls = {{ {tls} }}");
    let mut builder = Gateway::new()
        .workers(1)
        .upstream_with("up", &[front.address()], &keys)
        .toml(ALL);
    for (name, text) in files {
        builder = builder.file(name, *text);
    }
    builder.start().await
}

fn site(authority: &Authority) -> Leaf {
    authority.sign(&["orders.internal", "127.0.0.1"])
}

const CA: &str = "ca = { file = \"ca.pem\" }";

#[tokio::test]
async fn a_server_of_the_authority_is_believed() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    for (versions, version) in [(TLS12, "1.2"), (TLS13, "1.3")] {
        let front = Front::before(upstream.address(), &site(&authority))
            .versions(versions)
            .start();
        for (sni, name) in [
            ("", None),
            (", sni = \"orders.internal\"", Some("orders.internal")),
        ] {
            let gateway = gateway(&front, &[("ca.pem", authority.pem())], &format!("{CA}{sni}")).await;
            let body: String = "0123456789".repeat(30_000);
            for _ in 0..3 {
                let answer = gateway.send(&Request::post("/", body.clone())).await;
                assert_eq!(answer.status, 200);
                assert_eq!(answer.json()["body"], body.as_str());
            }
            let seen = front.seen().pop().unwrap();
            assert_eq!(seen.error, "");
            assert_eq!((seen.version, seen.name.as_deref()), (version, name));
            assert_eq!(seen.protocol.as_deref(), Some("http/1.1"));
            gateway.shutdown().await;
        }
        assert_eq!(front.seen().len(), 2, "connections are kept");
    }
}

#[tokio::test]
async fn a_server_that_is_not_believed_is_not_spoken_to() {
    let (authority, other) = (Authority::new("test"), Authority::new("test"));
    let upstream = Upstream::echo();
    let old = authority.sign_with(&["127.0.0.1"], |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    for (leaf, tls) in [
        (other.sign(&["127.0.0.1"]), CA.to_owned()),
        (authority.sign(&["other.internal"]), CA.to_owned()),
        (site(&authority), format!("{CA}, sni = \"other.internal\"")),
        (old, CA.to_owned()),
    ] {
        let front = Front::before(upstream.address(), &leaf).start();
        let gateway = gateway(&front, &[("ca.pem", authority.pem())], &tls).await;
        let answer = gateway.send(&Request::post("/", "secret")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream-tls"));
        let failures = "portcullis_upstream_failures_total{upstream=\"up\",kind=\"tls\"}";
        assert_eq!(gateway.metric(failures).await, Some(1.0));
        gateway.shutdown().await;
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn verification_can_be_skipped_and_is_warned_of() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    let front = Front::before(upstream.address(), &authority.sign(&["other.internal"])).start();
    let gateway = gateway(&front, &[], "dangerously-skip-verification = true").await;
    assert_eq!(gateway.get("/").await.status, 200);
    let warned = gateway.logs().iter().any(|line| {
        line.message
            .contains("the upstream's certificate is not verified")
    });
    assert!(warned, "{:?}", gateway.logs());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_server_may_demand_a_certificate_of_ours() {
    let (authority, clients) = (Authority::new("test"), Authority::new("clients"));
    let upstream = Upstream::echo();
    let (ours, foreign) = (
        clients.sign(&["gateway.internal"]),
        authority.sign(&["gateway.internal"]),
    );
    for versions in [TLS12, TLS13] {
        let front = Front::before(upstream.address(), &site(&authority))
            .versions(versions)
            .clients_of(&clients)
            .start();
        let own = format!("{CA}, cert = {{ file = \"own.pem\" }}, key = {{ file = \"own.key\" }}");
        let files = |leaf: &Leaf| {
            let own = [("own.pem", leaf.pem.clone()), ("own.key", leaf.key.clone())];
            let ca = ("ca.pem", authority.pem().to_owned());
            own.into_iter().chain([ca]).collect::<Vec<_>>()
        };
        for (leaf, tls, status) in [(&ours, &*own, 200), (&foreign, &*own, 502), (&ours, CA, 502)] {
            let files = files(leaf);
            let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let gateway = gateway(&front, &files, tls).await;
            let answer = gateway.send(&Request::post("/", "x")).await;
            assert_eq!(answer.status, status, "{tls}");
            if status == 200 {
                let client = front.seen().pop().unwrap().client;
                assert_eq!(client, Some(leaf.der()));
            } else {
                assert_eq!(answer.problem(), "upstream-tls");
            }
            gateway.shutdown().await;
        }
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn sessions_with_servers_go_on() {
    let authority = Authority::new("test");
    // Every answer ends its connection.
    let upstream = Upstream::fixed(200, &[("connection", "close")], "up");
    let front = Front::before(upstream.address(), &site(&authority)).start();
    let gateway = gateway(&front, &[("ca.pem", authority.pem())], CA).await;
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.text(), "up");
    }
    let resumed: Vec<bool> = front.seen().iter().map(|seen| seen.resumed).collect();
    assert_eq!(resumed, [false, true, true, true]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_tls_has_closed_is_not_used_again() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    for versions in [TLS12, TLS13] {
        let front = Front::before(upstream.address(), &site(&authority))
            .versions(versions)
            .start();
        let gateway = gateway(&front, &[("ca.pem", authority.pem())], CA).await;
        for connections in 1..4 {
            // A POST is not sent twice: it has to find out before.
            assert_eq!(gateway.send(&Request::post("/", "x")).await.status, 200);
            assert_eq!(front.seen().len(), connections);
            front.close_notify().await;
        }
        gateway.shutdown().await;
    }
    assert_eq!(upstream.requests().len(), 6);
}

#[tokio::test]
async fn what_is_for_tls_alone_does_not_end_an_idle_connection() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    let front = Front::before(upstream.address(), &site(&authority))
        .versions(TLS13)
        .start();
    let gateway = gateway(&front, &[("ca.pem", authority.pem())], CA).await;
    for request in [
        Request::post("/", "x"),
        Request::get("/"),
        Request::post("/", "y"),
        Request::get("/"),
    ] {
        assert_eq!(gateway.send(&request).await.status, 200);
        front.change_keys().await;
    }
    assert_eq!(front.seen().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_server_in_clear_or_without_a_word_is_an_error_in_time() {
    let authority = Authority::new("test");
    let clear = Upstream::raw([Step::send("HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Drain]).tolerant();
    let silent = Upstream::raw([Step::Drain]).tolerant();
    for (upstream, status, code) in [
        (&clear, 502, "upstream-tls"),
        (&silent, 504, "upstream-connect-timeout"),
    ] {
        let gateway = Gateway::new()
            .file("ca.pem", authority.pem())
            .upstream_with(
                "up",
                &[upstream.address()],
                &format!("connect-timeout = \"200ms\"\ntls = {{ {CA} }}"),
            )
            .toml(ALL)
            .start()
            .await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code));
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn another_endpoint_is_tried_when_one_has_the_wrong_certificate() {
    let authority = Authority::new("test");
    let upstream = Upstream::echo();
    let good = Front::before(upstream.address(), &site(&authority)).start();
    let bad = Front::before(upstream.address(), &Authority::new("test").sign(&["127.0.0.1"])).start();
    let gateway = Gateway::new()
        .workers(1)
        .file("ca.pem", authority.pem())
        .upstream_with(
            "up",
            &[bad.address(), good.address()],
            &format!("tls = {{ {CA} }}"),
        )
        .toml(ALL)
        .start()
        .await;
    for _ in 0..4 {
        assert_eq!(gateway.send(&Request::post("/", "x")).await.status, 200);
    }
    assert!(!bad.seen().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_new_authority_is_believed_without_a_restart() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let upstream = Upstream::echo();
    let front = Front::before(upstream.address(), &site(&second)).start();
    let gateway = gateway(&front, &[("ca.pem", first.pem())], CA).await;
    assert_eq!(gateway.get("/").await.problem(), "upstream-tls");
    gateway.write_file("ca.pem", second.pem().as_bytes());
    eventually("an answer of the upstream", async || {
        let answer = gateway.get("/").await;
        (answer.status == 200).then_some(())
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn health_checks_speak_tls_by_the_name_of_the_endpoint() {
    let (authority, other) = (Authority::new("test"), Authority::new("other"));
    let upstream = Upstream::echo();
    let front = Front::before(upstream.address(), &authority.sign(&["orders.example"])).start();
    let dns = NameServer::start();
    dns.set_addresses("orders.example", 60, &["127.0.0.1".parse().unwrap()]);
    let port = front.address().port();
    for protocol in ["http", "tcp"] {
        for (ca, result, state) in [
            (&authority, "passed", "available"),
            (&other, "failed", "unavailable"),
        ] {
            let gateway = Gateway::new()
                .workers(1)
                .gateway(&format!("dns = {{ servers = ['{}'] }}", dns.address()))
                .file("ca.pem", ca.pem())
                .toml(&format!(
                    "[upstreams.up]\nendpoints = ['orders.example:{port}']\ntls = {{ {CA} }}\n\
                     health-check = {{ protocol = '{protocol}', interval = '20ms' }}\n{ALL}"
                ))
                .start()
                .await;
            let series = format!(
                "portcullis_upstream_health_checks_total{{upstream=\"up\",endpoint=\"127.0.0.1:{port}\",result=\"{result}\"}}"
            );
            eventually("a check", async || {
                (gateway.metric(&series).await >= Some(1.0)).then_some(())
            })
            .await;
            gateway
                .wait_for(|status| status["upstreams"][0]["endpoints"][0]["state"] == state)
                .await;
            let answer = gateway.get("/").await;
            assert_eq!(answer.status, if result == "passed" { 200 } else { 503 });
            gateway.shutdown().await;
        }
    }
    let seen = front.seen();
    let mut whole = seen.iter().filter(|seen| seen.error.is_empty());
    assert!(whole.all(|seen| seen.name.as_deref() == Some("orders.example")));
}
