//! `explain` for listeners with TLS.

use std::fs;

use portcullis_tests::tls::Authority;
use serde_json::Value;

use super::super::folder;
use super::{explain, json};

#[tokio::test]
async fn with_tls_the_name_of_the_handshake_is_the_urls_host_unless_another_is_given() {
    let leaf = Authority::new("test").sign(&["a.b"]);
    let toml = "[listeners.public]\naddress = '127.0.0.1:443'\n\
                tls.certificates = [{ cert = { file = 'site.pem' }, key = { file = 'site.key' } }]\n\
                [listeners.clear]\naddress = '127.0.0.1:80'\n[upstreams.up]\nendpoints = ['127.0.0.1:9']\n\
                [[routes]]\nname = 'named'\nupstream = 'up'\nmatch = { sni = '*.b' }\n";
    let folder = folder(toml, &[]);
    fs::write(folder.path().join("site.pem"), &leaf.pem).unwrap();
    fs::write(folder.path().join("site.key"), &leaf.key).unwrap();
    let shown = json(&folder, &["GET", "https://A.b/x"]).await;
    assert_eq!(
        (&shown["request"]["sni"], &shown["route"]["name"]),
        (&"a.b".into(), &"named".into())
    );
    assert_eq!(shown["route"]["demands"], serde_json::json!(["server name *.b"]));
    let said = explain(&folder, &["GET", "https://a.b/x"]).await;
    assert!(
        said.out.contains("client 127.0.0.1, server name a.b\n"),
        "{}",
        said.out
    );
    let shown = json(&folder, &["GET", "https://a.b/x", "--sni", "a.c"]).await;
    assert_eq!(
        (&shown["request"]["sni"], &shown["route"]),
        (&"a.c".into(), &Value::Null)
    );
    let shown = json(&folder, &["GET", "https://127.0.0.1/x"]).await;
    assert_eq!(
        (&shown["request"]["sni"], &shown["route"]),
        (&Value::Null, &Value::Null)
    );
    let shown = json(&folder, &["GET", "http://a.b/x"]).await;
    assert_eq!(
        (&shown["request"]["sni"], &shown["route"]),
        (&Value::Null, &Value::Null)
    );
    let said = explain(&folder, &["GET", "http://a.b/x", "--sni", "a.b"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("has no TLS"), "{}", said.err);
}
