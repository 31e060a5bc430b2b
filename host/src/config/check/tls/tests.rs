//! What is wrong or doubtful in the tables `tls`.

use std::collections::BTreeMap;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

use crate::config::{Config, Problems, parse};

/// A certificate and its key in PEM.
fn pem(names: &[&str], until: i32) -> [String; 2] {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_after = date_time_ymd(until, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    [params.self_signed(&key).unwrap().pem(), key.serialize_pem()]
}

fn read(text: &str) -> Result<Config, Problems> {
    let [good, good_key] = pem(&["good.example"], 2060);
    let [old, old_key] = pem(&["old.example"], 2021);
    let [nameless, nameless_key] = pem(&[], 2060);
    let variables = [
        ("GOOD", good),
        ("GOOD_KEY", good_key),
        ("OLD", old),
        ("OLD_KEY", old_key),
        ("NAMELESS", nameless),
        ("NAMELESS_KEY", nameless_key),
        ("JUNK", "junk".to_owned()),
    ];
    let environment: BTreeMap<String, String> = variables
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
    parse(Path::new("gateway.toml"), text, &environment)
}

fn listener(tls: &str) -> Result<Config, Problems> {
    read(&format!(
        "[listeners.a]\naddress = '127.0.0.1:0'\n[listeners.a.tls]\n{tls}\n"
    ))
}

fn upstream(tls: &str) -> Result<Config, Problems> {
    let text = "[listeners.a]\naddress = '127.0.0.1:0'\n[[routes]]\nname = 'r'\nupstream = 'u'\n";
    read(&format!(
        "{text}[upstreams.u]\nendpoints = ['u.example:1']\n[upstreams.u.tls]\n{tls}\n"
    ))
}

/// Messages with their help, one a line.
fn lines(result: Result<Config, Problems>) -> String {
    let found = match result {
        Ok(config) => config.warnings,
        Err(problems) => problems.0,
    };
    let found = found.iter().map(|found| {
        let help = found.help.as_deref().unwrap_or("-");
        format!("{}: {} ({help})\n", found.severity, found.message)
    });
    found.collect()
}

const GOOD: &str = "certificates = [{ cert.env = 'GOOD', key.env = 'GOOD_KEY' }]\n";

#[test]
fn what_is_right_has_no_warning() {
    let all = format!(
        "{GOOD}unknown-sni = 'refuse'\nmin-version = '1.3'\nresumption = false\nhandshake-timeout = '3s'\n\
         client-auth = {{ ca.env = 'GOOD', mode = 'optional' }}\n"
    );
    let config = listener(&all).unwrap();
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.handshake_timeout.as_secs(), 3);
    assert_eq!(lines(Ok(config)), lines(listener(GOOD)));
    assert!(listener(GOOD).unwrap().warnings.is_empty());
    let all =
        "ca.env = 'GOOD'\nsni = 'x.example'\ncert.env = 'GOOD'\nkey.env = 'GOOD_KEY'\nmin-version = '1.3'";
    let config = upstream(all).unwrap();
    assert!(config.warnings.is_empty());
    assert!(config.upstreams[0].tls.is_some());
}

#[test]
fn a_certificate_that_cannot_be_used_says_which_and_why() {
    insta::assert_snapshot!(lines(listener(
        "certificates = [\n\
         { cert = 'site.pem', key.env = 'GOOD_KEY' },\n\
         { cert.env = 'JUNK', key.env = 'GOOD_KEY' },\n\
         { cert.env = 'GOOD', key.env = 'JUNK' },\n\
         { cert.env = 'GOOD', key.env = 'OLD_KEY' },\n\
         { cert.env = 'GOOD', key = 'secret' },\n\
         { cert.env = 'GOOD' },\n\
         ]"
    )), @r#"
    error: `site.pem` is no PEM text (to read a file, write { file = "site.pem" })
    error: the value of environment variable `JUNK` cannot be used (there is no section `CERTIFICATE` in it)
    error: the value of environment variable `JUNK` cannot be used (there is no section `PRIVATE KEY` in it)
    error: the value of environment variable `GOOD` cannot be used (the private key does not belong to the certificate; the server's own certificate comes first, then those that signed it)
    error: a private key does not belong into the configuration (write `key = { file = ".." }` or `key = { env = ".." }`)
    error: missing key `key` in `certificates[5]` (its private key in PEM: `key = { file = "site.key" }`)
    "#);
    let shown = listener("certificates = [{ cert.env = 'GOOD', key = 'hunter2' }]").unwrap_err();
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
}

#[test]
fn a_table_without_certificates_is_refused() {
    insta::assert_snapshot!(lines(listener("")), @r#"
    error: missing key `certificates` in `listeners.a.tls` (at least one, for example `certificates = [{ cert = { file = "site.pem" }, key = { file = "site.key" } }]`)
    "#);
    insta::assert_snapshot!(lines(listener("certificates = []")), @r#"
    error: `certificates` is empty (at least one, for example `certificates = [{ cert = { file = "site.pem" }, key = { file = "site.key" } }]`)
    "#);
}

#[test]
fn a_certificate_that_clients_will_not_take_is_doubtful() {
    insta::assert_snapshot!(lines(listener(
        "certificates = [{ cert.env = 'OLD', key.env = 'OLD_KEY' }, { cert.env = 'NAMELESS', key.env = 'NAMELESS_KEY' }]"
    )), @r#"
    warning: the value of environment variable `OLD` is a certificate that has expired (clients will not trust it)
    warning: the value of environment variable `NAMELESS` is for no DNS name, so that it is never used (its names must stand in the extension subjectAltName; the common name does not count (RFC 9525))
    "#);
}

#[test]
fn authorities_of_clients_must_be_there() {
    for tls in [
        "client-auth = {}",
        "client-auth = { ca = 'ca.pem' }",
        "client-auth = { ca.env = 'JUNK' }",
        "client-auth = { ca.env = 'GOOD', crl.env = 'GOOD' }",
        "client-auth = { ca.env = 'GOOD', mode = 'maybe' }",
    ] {
        let found = lines(listener(&format!("{GOOD}{tls}")));
        assert_eq!(found.matches("error: ").count(), 1, "{tls}: {found}");
    }
}

#[test]
fn an_upstream_is_verified_unless_that_is_dangerously_skipped() {
    insta::assert_snapshot!(lines(upstream("dangerously-skip-verification = true")), @r#"
    warning: the upstream's certificate is not verified (anybody in between can read and change what is sent; name the authority by `ca` instead)
    "#);
    insta::assert_snapshot!(lines(upstream("ca.env = 'JUNK'")), @r#"
    error: the value of environment variable `JUNK` cannot be used (there is no section `CERTIFICATE` in it)
    "#);
    insta::assert_snapshot!(lines(upstream("ca.env = 'GOOD'\nsni = 'not a name'")), @r#"
    error: `not a name` is no name of a server (it is no DNS name and no IP address that a certificate could have)
    "#);
    insta::assert_snapshot!(lines(upstream("ca.env = 'GOOD'\ncert.env = 'GOOD'")), @r#"
    error: one of `cert` and `key` is missing (a certificate of our own needs both `cert` and `key`)
    "#);
}
