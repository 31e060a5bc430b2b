//! Which certificate a client is shown, by the name that it asks for.

use portcullis_tests::tls::{Authority, Dialer};
use portcullis_tests::{Gateway, Upstream};

use super::{ALL, get, refused, with_tls};

async fn shown(gateway: &Gateway, authority: &Authority, name: &str) -> Vec<u8> {
    let dialer = Dialer::to(gateway.address(), authority, name).start();
    assert_eq!(get(&dialer, "/").await.status, 200);
    dialer.last().certificate.expect("a certificate").to_vec()
}

#[tokio::test]
async fn an_exact_name_comes_before_a_wildcard_and_the_first_certificate_before_none() {
    let authority = Authority::new("test");
    let (first, wild, exact) = (
        authority.sign(&["first.example", "10.1.2.3"]),
        authority.sign(&["*.wild.example"]),
        authority.sign(&["www.wild.example", "more.example"]),
    );
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = with_tls(&[&first, &wild, &exact])
        .upstream("up", &upstream)
        .toml(ALL)
        .start()
        .await;
    for (name, leaf) in [
        ("first.example", &first),
        ("any.wild.example", &wild),
        ("WWW.wild.Example", &exact),
        ("more.example", &exact),
        // Addresses are not asked for by name.
        ("10.1.2.3", &first),
    ] {
        assert_eq!(
            shown(&gateway, &authority, name).await,
            leaf.der().to_vec(),
            "{name}"
        );
    }
    let nameless = Dialer::to(gateway.address(), &authority, "first.example")
        .nameless()
        .start();
    assert_eq!(get(&nameless, "/").await.status, 200);
    // The first certificate is shown to who asks for another name, and the client does not take it.
    for name in ["other.example", "a.b.wild.example"] {
        let other = Dialer::to(gateway.address(), &authority, name).start();
        let why = refused(&other).await;
        assert!(why.contains("not valid for name"), "{why}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_unknown_name_is_refused_where_that_is_wanted() {
    let authority = Authority::new("test");
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = with_tls(&[&authority.sign(&["first.example"])])
        .listener("tls.unknown-sni = \"refuse\"")
        .upstream("up", &upstream)
        .toml(ALL)
        .start()
        .await;
    let known = Dialer::to(gateway.address(), &authority, "first.example").start();
    assert_eq!(get(&known, "/").await.status, 200);
    for builder in [
        Dialer::to(gateway.address(), &authority, "other.example"),
        Dialer::to(gateway.address(), &authority, "first.example").nameless(),
    ] {
        let why = refused(&builder.start()).await;
        assert!(why.contains("AccessDenied"), "{why}");
    }
    gateway.shutdown().await;
}
