//! The sections of PEM text (RFC 7468). It refuses to know what the certificates say, and its errors quote nothing.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// Most certificates in one text: the system's own store has some hundreds.
const MAX_CERTIFICATES: usize = 2_000;

/// Why PEM text is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No section of the right kind.
    #[error("there is no section `{0}` in it")]
    Missing(&'static str),
    /// A section does not end, or holds no base64.
    #[error("it is damaged PEM text")]
    Damaged,
    /// The private key needs a passphrase.
    #[error("the private key is encrypted; give it without a passphrase")]
    Encrypted,
    /// More certificates than anybody needs.
    #[error("it has more than {MAX_CERTIFICATES} certificates")]
    TooMany,
}

/// All certificates, at least one.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let list = CertificateDer::pem_slice_iter(text.as_bytes())
        .take(MAX_CERTIFICATES + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| PemError::Damaged)?;
    match list.len() {
        0 => Err(PemError::Missing("CERTIFICATE")),
        count if count > MAX_CERTIFICATES => Err(PemError::TooMany),
        _ => Ok(list),
    }
}

/// All revocation lists, at least one.
pub(super) fn revocation_lists(text: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let list = CertificateRevocationListDer::pem_slice_iter(text.as_bytes())
        .take(MAX_CERTIFICATES)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| PemError::Damaged)?;
    if list.is_empty() {
        return Err(PemError::Missing("X509 CRL"));
    }
    Ok(list)
}

/// The first private key: PKCS #8, PKCS #1 or SEC 1.
pub(super) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    use rustls::pki_types::pem::Error;
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(_) if text.contains("Proc-Type: 4,ENCRYPTED") => Err(PemError::Encrypted),
        Ok(key) => Ok(key),
        Err(_) if text.contains("ENCRYPTED") => Err(PemError::Encrypted),
        Err(Error::NoItemsFound) => Err(PemError::Missing("PRIVATE KEY")),
        Err(_) => Err(PemError::Damaged),
    }
}
