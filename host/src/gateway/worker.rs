//! A worker: one thread with a runtime, a listening socket, pools and counters of its own. Nothing on its
//! request path is shared with another core.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::generation::Generation;
use super::greet::{Greeting, greet};
use super::reach::Reach;
use super::serve::Client;
use super::service::Service;
use super::view::{Instances, Parts, View};
use crate::abi::Outcome;
use crate::message::forwarded::Peer;
use crate::net::{Accepted, Conn, Listening, Socket, Watched};
use crate::pipeline::Run;
use crate::plugin::Warmer;
use crate::telemetry::{AccessBuffer, ListenerStats, Telemetry};
use crate::tls::Acceptor;

/// Time between two looks at every connection.
const SWEEP: Duration = Duration::from_secs(1);
/// Wait after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Exchanges whose `on-finish` hooks may be under way.
const MAX_FINISHING: usize = 10_000;

/// What the control thread asks of a worker.
pub(super) enum Command {
    /// Serve this generation from now on.
    Adopt(Box<Adoption>),
    /// Take no more connections, and end when the last exchange has ended or the time is over.
    Drain(Duration, oneshot::Sender<usize>),
}

/// What a worker needs for a new generation.
pub(super) struct Adoption {
    /// The generation.
    pub generation: Arc<Generation>,
    /// Instances of units that are new.
    pub instances: Instances,
    /// Sockets of listeners that are new, by name.
    pub sockets: Vec<(Arc<str>, Socket)>,
    /// Told when requests are served by it.
    pub done: oneshot::Sender<()>,
}

/// What a worker is started with.
pub(super) struct Start {
    /// Its number, from 0.
    pub index: usize,
    /// Number of all workers.
    pub count: usize,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
    /// Makes instances.
    pub warmer: Warmer,
    /// Access lines, if they are wanted.
    pub access: Option<AccessBuffer>,
    /// What it is told to do.
    pub commands: mpsc::Receiver<Command>,
}

/// Runs a worker to its end on the calling thread.
///
/// # Errors
/// When no runtime can be made.
pub(super) fn run(start: Start) -> std::io::Result<()> {
    // One whose every task stays on this thread: a set of local tasks on another runtime would schedule each twice.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(work(start));
    Ok(())
}

async fn work(start: Start) {
    let Start {
        index,
        count,
        telemetry,
        warmer,
        access,
        mut commands,
    } = start;
    let mut worker: Option<Rc<Worker>> = None;
    let mut access = Some(access);
    let reach = Rc::new(Reach::default());
    while let Some(command) = commands.recv().await {
        match command {
            Command::Adopt(adoption) => {
                let Adoption {
                    generation,
                    instances,
                    sockets,
                    done,
                } = *adoption;
                let before = worker.as_ref().map(|worker| worker.view());
                let view = View::new(
                    generation,
                    Parts {
                        worker: index,
                        telemetry: &telemetry,
                        warmer: &warmer,
                        outside: &reach,
                        before: before.as_deref(),
                        instances,
                    },
                );
                reach.adopt(&view);
                let worker = worker.get_or_insert_with(|| {
                    let worker = Worker::new(
                        index,
                        count,
                        Rc::clone(&view),
                        access.take().flatten(),
                        &telemetry,
                        Rc::clone(&reach),
                    );
                    tokio::task::spawn_local(Rc::clone(&worker).sweeps());
                    worker
                });
                worker.adopt(view, sockets);
                // The control thread may have given up waiting.
                if done.send(()).is_err() {
                    tracing::debug!("nobody waits for the new view any more");
                }
            }
            Command::Drain(patience, done) => {
                let cut = match &worker {
                    Some(worker) => worker.drain(patience).await,
                    None => 0,
                };
                if done.send(cut).is_err() {
                    tracing::debug!("nobody waits for the end any more");
                }
                return;
            }
        }
    }
}

/// State of one worker.
pub(super) struct Worker {
    index: usize,
    count: usize,
    view: RefCell<Rc<View>>,
    pub(super) telemetry: Arc<Telemetry>,
    accepting: RefCell<HashMap<Arc<str>, AbortHandle>>,
    connections: RefCell<HashMap<u64, Connection>>,
    next_connection: Cell<u64>,
    in_flight: Cell<usize>,
    finishing: Cell<usize>,
    pub(super) access: RefCell<Option<AccessBuffer>>,
    reach: Rc<Reach>,
}

