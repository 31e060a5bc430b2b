//! `[listeners.NAME.tls]` and `[upstreams.NAME.tls]`: certificates, keys, authorities, and whether they fit together.
//!
//! It refuses to speak TLS.

use std::sync::Arc;
use std::time::Duration;

use super::super::model::{Endpoint, Listed, ListenerTls, Source, UpstreamProtocol};
use super::super::reader::Reader;
use super::super::scope::Scope;
use super::super::secret::{Provenance, Text};
use crate::clock;
use crate::tls::{
    Client, ClientAuth, ClientError, ClientSettings, HTTP_1_1, HTTP_2, Identity, MinVersion, Resumption,
    Server, ServerSettings, Trust, UnknownName, Verification,
};

/// Most certificates of one listener.
const MAX_CERTIFICATES: usize = 10_000;

/// Whether a client needs a certificate.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Optional,
    Required,
}

/// TLS of a listener that speaks these protocols, the preferred one first, if the table is there.
pub(super) fn listener(mut reader: Reader<'_>, protocols: &[&[u8]]) -> Option<ListenerTls> {
    let scope = reader.scope();
    let at = reader.at().clone();
    let unknown = [("first", UnknownName::First), ("refuse", UnknownName::Refuse)];
    let second = Duration::from_secs(1);
    let times = Duration::from_millis(1)..=24 * 3600 * second;
    let identities = certificates(&mut reader);
    let settings = ServerSettings {
        identities,
        unknown: reader.choice("unknown-sni", &unknown, UnknownName::First),
        min_version: min_version(&mut reader),
        client_auth: client_auth(reader.section("client-auth")),
        resumption: match reader.flag("resumption") {
            Some(false) => Resumption::Off,
            _ => Resumption::On,
        },
        protocols: protocols.iter().map(|name| name.to_vec()).collect(),
    };
    let handshake_timeout = reader.time("handshake-timeout", times, 10 * second);
    let present = reader.is_present();
    reader.finish();
    if !present {
        return None;
    }
    let server = Server::new(&settings)
        .map_err(|error| scope.error(&at, error.to_string()))
        .ok()?;
    Some(ListenerTls {
        server: Arc::new(server),
        handshake_timeout,
    })
}

/// TLS of an upstream with these endpoints, which speak `protocol`, if the table is there.
pub(super) fn upstream(
    mut reader: Reader<'_>,
    endpoints: &[Listed],
    protocol: UpstreamProtocol,
) -> Option<Arc<Client>> {
    let scope = reader.scope();
    let at = reader.at().clone();
    let present = reader.is_present();
    let ca = reader.text("ca").map(|text| trust(scope, &text));
    let insecure = reader.flag("dangerously-skip-verification").unwrap_or(false);
    let name = reader.text("sni");
    let named = name.as_ref().map(|text| text.as_str().to_owned());
    let (cert, key) = (reader.text("cert"), reader.text("key"));
    let identity = match (&cert, &key) {
        (Some(cert), Some(key)) => identity(scope, cert, key),
        (Some(one), None) | (None, Some(one)) => {
            let help = "a certificate of our own needs both `cert` and `key`";
            scope.error_with_help(one.at(), "one of `cert` and `key` is missing", help);
            None
        }
        (None, None) => None,
    };
    let min_version = min_version(&mut reader);
    reader.finish();
    if !present {
        return None;
    }
    let verification = match (ca, insecure) {
        (_, true) => {
            let help =
                "anybody in between can read and change what is sent; name the authority by `ca` instead";
            scope.warning(&at, "the upstream's certificate is not verified", help);
            Verification::None
        }
        (Some(Ok(ca)), false) => Verification::By(ca),
        (Some(Err(())), false) => return None,
        (None, false) => match Trust::of_system() {
            Ok(trust) => Verification::By(trust),
            Err(error) => {
                scope.error(&at, error.to_string());
                return None;
            }
        },
    };
    let settings = ClientSettings {
        verification,
        name: named,
        identity,
        min_version,
        protocol: match protocol {
            UpstreamProtocol::Http1 => HTTP_1_1,
            UpstreamProtocol::Http2 => HTTP_2,
        },
    };
    let client = match (Client::new(&settings), name) {
        (Ok(client), _) => client,
        (Err(ClientError::Name(error)), Some(name)) => {
            let message = format!("{} is no name of a server", name.shown());
            scope.error_with_help(name.at(), message, error.to_string());
            return None;
        }
        (Err(error), _) => {
            scope.error(&at, error.to_string());
            return None;
        }
    };
    let unnamed = |endpoint: &&Endpoint| client.name_of(&endpoint.host).is_err();
    if let Some(endpoint) = endpoints.iter().filter_map(listed).find(unnamed) {
        let message = format!("no certificate can be for the endpoint `{endpoint}`");
        scope.error_with_help(&at, message, "say by `sni` which name its certificate has");
        return None;
    }
    Some(Arc::new(client))
}

/// The host and port of an endpoint; the hosts of SRV records are not known yet.
fn listed(endpoint: &Listed) -> Option<&Endpoint> {
    match &endpoint.source {
        Source::Address(endpoint) => Some(endpoint),
        Source::Srv(_) => None,
    }
}

