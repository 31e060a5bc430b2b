//! `[listeners.NAME.tls]`: certificates and clients' certificates, read and proved to fit together.
//!
//! It refuses to know how they looked.

use std::sync::Arc;
use std::time::Duration;

use crate::tls::Server;

/// TLS of a listener.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// Everything but the sessions of clients.
    pub server: Arc<Server>,
    /// `handshake-timeout`: from the connection to the end of the handshake, default 10 s.
    pub handshake_timeout: Duration,
}
