//! TLS to an upstream: whom to believe, by which name, and our own certificate. It refuses to know endpoints.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};

use super::server::MinVersion;
use super::{Identity, Trust, provider};

/// Sessions with the servers of one upstream that are kept to be continued.
const SESSIONS: usize = 256;

/// How a server proves who it is.
#[derive(Debug, Clone)]
pub enum Verification {
    /// By a certificate for its name of one of these authorities.
    By(Trust),
    /// Not at all: anybody in between can read and change everything.
    None,
}

/// What an upstream's TLS is told.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Who is believed.
    pub verification: Verification,
    /// The name that is asked for and that the certificate must have; none = the endpoint's own.
    pub name: Option<String>,
    /// Our own certificate.
    pub identity: Option<Identity>,
    /// Oldest version.
    pub min_version: MinVersion,
    /// What is spoken above TLS (RFC 7301 section 6).
    pub protocol: &'static [u8],
}

/// A server cannot have this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no DNS name and no IP address that a certificate could have")]
pub struct NameError;

/// Why an upstream's TLS cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The authorities or versions.
    #[error("{0}")]
    Settings(String),
}

/// TLS to one upstream, with the sessions that can be continued. Two are equal when they were told the same.
pub struct Client {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    digest: [u8; 32],
}

impl Client {
    /// TLS by these settings.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        let named = settings.name.as_deref().map(name).transpose()?;
        let unusable = |error: &dyn fmt::Display| ClientError::Settings(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.min_version.versions())
            .map_err(|error| unusable(&error))?;
        let verifier: Arc<dyn ServerCertVerifier> = match &settings.verification {
            Verification::By(trust) => {
                WebPkiServerVerifier::builder_with_provider(Arc::clone(&trust.roots), provider())
                    .build()
                    .map_err(|error| unusable(&error))?
            }
            Verification::None => Arc::new(Anybody),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &settings.identity {
            Some(identity) => {
                let resolver = SingleCertAndKey::from(Arc::clone(&identity.key));
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![settings.protocol.to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self {
            config: Arc::new(config),
            name: named,
            digest: digest(settings),
        })
    }

    /// The configuration of its handshakes.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name by which an endpoint with this host is asked and verified.
    ///
    /// # Errors
    /// When the settings have none and a certificate cannot be for the host.
    pub fn name_of(&self, host: &str) -> Result<ServerName<'static>, NameError> {
        match &self.name {
            Some(name) => Ok(name.clone()),
            None => name(host),
        }
    }
}

impl Client {
    /// The same TLS where every endpoint stands for `host`, unless the settings have a name for all of them. A host that no
    /// certificate can be for changes nothing.
    #[must_use]
    pub fn for_host(&self, host: &str) -> Self {
        Self {
            config: Arc::clone(&self.config),
            name: self.name_of(host).ok(),
            digest: self.digest,
        }
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Client {}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn name(text: &str) -> Result<ServerName<'static>, NameError> {
    ServerName::try_from(text.to_owned()).map_err(|_| NameError)
}

fn digest(settings: &ClientSettings) -> [u8; 32] {
    let mut digest = Sha256::new();
    match &settings.verification {
        Verification::By(trust) => digest.update([&[1], trust.digest().as_slice()].concat()),
        Verification::None => digest.update([0]),
    }
    match &settings.identity {
        Some(identity) => digest.update([&[1], identity.digest().as_slice()].concat()),
        None => digest.update([0]),
    }
    digest.update([u8::from(settings.min_version == MinVersion::Tls13)]);
    digest.update([settings.protocol, &[0]].concat());
    digest.update([u8::from(settings.name.is_some())]);
    digest.update(settings.name.as_deref().unwrap_or_default());
    digest.finalize().into()
}

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::{identity, pem_for};
    use super::super::{HTTP_1_1, HTTP_2};
    use super::*;

    #[test]
    fn two_are_equal_when_they_were_told_the_same() {
        let (authority, _) = pem_for(&["ca.example"], [2020, 2060]);
        let trust = Trust::from_pem(&authority).unwrap();
        let settings = ClientSettings {
            verification: Verification::By(trust),
            name: None,
            identity: None,
            min_version: MinVersion::Tls12,
            protocol: HTTP_1_1,
        };
        let client = |settings: &ClientSettings| Client::new(settings).unwrap();
        assert_eq!(client(&settings), client(&settings));
        for other in [
            ClientSettings {
                verification: Verification::None,
                ..settings.clone()
            },
            ClientSettings {
                name: Some("a.example".to_owned()),
                ..settings.clone()
            },
            ClientSettings {
                identity: Some(identity(&["us.example"])),
                ..settings.clone()
            },
            ClientSettings {
                min_version: MinVersion::Tls13,
                ..settings.clone()
            },
            ClientSettings {
                protocol: HTTP_2,
                ..settings.clone()
            },
        ] {
            assert_ne!(client(&settings), client(&other));
        }
        assert!(client(&settings).name_of("10.0.0.1").is_ok());
        assert!(client(&settings).name_of("my_service").is_ok());
        assert!(client(&settings).name_of("a b").is_err());
    }
}
