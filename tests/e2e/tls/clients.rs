//! Certificates of clients: who is let in, and what plugins learn.

use portcullis_tests::tls::{Authority, Dialer, Leaf, uri};
use portcullis_tests::{Answer, Gateway, Request, Upstream, client};
use serde_json::Value;

use super::{ALL, echo, get, refused, with_tls};

/// A gateway whose listener has this in `client-auth`, and whose plugin `probe` tells properties.
async fn gateway(authority: &Authority, files: &[(&str, String)], auth: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::echo();
    let mut builder = with_tls(&[&authority.sign(&["site.example"])])
        .guest("probe")
        .upstream("up", &upstream)
        .listener(&format!("tls.client-auth = {{ {auth} }}"))
        .toml(&ALL.replace("upstream =", "pipeline = [\"probe\"]\nupstream ="));
    for (name, text) in files {
        builder = builder.file(name, text.clone());
    }
    (upstream, builder.start().await)
}

fn client_with(gateway: &Gateway, authority: &Authority, leaf: Option<&Leaf>) -> Dialer {
    let dialer = Dialer::to(gateway.address(), authority, "site.example");
    match leaf {
        Some(leaf) => dialer.identity(leaf).start(),
        None => dialer.start(),
    }
}

async fn property(dialer: &Dialer, key: &str) -> String {
    let request = Request::get("/")
        .header("x-case", "property")
        .header("x-arg", key);
    let answer: Answer = client::send(dialer.address(), &request).await.unwrap();
    answer.text().to_owned()
}

#[tokio::test]
async fn plugins_learn_who_the_client_is() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let leaf = clients.sign_with(&["one.client.example", "two.client.example"], |params| {
        params.subject_alt_names.push(uri("spiffe://example/client"));
        params.distinguished_name = rcgen_name("client, one");
    });
    let files = [("clients.pem", clients.pem().to_owned())];
    let auth = "ca = { file = \"clients.pem\" }, mode = \"optional\"";
    let (upstream, gateway) = gateway(&authority, &files, auth).await;
    let known = client_with(&gateway, &authority, Some(&leaf));
    for (key, value) in [
        ("request.scheme", "https"),
        ("tls.version", "TLSv1.3"),
        ("tls.cipher", "TLS_AES_256_GCM_SHA384"),
        ("tls.sni", "site.example"),
        ("tls.alpn", "none"),
        ("tls.client-cert.subject", "CN=client\\, one"),
        (
            "tls.client-cert.dns-names",
            "one.client.example,two.client.example",
        ),
        ("tls.client-cert.uris", "spiffe://example/client"),
        ("tls.client-cert.unheard-of", "none"),
        ("tls.unheard-of", "none"),
    ] {
        assert_eq!(property(&known, key).await, value, "{key}");
    }
    let text: String = leaf.pem.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(property(&known, "tls.client-cert").await, text);
    assert_eq!(property(&known, "tls.client-cert.sha256").await.len(), 64);
    // A session that goes on still knows its client.
    assert!(known.last().resumed);
    assert_eq!(property(&known, "tls.resumed").await, "true");
    assert_eq!(property(&known, "tls.client-cert").await, text);

    let unknown = client_with(&gateway, &authority, None);
    assert_eq!(property(&unknown, "tls.client-cert").await, "none");
    assert_eq!(property(&unknown, "tls.client-cert.subject").await, "none");
    assert_eq!(get(&unknown, "/").await.status, 200);
    let headers: Value = upstream
        .requests()
        .pop()
        .map(|r| r.fields.get("x-forwarded-proto").into())
        .unwrap();
    assert_eq!(headers, "https");
    gateway.shutdown().await;
}

fn rcgen_name(common: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, common);
    name
}

#[tokio::test]
async fn who_is_not_vouched_for_is_not_let_in() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (good, revoked) = (clients.sign(&["good.example"]), clients.sign(&["bad.example"]));
    let foreign = Authority::new("clients").sign(&["good.example"]);
    let old = clients.sign_with(&["old.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let files = [
        ("clients.pem", clients.pem().to_owned()),
        ("revoked.pem", clients.revoke(&[&revoked])),
    ];
    for mode in ["required", "optional"] {
        let auth = format!(
            "ca = {{ file = \"clients.pem\" }}, crl = {{ file = \"revoked.pem\" }}, mode = \"{mode}\""
        );
        let (_upstream, gateway) = gateway(&authority, &files, &auth).await;
        let dial = |leaf| client_with(&gateway, &authority, leaf);
        assert_eq!(get(&dial(Some(&good)), "/").await.status, 200);
        for (leaf, why) in [
            (&foreign, "alert"),
            (&revoked, "CertificateRevoked"),
            (&old, "CertificateExpired"),
        ] {
            let found = refused(&dial(Some(leaf))).await;
            assert!(found.contains(why), "{mode}: {found}");
        }
        if mode == "required" {
            let found = refused(&dial(None)).await;
            assert!(found.contains("CertificateRequired"), "{found}");
        } else {
            assert_eq!(get(&dial(None), "/").await.status, 200);
        }
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_session_does_not_outlive_the_rules_that_it_began_under() {
    let authority = Authority::new("servers");
    let clients = Authority::new("clients");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.file("clients.pem", clients.pem()).start().await;
    let dialer = client_with(&gateway, &authority, None);
    let mut kept = client::Connection::open(dialer.address()).await.unwrap();
    assert_eq!(kept.exchange(&Request::get("/")).await.unwrap().status, 200);
    assert_eq!(get(&dialer, "/").await.status, 200);
    assert!(dialer.last().resumed);
    let before = gateway.status().await;
    // The harness writes the listener before the first route.
    let text = std::fs::read_to_string(gateway.configuration()).unwrap();
    let auth = "tls.client-auth = { ca = { file = \"clients.pem\" } }";
    let text = text.replacen("tls.certificates", &format!("{auth}\ntls.certificates"), 1);
    gateway.write_file("portcullis.toml", text.as_bytes());
    gateway
        .wait_for(|status| status["generation"].as_u64() > before["generation"].as_u64())
        .await;
    // A connection that is open already is ended, too.
    assert!(kept.closed().await.is_ok());
    let why = refused(&dialer).await;
    assert!(why.contains("CertificateRequired"), "{why}");
    assert!(!dialer.last().resumed);
    gateway.shutdown().await;
}
