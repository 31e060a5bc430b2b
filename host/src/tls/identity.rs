//! A certificate with its chain and its private key, proved to belong together. It refuses to know who is shown it.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use sha2::{Digest, Sha256};

use super::pem::{self, PemError};
use super::{der, provider};

/// Why a certificate cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The text of the certificate.
    #[error(transparent)]
    Certificate(PemError),
    /// It is no X.509 certificate.
    #[error("its first certificate is no X.509 certificate of version 3")]
    Malformed,
    /// The text of the key.
    #[error(transparent)]
    Key(PemError),
    /// The key is of a kind that cannot sign handshakes.
    #[error(
        "the private key is damaged or of a kind that is not supported (RSA of 2048 bits or more, ECDSA P-256 or P-384, Ed25519 are)"
    )]
    UnsupportedKey,
    /// Key and certificate do not belong together.
    #[error(
        "the private key does not belong to the certificate; the server's own certificate comes first, then those that signed it"
    )]
    Mismatch,
}

impl IdentityError {
    /// Whether the text of the key is to blame, not that of the certificate.
    #[must_use]
    pub const fn is_keys(&self) -> bool {
        matches!(self, Self::Key(_) | Self::UnsupportedKey)
    }
}

/// A certificate, its chain and its key.
#[derive(Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    names: Vec<Box<str>>,
    validity: Option<der::Validity>,
    digest: [u8; 32],
}

impl Identity {
    /// Reads PEM text: the certificate first, then those that signed it; and its private key.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let chain = pem::certificates(certificate).map_err(IdentityError::Certificate)?;
        let private = pem::private_key(key).map_err(IdentityError::Key)?;
        let first = chain.first().ok_or(IdentityError::Malformed)?;
        let leaf = webpki::EndEntityCert::try_from(first).map_err(|_| IdentityError::Malformed)?;
        let names = leaf
            .valid_dns_names()
            .map(|name| name.to_ascii_lowercase().into())
            .collect();
        let validity = der::validity(first);
        let mut digest = Sha256::new();
        for certificate in &chain {
            digest.update(certificate.len().to_le_bytes());
            digest.update(certificate);
        }
        digest.update(private.secret_der());
        let key = CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::Mismatch,
            Error::InvalidCertificate(_) => IdentityError::Malformed,
            _ => IdentityError::UnsupportedKey,
        })?;
        Ok(Self {
            key: Arc::new(key),
            names,
            validity,
            digest: digest.finalize().into(),
        })
    }

    /// The DNS names that it is for, in lower case; wildcards as `*.example.com`.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// When it ends, in seconds since 1970; none when that cannot be read.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        self.validity.map(|validity| validity.to)
    }

    /// What is doubtful about it at this time, in seconds since 1970: it has expired, or is not valid yet.
    #[must_use]
    pub fn doubt(&self, now: i64) -> Option<&'static str> {
        let validity = self.validity?;
        if now > validity.to {
            Some("has expired")
        } else if now < validity.from {
            Some("is not valid yet")
        } else {
            None
        }
    }

    /// Equal for equal certificates and keys.
    #[must_use]
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// Certificate and key in PEM for these names.
    pub(in crate::tls) fn pem_for(names: &[&str], years: [i32; 2]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(years[0], 1, 1);
        params.not_after = date_time_ymd(years[1], 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// An identity for these names.
    pub(in crate::tls) fn identity(names: &[&str]) -> Identity {
        let (certificate, key) = pem_for(names, [2020, 2060]);
        Identity::from_pem(&certificate, &key).unwrap()
    }

    #[test]
    fn names_and_validity_are_read() {
        let (certificate, key) = pem_for(&["A.example", "*.b.example", "10.0.0.1"], [2020, 2025]);
        let identity = Identity::from_pem(&certificate, &key).unwrap();
        assert_eq!(identity.names(), ["a.example", "*.b.example"].map(Box::from));
        assert_eq!(identity.expires(), Some(1_735_689_600));
        assert_eq!(identity.doubt(1_735_689_600), None);
        assert_eq!(identity.doubt(1_735_689_601), Some("has expired"));
        assert_eq!(identity.doubt(0), Some("is not valid yet"));
        assert!(!format!("{identity:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let (certificate, key) = pem_for(&["a.example"], [2020, 2060]);
        let (other, other_key) = pem_for(&["a.example"], [2020, 2060]);
        let error = |certificate: &str, key: &str| Identity::from_pem(certificate, key).unwrap_err();
        assert_eq!(error(&certificate, &other_key), IdentityError::Mismatch);
        assert_eq!(
            error(&format!("{other}{certificate}"), &key),
            IdentityError::Mismatch
        );
        assert_eq!(
            error(&key, &key),
            IdentityError::Certificate(PemError::Missing("CERTIFICATE"))
        );
        assert_eq!(
            error(&certificate, &certificate),
            IdentityError::Key(PemError::Missing("PRIVATE KEY"))
        );
        assert_eq!(
            error(&certificate.replace("-----END CERTIFICATE-----", ""), &key),
            IdentityError::Certificate(PemError::Damaged)
        );
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(nonsense, &key), IdentityError::Malformed);
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(error(&certificate, nonsense), IdentityError::UnsupportedKey);
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(
            error(&certificate, locked),
            IdentityError::Key(PemError::Encrypted)
        );
    }
}