struct Connection {
    conn: Rc<Conn>,
    listener: Arc<str>,
    /// Who was let in when it was accepted ([`Acceptor::admission`](crate::tls::Acceptor::admission)); none in clear.
    admission: Option<[u8; 32]>,
    task: AbortHandle,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Worker {
    fn new(
        index: usize,
        count: usize,
        view: Rc<View>,
        access: Option<AccessBuffer>,
        telemetry: &Arc<Telemetry>,
        reach: Rc<Reach>,
    ) -> Rc<Self> {
        Rc::new(Self {
            index,
            count,
            view: RefCell::new(view),
            telemetry: Arc::clone(telemetry),
            accepting: RefCell::default(),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            in_flight: Cell::new(0),
            finishing: Cell::new(0),
            access: RefCell::new(access),
            reach,
        })
    }

    /// The view that new exchanges begin with.
    #[must_use]
    pub(super) fn view(&self) -> Rc<View> {
        Rc::clone(&self.view.borrow())
    }

    /// An exchange begins.
    pub(super) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// An exchange has ended.
    pub(super) fn end(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    /// Counts an error answer.
    pub(super) fn count_error(&self, code: &str, origin: &str) {
        self.telemetry.error(code, origin);
    }

    /// Runs the `on-finish` hooks of an exchange, off its path.
    pub(super) fn finish(self: &Rc<Self>, run: Run, outcome: Outcome) {
        self.afterwards(run.finish(outcome));
    }

    /// Does what is left of an exchange, off its path.
    pub(super) fn afterwards(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
        if self.finishing.get() >= MAX_FINISHING {
            tracing::warn!(
                worker = self.index,
                "work after the end of exchanges is behind; that of an exchange is left out"
            );
            return;
        }
        let finishing = Finishing::begin(Rc::clone(self));
        tokio::task::spawn_local(async move {
            work.await;
            drop(finishing);
        });
    }

    /// Goes over to a new view. Exchanges in flight end with the one that they began with.
    fn adopt(self: &Rc<Self>, view: Rc<View>, sockets: Vec<(Arc<str>, Socket)>) {
        let generation = Arc::clone(&view.generation);
        let config = Arc::clone(&generation.config);
        *self.view.borrow_mut() = view;
        let kept = |name: &str| config.listeners.iter().any(|l| &*l.name == name);
        self.accepting.borrow_mut().retain(|name, task| {
            let keep = kept(name);
            if !keep {
                task.abort();
            }
            keep
        });
        // A connection that was let in by other rules than a new one would be takes no further exchange.
        let admitted = |c: &Connection| {
            let at = config.listeners.iter().position(|l| l.name == c.listener);
            at.is_some_and(|at| generation.acceptor(at).map(Acceptor::admission) == c.admission.as_ref())
        };
        for connection in self.connections.borrow().values().filter(|c| !admitted(c)) {
            connection.conn.drain();
        }
        for (name, socket) in sockets {
            match socket.listen() {
                Ok(socket) => {
                    let task = tokio::task::spawn_local(Rc::clone(self).accepts(Arc::clone(&name), socket));
                    if let Some(old) = self.accepting.borrow_mut().insert(name, task.abort_handle()) {
                        old.abort();
                    }
                }
                Err(error) => tracing::error!(listener = &*name, %error, "a listening socket cannot be used"),
            }
        }
    }

    async fn accepts(self: Rc<Self>, name: Arc<str>, socket: Listening) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => self.serve(&name, stream.into(), peer),
                Err(error) => {
                    // Per-connection errors (ECONNABORTED) pass by; a lack of descriptors needs time.
                    tracing::debug!(listener = &*name, %error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(self: &Rc<Self>, name: &Arc<str>, stream: Accepted, peer: SocketAddr) {
        let view = self.view();
        let Some(listener) = view.generation.config.listeners.iter().find(|l| l.name == *name) else {
            return;
        };
        // Each worker has its share of the listener's limit.
        let limit = listener.limits.connections.div_ceil(self.count);
        if self.connections_of(name, limit) >= limit {
            self.telemetry.listener(self.index, name).refused();
            return;
        }
        let conn = Conn::new();
        let Some(at) = view.listener(name) else { return };
        let Some(trusted) = view.listeners.get(at).map(|l| &l.door.trusted) else {
            return;
        };
        let from = Peer::new(peer.ip(), trusted);
        let acceptor = view.generation.acceptor(at).cloned();
        let admission = acceptor.as_ref().map(|acceptor| *acceptor.admission());
        let service = Service::of(listener);
        let id = self.next_connection.get();
        self.next_connection.set(id + 1);
        let (worker, driven, listener) = (Rc::clone(self), Rc::clone(&conn), Arc::clone(name));
        let stats = self.telemetry.listener(self.index, name);
        let task = tokio::task::spawn_local(async move {
            let mut gone = Gone {
                worker,
                id,
                stats: None,
            };
            let (stream, secured) = match acceptor {
                None => (stream.in_clear(), None),
                Some(acceptor) => match Box::pin(greet(stream, &acceptor, &driven, &stats)).await {
                    Greeting::Secured(stream, secured) => (stream, Some(secured)),
                    Greeting::Gone => return,
                    Greeting::Refused(unparsed) => {
                        gone.worker.note_unparsed(unparsed, peer.ip(), driven.since());
                        return;
                    }
                },
            };
            stats.opened();
            gone.stats = Some(Arc::clone(&stats));
            let client = Rc::new(Client {
                worker: Rc::clone(&gone.worker),
                peer: from,
                listener,
                secured,
                tunnel: RefCell::default(),
            });
            let stream = Watched::new(stream, Rc::clone(&driven));
            service.serve(client, stream, &stats).await;
            if let Some(unparsed) = driven.unparsed() {
                gone.worker.note_unparsed(unparsed, peer.ip(), driven.since());
            }
        });
        let tracked = Connection {
            conn,
            listener: Arc::clone(name),
            admission,
            task: task.abort_handle(),
        };
        self.connections.borrow_mut().insert(id, tracked);
    }

    /// Connections of one listener, counted only if all together are `enough`.
    fn connections_of(&self, name: &Arc<str>, enough: usize) -> usize {
        let connections = self.connections.borrow();
        if connections.len() < enough {
            return connections.len();
        }
        connections.values().filter(|c| c.listener == *name).count()
    }

    async fn sweeps(self: Rc<Self>) {
        let mut interval = tokio::time::interval(SWEEP);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now = Instant::now();
            let view = self.view();
            let overdue: Vec<AbortHandle> = self
                .connections
                .borrow()
                .values()
                .filter(|c| {
                    let listener = view.listener(&c.listener).and_then(|i| view.listeners.get(i));
                    c.conn.sweep(now, &listener.unwrap_or(&view.closed).times)
                })
                .map(|c| c.task.clone())
                .collect();
            overdue.iter().for_each(AbortHandle::abort);
            for upstream in &view.upstreams {
                upstream.cluster.sweep();
            }
            self.reach.sweep();
            if let Some(lines) = self.access.borrow_mut().as_mut() {
                lines.flush();
            }
        }
    }

    /// Gives the number of exchanges that had to be cut.
    async fn drain(&self, patience: Duration) -> usize {
        self.accepting
            .borrow_mut()
            .drain()
            .for_each(|(_, task)| task.abort());
        for connection in self.connections.borrow().values() {
            connection.conn.drain();
        }
        let deadline = Instant::now() + patience;
        while !self.connections.borrow().is_empty() || self.finishing.get() > 0 {
            if Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if let Some(lines) = self.access.borrow_mut().as_mut() {
            lines.flush();
        }
        self.in_flight.get()
    }
}

/// Counts work under way after the last byte, also when it ends badly: the shutdown waits for it.
struct Finishing(Rc<Worker>);

impl Finishing {
    fn begin(worker: Rc<Worker>) -> Self {
        worker.finishing.set(worker.finishing.get() + 1);
        Self(worker)
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        self.0.finishing.set(self.0.finishing.get() - 1);
    }
}

/// Forgets a connection whose task ends, also when it is aborted.
struct Gone {
    worker: Rc<Worker>,
    id: u64,
    /// None before the handshake.
    stats: Option<Arc<ListenerStats>>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(stats) = &self.stats {
            stats.closed();
        }
        self.worker.connections.borrow_mut().remove(&self.id);
    }
}