/// `certificates`: at least one.
fn certificates(reader: &mut Reader<'_>) -> Vec<Identity> {
    let scope = reader.scope();
    let help = "at least one, for example `certificates = [{ cert = { file = \"site.pem\" }, key = { file = \"site.key\" } }]`";
    reader.require("certificates", help);
    let at = reader.at().clone();
    let Some(list) = reader.list("certificates") else {
        return Vec::new();
    };
    if list.is_empty() {
        scope.error_with_help(&at, "`certificates` is empty", help);
    }
    if list.len() > MAX_CERTIFICATES {
        scope.error(
            &at,
            format!("a listener has at most {MAX_CERTIFICATES} certificates"),
        );
    }
    let mut identities = Vec::new();
    for (index, node) in list.iter().enumerate().take(MAX_CERTIFICATES) {
        let mut one = Reader::of(scope, node, node.span(), format!("certificates[{index}]"));
        let cert = one.required_text("cert", "the certificate in PEM: `cert = { file = \"site.pem\" }`");
        let key = one.required_text("key", "its private key in PEM: `key = { file = \"site.key\" }`");
        one.finish();
        let (Some(cert), Some(key)) = (cert, key) else {
            continue;
        };
        let Some(identity) = identity(scope, &cert, &key) else {
            continue;
        };
        if identity.names().is_empty() && index > 0 {
            let message = format!("{} is for no DNS name, so that it is never used", cert.shown());
            let help = "its names must stand in the extension subjectAltName; the common name does not count (RFC 9525)";
            scope.warning(cert.at(), message, help);
        }
        identities.push(identity);
    }
    identities
}

/// A certificate and its key, if they are right and belong together.
fn identity(scope: &Scope<'_>, cert: &Text, key: &Text) -> Option<Identity> {
    if !is_pem(scope, cert) {
        return None;
    }
    if !key.is_secret() {
        let help = "write `key = { file = \"..\" }` or `key = { env = \"..\" }`";
        scope.report(
            super::super::diagnostic::Severity::Error,
            key.at(),
            &[key.at().clone()],
            || {
                let message = "a private key does not belong into the configuration".to_owned();
                (message, Some(help.to_owned()))
            },
        );
        return None;
    }
    match Identity::from_pem(cert.as_str(), key.as_str()) {
        Ok(identity) => {
            let now = i64::try_from(clock::unix_ms() / 1000).unwrap_or(i64::MAX);
            if let Some(doubt) = identity.doubt(now) {
                let message = format!("{} is a certificate that {doubt}", cert.shown());
                scope.warning(cert.at(), message, "clients will not trust it");
            }
            Some(identity)
        }
        Err(error) => {
            let text = if error.is_keys() { key } else { cert };
            scope.error_with_help(
                text.at(),
                format!("{} cannot be used", text.shown()),
                error.to_string(),
            );
            None
        }
    }
}

/// Whether a text could be PEM; a path that stands for itself is a common mistake.
fn is_pem(scope: &Scope<'_>, text: &Text) -> bool {
    if *text.provenance() != Provenance::Literal || text.as_str().contains("-----BEGIN ") {
        return true;
    }
    let help = format!("to read a file, write {{ file = {:?} }}", text.as_str());
    scope.error_with_help(text.at(), format!("{} is no PEM text", text.shown()), help);
    false
}

/// Authorities; what is wrong is reported.
/// Reports authorities in PEM that cannot be used.
pub(super) fn check_trust(scope: &Scope<'_>, text: &Text) {
    // What is wrong has been reported.
    let _reported = trust(scope, text);
}

fn trust(scope: &Scope<'_>, text: &Text) -> Result<Trust, ()> {
    if !is_pem(scope, text) {
        return Err(());
    }
    Trust::from_pem(text.as_str()).map_err(|error| {
        scope.error_with_help(
            text.at(),
            format!("{} cannot be used", text.shown()),
            error.to_string(),
        );
    })
}

fn min_version(reader: &mut Reader<'_>) -> MinVersion {
    let versions = [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];
    reader.choice("min-version", &versions, MinVersion::Tls12)
}

/// `client-auth`.
fn client_auth(mut reader: Reader<'_>) -> ClientAuth {
    let scope = reader.scope();
    let help = "the authorities of the clients' certificates in PEM: `ca = { file = \"clients.pem\" }`";
    let ca = reader.required_text("ca", help);
    let modes = [("required", Mode::Required), ("optional", Mode::Optional)];
    let mode = reader.choice("mode", &modes, Mode::Required);
    let crl = reader.text("crl");
    reader.finish();
    let Some(mut trusted) = ca.and_then(|ca| trust(scope, &ca).ok()) else {
        return ClientAuth::Off;
    };
    if let Some(crl) = crl {
        match trusted.with_revoked(crl.as_str()) {
            Ok(stricter) => trusted = stricter,
            Err(error) => {
                scope.error_with_help(
                    crl.at(),
                    format!("{} cannot be used", crl.shown()),
                    error.to_string(),
                );
                return ClientAuth::Off;
            }
        }
    }
    match mode {
        Mode::Optional => ClientAuth::Optional(trusted),
        Mode::Required => ClientAuth::Required(trusted),
    }
}

#[cfg(test)]
mod tests;
