//! What a plugin may reach is what TOML grants.

use super::*;

#[tokio::test]
async fn without_a_grant_every_import_that_waits_is_denied() {
    let other = up();
    let gateway = front(&up(), "").start().await;
    let uri = format!("http://{}/", other.address());
    for text in [
        format!("send GET {uri}"),
        format!("send-all {uri}"),
        format!("fly k 0 {uri}"),
    ] {
        let told = told(&gateway, &text).await;
        assert!(told.starts_with("denied: "), "{text}: {told}");
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn grants_go_by_scheme_host_and_port() {
    let other = up();
    let port = other.address().port();
    let gateway = front(&up(), &granted(other.address()))
        .upstream_with("others", &[other.address()], "")
        .start()
        .await;
    for uri in [
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        "http://127.0.0.1/".to_owned(),
        format!("http://localhost:{port}/"),
        "upstream://others/".to_owned(),
        "upstream://up/".to_owned(),
    ] {
        let told = told(&gateway, &format!("send GET {uri}")).await;
        assert!(
            told.starts_with("denied: ") && told.contains("is not granted"),
            "{uri}: {told}"
        );
    }
    for (uri, what) in [
        ("ftp://127.0.0.1/".to_owned(), "scheme"),
        ("/path".to_owned(), "scheme"),
        (format!("http://user@127.0.0.1:{port}/"), "user information"),
    ] {
        let told = told(&gateway, &format!("send GET {uri}")).await;
        assert!(
            told.starts_with("invalid: ") && told.contains(what),
            "{uri}: {told}"
        );
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_name_of_a_private_address_needs_its_network_granted() {
    let other = up();
    let port = other.address().port();
    let entry = format!("allow.http = ['http://localhost:{port}']\n");
    let text = format!("send GET http://LOCALHOST:{port}/");
    let gateway = front(&up(), &entry).start().await;
    let denied = told(&gateway, &text).await;
    assert!(
        denied.starts_with("denied: ") && denied.contains("private-networks"),
        "{denied}"
    );
    assert!(other.requests().is_empty());
    let entry = format!("{entry}allow.private-networks = ['127.0.0.0/8']\n");
    let gateway = front(&up(), &entry).start().await;
    assert_eq!(told(&gateway, &text).await, "200 up");
}

#[tokio::test]
async fn the_requests_of_an_exchange_and_the_bytes_of_an_answer_are_bounded() {
    let other = up();
    let uri = format!("http://{}/", other.address());
    let entry = format!(
        "{}\nmax-outbound = 2\nmax-body = '2B'\n",
        granted(other.address())
    );
    let gateway = front(&up(), &entry).start().await;
    assert_eq!(
        told(&gateway, &format!("send-all {uri} {uri}")).await,
        "200 up; 200 up"
    );
    let told_of_three = told(&gateway, &format!("send-all {uri} {uri} {uri}")).await;
    assert!(told_of_three.contains("max-outbound"), "{told_of_three}");
    let short = told(&gateway, &format!("at-most 1 {uri}")).await;
    assert_eq!(short, "over the limit: the answer has more than 1 bytes");
    assert_eq!(other.requests().len(), 3);
}
