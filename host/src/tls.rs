//! TLS by rustls: from PEM text to the configurations of listeners and upstreams, the choice of a certificate by the
//! name that a client asks for, sessions that outlive a reload, and what a handshake brought. It refuses to know
//! sockets, and where the text was written.

mod choice;
mod client;
mod der;
mod identity;
mod pem;
mod secured;
mod server;
mod sessions;
mod trust;

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

pub use client::{Client, ClientError, ClientSettings, NameError, Verification};
pub use identity::{Identity, IdentityError};
pub use pem::PemError;
pub use secured::Secured;
pub use server::{
    Acceptor, ClientAuth, MinVersion, Resumption, Server, ServerError, ServerSettings, UnknownName,
};
pub use sessions::Sessions;
pub use trust::{Trust, TrustError};

/// HTTP/1.1, as ALPN names it (RFC 7301 section 6).
pub const HTTP_1_1: &[u8] = b"http/1.1";
/// HTTP/2, as ALPN names it (RFC 9113 section 3.1).
pub const HTTP_2: &[u8] = b"h2";

/// The one provider of cryptography.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
