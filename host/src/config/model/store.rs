//! `[store.NAME]`: a Redis or Valkey that gateways share.
//!
//! It refuses to connect to one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Endpoint;

/// `[store.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The name in the configuration.
    pub name: Arc<str>,
    /// `url` or `cluster`: where it is.
    pub servers: StoreServers,
    /// `ca`: the authorities that a server's certificate may be from, PEM; absent = those of the system.
    pub ca: Option<Secret>,
    /// `user`.
    pub user: Option<Secret>,
    /// `password`.
    pub password: Option<Secret>,
    /// `key-prefix`: what every key begins with, default `portcullis:`.
    pub key_prefix: String,
    /// `timeout`: the longest time for one command, default 20 ms.
    pub timeout: Duration,
    /// `connect-timeout`: the longest time for a connection, handshakes included, default 1 s.
    pub connect_timeout: Duration,
    /// `max-pending`: commands of one worker that have no answer yet, default 1024.
    pub max_pending: usize,
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreServers {
    /// One server.
    One(StoreAddress),
    /// Some of the nodes of a cluster, which tell of the others. All are reached in the same way.
    Cluster(Vec<StoreAddress>),
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAddress {
    /// How it is reached.
    pub place: StorePlace,
    /// The number of the database; 0 in a cluster.
    pub database: u16,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// `redis://`: TCP, in clear.
    Clear(Endpoint),
    /// `rediss://`: TCP with TLS.
    Tls(Endpoint),
    /// `unix://`: a socket in the file system.
    Socket(PathBuf),
}

/// A text that nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[masked]")
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(endpoint) => write!(f, "redis://{endpoint}"),
            Self::Tls(endpoint) => write!(f, "rediss://{endpoint}"),
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
