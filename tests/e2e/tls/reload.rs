//! Certificates change while traffic flows.

use std::fs;

use portcullis_tests::patience::eventually;
use portcullis_tests::tls::{Authority, Dialer, Leaf};
use portcullis_tests::{Connection, Gateway, Load, Request};
use serde_json::Value;

use super::{dialer, echo, get};

fn forgetful(gateway: &Gateway, authority: &Authority) -> Dialer {
    Dialer::to(gateway.address(), authority, "site.example")
        .forgetful()
        .start()
}

/// Waits until new handshakes show this certificate.
async fn shows(dialer: &Dialer, leaf: &Leaf) {
    eventually("the new certificate", async || {
        get(dialer, "/").await;
        (dialer.last().certificate == Some(leaf.der())).then_some(())
    })
    .await;
}

async fn rejected(gateway: &Gateway, problem: &str) -> Value {
    gateway
        .wait_for(|status| {
            let last = &status["last-reload"];
            let problems = last["problems"].as_str().unwrap_or_default();
            last["result"] == "rejected" && problems.contains(problem)
        })
        .await
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_no_request_fails() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    // Connections that stay, connections that come and go, and one that began with the first certificate.
    let kept = dialer(&gateway, &authority);
    let mut old = Connection::open(kept.address()).await.unwrap();
    assert_eq!(old.exchange(&Request::get("/")).await.unwrap().status, 200);
    let staying = Load::new(kept.address(), Request::get("/")).start();
    let fresh = forgetful(&gateway, &authority);
    for _ in 0..5 {
        let next = authority.sign(&["site.example"]);
        gateway.write_file("0.key", next.key.as_bytes());
        gateway.write_file("0.pem", next.pem.as_bytes());
        shows(&fresh, &next).await;
    }
    staying.wait_for(100).await;
    staying.stop().await.expect_no_failure();
    assert_eq!(old.exchange(&Request::get("/")).await.unwrap().status, 200);
    // The load had four connections, and no more.
    assert_eq!(kept.seen().len(), 5, "{:?}", kept.seen());
    assert!(fresh.seen().iter().all(|dialled| dialled.error.is_empty()));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_certificate_that_is_wrong_leaves_the_one_before_in_force() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.allow_errors().start().await;
    let fresh = forgetful(&gateway, &authority);
    get(&fresh, "/").await;
    let first = fresh.last().certificate;
    let (next, other) = (
        authority.sign(&["site.example"]),
        authority.sign(&["site.example"]),
    );
    for (file, text, problem) in [
        ("0.pem", "junk", "the content of `0.pem` cannot be used"),
        (
            "0.pem",
            next.pem.as_str(),
            "the private key does not belong to the certificate",
        ),
        ("0.key", "junk", "the content of `0.key` cannot be used"),
        (
            "0.key",
            other.key.as_str(),
            "the private key does not belong to the certificate",
        ),
    ] {
        gateway.write_file(file, text.as_bytes());
        rejected(&gateway, problem).await;
        get(&fresh, "/").await;
        assert_eq!(fresh.last().certificate, first);
    }
    gateway.write_file("0.key", next.key.as_bytes());
    shows(&fresh, &next).await;
    fs::remove_file(gateway.path().join("0.key")).unwrap();
    rejected(&gateway, "0.key").await;
    get(&fresh, "/").await;
    assert_eq!(fresh.last().certificate, Some(next.der()));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_listener_goes_over_to_tls_and_back() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    let secure = fs::read_to_string(gateway.configuration()).unwrap();
    let clear = secure.replacen("tls.certificates", "# certificates", 1);
    let fresh = forgetful(&gateway, &authority);
    assert_eq!(get(&fresh, "/").await.status, 200);
    gateway.write_file("portcullis.toml", clear.as_bytes());
    eventually("an answer in clear", async || {
        gateway.get("/").await.status.eq(&200).then_some(())
    })
    .await;
    gateway.write_file("portcullis.toml", secure.as_bytes());
    eventually("an answer by TLS", async || {
        let answer = portcullis_tests::client::send(fresh.address(), &Request::get("/")).await;
        answer.ok().filter(|answer| answer.status == 200)
    })
    .await;
    assert_eq!(gateway.get("/").await.problem(), "http-to-tls-port");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_gateway_with_a_wrong_certificate_does_not_start() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let error = builder.file("0.key", "junk").try_start().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the content of `0.key` cannot be used"), "{text}");
    assert!(text.contains("there is no section `PRIVATE KEY` in it"), "{text}");
}
