//! Stores that gateways share: a Redis or Valkey, stand-alone or a cluster, spoken to by the crate `redis`.
//!
//! It knows settings, commands and time; not which plugin asks, nor what a failure means for a request. Each thread has
//! one connection to a store for all of its commands (`link`), so that nothing is shared between workers. A store that
//! cannot be reached costs nothing: without a connection every command fails at once, and a task of the thread goes on
//! trying to connect.

mod connect;
mod counters;
mod in_flight;
mod link;
mod map;
mod script;
#[cfg(test)]
pub(crate) mod testing;

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::redis::link::Link;
use crate::telemetry::{StoreFailure, StoreStats};

pub use counters::{MAX_AT_ONCE, MAX_CELLS, Want};
pub use map::{MAX_KEYS, MAX_LISTED_VALUE};

/// What a store is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name in the configuration.
    pub name: Arc<str>,
    /// Where it is.
    pub servers: Servers,
    /// Authorities in PEM; none = those of the system.
    pub ca: Option<String>,
    /// Who the gateway is there.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// What every key begins with.
    pub key_prefix: String,
    /// Longest time for one command.
    pub timeout: Duration,
    /// Longest time for a connection.
    pub connect_timeout: Duration,
    /// Commands of one thread without an answer.
    pub max_pending: usize,
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// One server, and the number of its database.
    One(Place, u16),
    /// Some nodes of a cluster.
    Cluster(Vec<Place>),
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// TCP to this host and port, in clear.
    Clear(String, u16),
    /// TCP with TLS.
    Tls(String, u16),
    /// A Unix socket.
    Socket(PathBuf),
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// There is no connection at the moment.
    #[error("the store is not connected")]
    Disconnected,
    /// The connection broke before the answer: nobody knows whether the command was carried out.
    #[error("the connection to the store broke")]
    Broken,
    /// No answer in time: nobody knows whether the command was carried out.
    #[error("the store did not answer in time")]
    Timeout,
    /// Too many commands of this thread are under way.
    #[error("too many commands wait for the store")]
    Busy,
    /// The store's own error.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// The caller asked for something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A key, a value or a list is larger than what is possible.
    #[error("{0}")]
    Limit(String),
}

impl RemoteError {
    /// As which failure it is counted; none for those of the caller.
    const fn failure(&self) -> Option<StoreFailure> {
        match self {
            Self::Disconnected => Some(StoreFailure::Disconnected),
            Self::Broken => Some(StoreFailure::Broken),
            Self::Timeout => Some(StoreFailure::Timeout),
            Self::Busy => Some(StoreFailure::Busy),
            Self::Refused(_) => Some(StoreFailure::Refused),
            Self::Invalid(_) | Self::Limit(_) => None,
        }
    }
}

/// A store. Threads that use it hold a connection each, until it is dropped.
#[derive(Debug)]
pub struct Remote {
    number: u64,
    settings: Arc<Settings>,
    stats: Arc<StoreStats>,
    /// Dropped with the store: the tasks of its connections wait for it.
    open: watch::Sender<()>,
}

thread_local! {
    /// The connections of this thread, by the store's number.
    static LINKS: RefCell<Vec<(u64, Arc<Link>)>> = const { RefCell::new(Vec::new()) };
}

impl Remote {
    /// A store that nobody has used yet. Nothing is connected.
    #[must_use]
    pub fn new(settings: Settings, stats: Arc<StoreStats>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            settings: Arc::new(settings),
            stats,
            open: watch::Sender::new(()),
        }
    }

    /// The part of it that belongs to one plugin entry.
    #[must_use]
    pub fn of(self: &Arc<Self>, entry: &str) -> EntryRemote {
        let prefix = &self.settings.key_prefix;
        EntryRemote {
            remote: Arc::clone(self),
            counters: format!("{prefix}{{{entry}}}:"),
            values: format!("{prefix}{entry}:v:"),
        }
    }

    /// Begins to connect this thread, if it is not connected. Called inside a runtime.
    pub fn connect(&self) {
        drop(self.link());
    }

    /// This thread's connection. The first call of a thread makes it.
    fn link(&self) -> Option<Arc<Link>> {
        LINKS.with_borrow_mut(|links| {
            if let Some((_, link)) = links.iter().find(|(number, _)| *number == self.number) {
                return Some(Arc::clone(link));
            }
            let runtime = tokio::runtime::Handle::try_current().ok()?;
            links.retain(|(_, link)| !link.has_ended());
            let link = Link::start(
                &runtime,
                Arc::clone(&self.settings),
                Arc::clone(&self.stats),
                self.open.subscribe(),
            );
            links.push((self.number, Arc::clone(&link)));
            Some(link)
        })
    }
}

/// What one plugin entry has of a store: keys of its own.
///
/// Counters of an entry are in one slot of a cluster (their keys share the hash tag `{ENTRY}`), so that several quotas can
/// be taken all or nothing; values are spread over the nodes.
#[derive(Debug, Clone)]
pub struct EntryRemote {
    remote: Arc<Remote>,
    counters: String,
    values: String,
}

impl EntryRemote {
    /// Begins to connect this thread; see [`Remote::connect`].
    pub fn connect(&self) {
        self.remote.connect();
    }

    /// When a command has to be answered that the caller has so much time for.
    fn until(&self, left: Duration) -> Instant {
        Instant::now() + self.remote.settings.timeout.min(left)
    }

    /// One command and its answer.
    async fn call(&self, command: redis::Cmd, until: Instant) -> Result<redis::Value, RemoteError> {
        let began = Instant::now();
        let answer = match self.remote.link() {
            Some(link) => link.call(command, until).await,
            None => Err(RemoteError::Disconnected),
        };
        match answer.as_ref().map_err(RemoteError::failure) {
            Ok(_) => self.remote.stats.answered(began.elapsed()),
            Err(Some(failure)) => self.remote.stats.failed(failure),
            Err(None) => {}
        }
        answer
    }
}

/// The stores that are in use, so that a reload with the same settings keeps their connections.
#[derive(Debug, Default)]
pub struct Remotes {
    known: Mutex<Vec<Weak<Remote>>>,
}

impl Remotes {
    /// The store with these settings, made when nobody has it yet.
    pub fn get_or_create(&self, settings: Settings, stats: impl FnOnce() -> Arc<StoreStats>) -> Arc<Remote> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|remote| remote.strong_count() > 0);
        let same = known.iter().filter_map(Weak::upgrade);
        if let Some(remote) = same.into_iter().find(|remote| *remote.settings == settings) {
            return remote;
        }
        let remote = Arc::new(Remote::new(settings, stats()));
        known.push(Arc::downgrade(&remote));
        remote
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}
