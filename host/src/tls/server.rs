//! TLS of a listener: certificates, versions, client certificates, resumption. It refuses to know the listener.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};

use super::choice::Choice;
use super::{Identity, Trust, provider};

/// What a client is shown that asks for a name of which there is no certificate, or for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownName {
    /// The first certificate.
    First,
    /// The handshake is refused.
    Refuse,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246) and 1.3.
    Tls12,
    /// Only TLS 1.3 (RFC 8446).
    Tls13,
}

impl MinVersion {
    pub(super) fn versions(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static ALL: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];
        static NEW: &[&rustls::SupportedProtocolVersion] = &[&TLS13];
        match self {
            Self::Tls12 => ALL,
            Self::Tls13 => NEW,
        }
    }
}

/// Whether clients need a certificate. One that is presented is always verified.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// They are not asked for one.
    Off,
    /// They may have one of these authorities.
    Optional(Trust),
    /// They must have one of these authorities.
    Required(Trust),
}

/// Whether a client that comes back may continue its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resumption {
    /// By tickets, and by session ids in TLS 1.2.
    On,
    /// Every handshake is a full one.
    Off,
}

/// What a listener is told.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Certificates; the first is the default.
    pub identities: Vec<Identity>,
    /// For other names than theirs.
    pub unknown: UnknownName,
    /// Oldest version.
    pub min_version: MinVersion,
    /// Client certificates.
    pub client_auth: ClientAuth,
    /// Resumption.
    pub resumption: Resumption,
    /// Protocols above TLS in the order of preference (RFC 7301).
    pub protocols: Vec<Vec<u8>>,
}

/// Why a listener's TLS cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The revocation lists.
    #[error("a revocation list cannot be read")]
    RevocationList,
    /// The authorities.
    #[error("there is no authority of client certificates")]
    NoAuthority,
    /// The provider lacks a version.
    #[error("no version of TLS is left")]
    NoVersion,
}

/// TLS of a listener, checked, without the sessions of its clients.
pub struct Server {
    pub(super) config: ServerConfig,
    pub(super) resumption: Resumption,
    admission: [u8; 32],
}

impl Server {
    /// TLS by these settings.
    ///
    /// # Errors
    /// What is wrong with the settings of client certificates.
    pub fn new(settings: &ServerSettings) -> Result<Self, ServerError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.min_version.versions())
            .map_err(|_| ServerError::NoVersion)?;
        let builder = match verifier(&settings.client_auth)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let choice = Choice::new(&settings.identities, settings.unknown);
        let mut config = builder.with_cert_resolver(Arc::new(choice));
        config.alpn_protocols.clone_from(&settings.protocols);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if settings.resumption == Resumption::Off {
            config.send_tls13_tickets = 0;
        }
        let mut digest = Sha256::new();
        match &settings.client_auth {
            ClientAuth::Off => digest.update([0]),
            ClientAuth::Optional(trust) => digest.update([&[1], trust.digest().as_slice()].concat()),
            ClientAuth::Required(trust) => digest.update([&[2], trust.digest().as_slice()].concat()),
        }
        Ok(Self {
            config,
            resumption: settings.resumption,
            admission: digest.finalize().into(),
        })
    }

    /// Equal where the same clients are let in: a session or a connection of one such server may go on with the other.
    #[must_use]
    pub fn admission(&self) -> &[u8; 32] {
        &self.admission
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("certificates", &self.config.cert_resolver)
            .field("resumption", &self.resumption)
            .finish_non_exhaustive()
    }
}

/// TLS of a listener, ready for handshakes.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    admission: [u8; 32],
}

impl Acceptor {
    pub(super) fn new(config: ServerConfig, server: &Server) -> Self {
        Self {
            config: Arc::new(config),
            admission: server.admission,
        }
    }

    /// The configuration of its handshakes.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// As [`Server::admission`].
    #[must_use]
    pub fn admission(&self) -> &[u8; 32] {
        &self.admission
    }
}

type Verifier = Arc<dyn rustls::server::danger::ClientCertVerifier>;

fn verifier(auth: &ClientAuth) -> Result<Option<Verifier>, ServerError> {
    let (ClientAuth::Optional(trust) | ClientAuth::Required(trust)) = auth else {
        return Ok(None);
    };
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&trust.roots), provider());
    if !trust.revoked.is_empty() {
        // A list may speak of some authorities only: certificates of the others are not refused for want of one.
        builder = builder
            .with_crls(trust.revoked.iter().cloned())
            .allow_unknown_revocation_status()
            .only_check_end_entity_revocation();
    }
    if matches!(auth, ClientAuth::Optional(_)) {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|error| match error {
        rustls::client::VerifierBuilderError::InvalidCrl(_) => ServerError::RevocationList,
        _ => ServerError::NoAuthority,
    })
}
