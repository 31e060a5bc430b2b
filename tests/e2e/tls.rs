//! TLS on listeners and to upstreams: who is shown which certificate, who is let in, and what a change of the files
//! does to connections.

use portcullis_tests::tls::{Authority, Dialer, Leaf};
use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream, client};

mod clients;
mod handshakes;
mod names;
mod reload;
mod routes;
mod sessions;
mod traffic;
mod upstreams;

/// A route for everything.
const ALL: &str = "[[routes]]\nname = \"all\"\nupstream = \"up\"\n";

/// A builder with these certificates on the listener `public`: `0.pem` and `0.key`, `1.pem` and so on.
fn with_tls(leaves: &[&Leaf]) -> GatewayBuilder {
    let mut builder = Gateway::new();
    let mut list = Vec::new();
    for (number, leaf) in leaves.iter().enumerate() {
        let (cert, key) = (format!("{number}.pem"), format!("{number}.key"));
        builder = builder.file(&cert, leaf.pem.clone()).file(&key, leaf.key.clone());
        list.push(format!(
            "{{ cert = {{ file = \"{cert}\" }}, key = {{ file = \"{key}\" }} }}"
        ));
    }
    builder.listener(&format!("tls.certificates = [{}]", list.join(", ")))
}

/// The same for `site.example`, before an upstream that echoes.
fn echo(authority: &Authority) -> (Upstream, GatewayBuilder) {
    let upstream = Upstream::echo();
    let builder = with_tls(&[&authority.sign(&["site.example"])])
        .upstream("up", &upstream)
        .toml(ALL);
    (upstream, builder)
}

/// A client of `site.example`.
fn dialer(gateway: &Gateway, authority: &Authority) -> Dialer {
    Dialer::to(gateway.address(), authority, "site.example").start()
}

/// A GET through a dialer, which has to be answered.
async fn get(dialer: &Dialer, target: &str) -> Answer {
    client::send(dialer.address(), &Request::get(target))
        .await
        .unwrap_or_else(|fault| panic!("{fault:?}; handshakes: {:?}", dialer.seen()))
}

/// A GET through a dialer whose handshake has to fail, and why.
async fn refused(dialer: &Dialer) -> String {
    let answer = client::send(dialer.address(), &Request::get("/")).await;
    assert!(answer.is_err(), "{answer:?}");
    let dialled = dialer.ended(dialer.seen().len().saturating_sub(1)).await;
    if dialled.error.is_empty() {
        dialled.end.unwrap_or_default()
    } else {
        dialled.error
    }
}
