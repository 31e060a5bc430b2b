//! Authorities whose certificates are believed: the operator's own or the system's. It refuses to know whom they vouch
//! for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use sha2::{Digest, Sha256};

use super::pem::{self, PemError};

/// Why there is nobody to believe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// One of the certificates is no authority's.
    #[error("certificate {0} in it is no X.509 certificate of an authority")]
    Malformed(usize),
    /// The system has no store of authorities.
    #[error(
        "the system has no certificate authorities: install its package `ca-certificates`, or name an authority by `ca`"
    )]
    NoSystemStore,
}

/// Authorities, and what they have taken back.
#[derive(Clone)]
pub struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
    digest: [u8; 32],
}

impl Trust {
    /// The authorities in PEM text.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_pem(text: &str) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let mut digest = Sha256::new();
        for (certificate, number) in pem::certificates(text)?.into_iter().zip(1..) {
            digest.update(&certificate);
            roots
                .add(certificate)
                .map_err(|_| TrustError::Malformed(number))?;
        }
        Ok(Self {
            roots: Arc::new(roots),
            revoked: Vec::new(),
            digest: digest.finalize().into(),
        })
    }

    /// The system's authorities: those of the file or folder in the environment variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, or of the usual places. They are read once in a process.
    ///
    /// # Errors
    /// When there are none; the next call looks again.
    pub fn of_system() -> Result<Self, TrustError> {
        static KEPT: Mutex<Option<Trust>> = Mutex::new(None);
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept {
            return Ok(kept.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a part of the system's certificate authorities cannot be read");
        }
        let mut roots = RootCertStore::empty();
        // Old stores have a few certificates that no verifier takes.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(TrustError::NoSystemStore);
        }
        let trust = Self {
            roots: Arc::new(roots),
            revoked: Vec::new(),
            digest: [0; 32],
        };
        *kept = Some(trust.clone());
        Ok(trust)
    }

    /// The same without what the lists in PEM text take back.
    ///
    /// # Errors
    /// When there is no list in the text.
    pub fn with_revoked(mut self, text: &str) -> Result<Self, TrustError> {
        self.revoked = pem::revocation_lists(text)?;
        let mut digest = Sha256::new_with_prefix(self.digest);
        for list in &self.revoked {
            digest.update(list);
        }
        self.digest = digest.finalize().into();
        Ok(self)
    }

    /// Equal for equal authorities.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("authorities", &self.roots.len())
            .field("revocation lists", &self.revoked.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::pem_for;
    use super::*;

    #[test]
    fn what_is_no_authority_is_named_by_its_place() {
        let (certificate, key) = pem_for(&["a.example"], [2020, 2060]);
        assert_eq!(
            Trust::from_pem(&key).unwrap_err(),
            TrustError::Pem(PemError::Missing("CERTIFICATE"))
        );
        let text = format!("{certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert_eq!(Trust::from_pem(&text).unwrap_err(), TrustError::Malformed(2));
        let (once, twice) = (
            Trust::from_pem(&certificate).unwrap(),
            Trust::from_pem(&format!("{certificate}{certificate}")).unwrap(),
        );
        assert_ne!(once.digest(), twice.digest());
        assert_eq!(
            once.with_revoked(&certificate).unwrap_err(),
            TrustError::Pem(PemError::Missing("X509 CRL"))
        );
    }
}
