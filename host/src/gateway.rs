//! The composition root: from a configuration file to running workers, and from one generation to the
//! next without a request noticing. Everything below knows nothing of generations.

mod affinity;
mod aside;
mod candidate;
mod connect;
mod control;
mod ending;
mod explain;
mod files;
mod finders;
mod forward;
mod generation;
mod greet;
mod http2;
mod intake;
mod keepers;
mod reach;
mod record;
pub mod rehearsal;
mod routers;
mod routes;
mod serve;
mod service;
mod sockets;
mod tail;
mod ticks;
mod upgrade;
mod upstreams;
mod view;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

pub use self::explain::{Explained, Matched};
pub use self::generation::Generation;
use crate::config::Problems;
use crate::net::BindError;
use crate::plugin::WatchError;
use crate::status::Board;
use crate::telemetry::Telemetry;
use crate::telemetry::access_log::AccessLogError;

/// What is not in the configuration file.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Number of workers, over what the file says.
    pub workers: Option<usize>,
}

/// The gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// An address is in use.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Changes cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    /// A thread or runtime could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// A thread ended before it was ready.
    #[error("the gateway ended while it started; its log says why")]
    Ended,
}

/// The gateway.
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Starts the gateway on threads of its own and returns when it serves. Plugins that do not load do
    /// not keep it from starting: their routes answer 503 and `status` says why.
    ///
    /// # Errors
    /// When the configuration is wrong or an address cannot be listened on.
    pub fn start(options: Options) -> Result<Running, StartError> {
        Self::start_counting(options, None)
    }

    /// The same with a registry that counts since before the start.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_counting(
        options: Options,
        telemetry: Option<Arc<Telemetry>>,
    ) -> Result<Running, StartError> {
        let (stop, stopped) = mpsc::channel(1);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let log = current_log();
        let thread = std::thread::Builder::new()
            .name("portcullis-main".into())
            .spawn(move || logged(&log, || control::main(&options, telemetry, stopped, &ready)))
            .map_err(StartError::Thread)?;
        let started = started.recv().map_err(|_| StartError::Ended)??;
        Ok(Running {
            stop,
            thread: Some(thread),
            started,
        })
    }
}

/// What is known once the gateway serves.
#[derive(Debug)]
struct Started {
    listeners: Vec<(Arc<str>, SocketAddr)>,
    admin: Option<SocketAddr>,
    board: Arc<Board>,
}

/// A running gateway. Dropping it stops it without waiting for exchanges in flight.
#[derive(Debug)]
pub struct Running {
    stop: mpsc::Sender<Stop>,
    thread: Option<JoinHandle<()>>,
    started: Started,
}

/// How to stop.
#[derive(Debug)]
enum Stop {
    /// Let exchanges in flight end, then answer.
    Drain(oneshot::Sender<()>),
}

impl Running {
    /// Address of a listener, with the port that it was given.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.started
            .listeners
            .iter()
            .find(|(name, _)| &**name == listener)
            .map(|(_, address)| *address)
    }

    /// Every listener with its address.
    #[must_use]
    pub fn listeners(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.started.listeners
    }

    /// Address of the admin listener.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.started.admin
    }

    /// State of the gateway, as `/status` shows it.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.started.board
    }

    /// Stops accepting, lets exchanges in flight end within `shutdown-timeout`, and ends.
    pub async fn shutdown(mut self) {
        let (done, ended) = oneshot::channel();
        if self.stop.send(Stop::Drain(done)).await.is_ok() {
            // An error means that it has ended already.
            drop(ended.await);
        }
        if let Some(thread) = self.thread.take() {
            // The thread has nothing left to do but return.
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// The log of the calling thread, for the threads that it starts: two gateways in one process need not
/// share a log.
pub(crate) fn current_log() -> tracing::Dispatch {
    tracing::dispatcher::get_default(Clone::clone)
}

/// Runs `body` with that log.
pub(crate) fn logged<T>(log: &tracing::Dispatch, body: impl FnOnce() -> T) -> T {
    tracing::dispatcher::with_default(log, body)
}
