//! TLS around the rest of the harness: certificates made on the spot, a [`Dialer`] that carries connections of the
//! strict client to a gateway by TLS, and a [`Front`] that puts TLS before an upstream. They remember every
//! handshake, and know no HTTP.

mod authority;
mod dialer;
mod front;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::{ProtocolVersion, SupportedProtocolVersion};

pub use crate::tls::authority::{Authority, Leaf, uri};
pub use crate::tls::dialer::{Dialer, Dialled};
pub use crate::tls::front::{Accepted, Front};

/// Versions of TLS that a side speaks.
pub type Versions = &'static [&'static SupportedProtocolVersion];

/// TLS 1.2 and 1.3.
pub static BOTH: Versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
/// Only TLS 1.2.
pub static TLS12: Versions = &[&rustls::version::TLS12];
/// Only TLS 1.3.
pub static TLS13: Versions = &[&rustls::version::TLS13];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "?",
    }
}
