//! What the handshake of a client brought: version, name, protocol, and who the client is. It refuses to judge it.

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use sha2::{Digest, Sha256};

use super::der;
use crate::base64;

/// What is known of a connection by TLS.
#[derive(Debug)]
pub struct Secured {
    version: &'static str,
    cipher: String,
    name: Option<Box<str>>,
    protocol: Option<Box<[u8]>>,
    client: Option<CertificateDer<'static>>,
    resumed: bool,
}

impl Secured {
    /// What is known once the handshake is complete.
    #[must_use]
    pub fn of(connection: &ServerConnection) -> Self {
        let cipher = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str());
        let chain = connection.peer_certificates();
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            // The names of IANA.
            cipher: cipher.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
            name: connection.server_name().map(Into::into),
            protocol: connection.alpn_protocol().map(Into::into),
            client: chain
                .and_then(|chain| chain.first())
                .map(|leaf| leaf.clone().into_owned()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// The protocol that was agreed on (RFC 7301), if the client has asked for any.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.protocol.as_deref()
    }

    /// The name that the client asked for, lower case (RFC 6066 section 3).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The handshake continued an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The client's certificate has ended at this time, in seconds since 1970: a session may outlive it.
    #[must_use]
    pub fn is_outdated(&self, now: i64) -> bool {
        let validity = self.client.as_ref().and_then(|leaf| der::validity(leaf));
        validity.is_some_and(|validity| validity.to < now)
    }

    /// A property of the contract by its key without `tls.`.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<String> {
        match key {
            "version" => return Some(self.version.to_owned()),
            "cipher" => return Some(self.cipher.clone()),
            "sni" => return self.name.as_deref().map(str::to_owned),
            "alpn" => {
                let protocol = self.protocol.as_deref()?;
                return Some(String::from_utf8_lossy(protocol).into_owned());
            }
            "resumed" => return Some(self.resumed.to_string()),
            _ => {}
        }
        let leaf = self.client.as_ref()?;
        let parsed = || webpki::EndEntityCert::try_from(leaf).ok();
        match key.strip_prefix("client-cert")? {
            "" => Some(base64::encode(leaf)),
            ".sha256" => Some(hex(&Sha256::digest(leaf))),
            ".subject" => der::subject(leaf),
            ".dns-names" => {
                let leaf = parsed()?;
                Some(leaf.valid_dns_names().collect::<Vec<_>>().join(","))
            }
            ".uris" => {
                let leaf = parsed()?;
                Some(leaf.valid_uri_names().collect::<Vec<_>>().join(","))
            }
            _ => None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
