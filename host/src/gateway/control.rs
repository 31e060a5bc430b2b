//! The control thread: builds generations, hands them to the workers, watches for changes, and ends the
//! gateway. It does nothing that a request waits for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::generation::Generation;
use super::view::Instances;
use super::worker::{self, Adoption, Command};
use super::{Options, StartError, Started, Stop};
use crate::admin;
use crate::config::{self, AccessLogSink, Config, LogFormat, Problems};
use crate::engine::Engine;
use crate::net::{Socket, bind};
use crate::plugin::{Loader, Registry, Slot, Warmer, Watch};
use crate::status::{Board, InForce, ReloadOutcome};
use crate::store::Stores;
use crate::telemetry::access_log::{LineStyle, Target};
use crate::telemetry::events::{
    ConfigRejected, ConfigReloaded, Fallback, ListenerStarted, PluginLoaded, PluginRejected,
    ShutdownFinished, ShutdownStarted,
};
use crate::telemetry::{AccessFormat, AccessLog, Telemetry};

/// Commands that may wait for a worker.
const COMMANDS: usize = 16;
/// How long a worker may take to adopt a generation before that is logged.
const ADOPTION: Duration = Duration::from_secs(30);
/// How long the last access lines may take.
const LAST_LINES: Duration = Duration::from_secs(2);

type Sockets = HashMap<Arc<str>, SocketAddr>;

/// Runs the gateway to its end on the calling thread. `ready` is told once.
pub(super) fn main(
    options: &Options,
    telemetry: Option<Arc<Telemetry>>,
    stopped: mpsc::Receiver<Stop>,
    ready: &SyncSender<Result<Started, StartError>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            drop(ready.send(Err(StartError::Thread(error))));
            return;
        }
    };
    runtime.block_on(async {
        match Control::start(options, telemetry).await {
            Ok((control, started)) => {
                drop(ready.send(Ok(started)));
                control.run(stopped).await;
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
}

struct Worker {
    commands: mpsc::Sender<Command>,
    thread: std::thread::JoinHandle<()>,
}

struct Control {
    path: PathBuf,
    telemetry: Arc<Telemetry>,
    stores: Arc<Stores>,
    board: Arc<Board>,
    registry: Option<Registry>,
    watch: Watch,
    workers: Vec<Worker>,
    generation: Arc<Generation>,
    sockets: Sockets,
    access: Option<AccessLog>,
    admin: Option<tokio::task::JoinHandle<()>>,
}

impl Control {
    async fn start(
        options: &Options,
        telemetry: Option<Arc<Telemetry>>,
    ) -> Result<(Self, Started), StartError> {
        let began = Instant::now();
        let mut watch = Watch::new()?;
        let config = config::load(&options.config)?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        watch.set(&config.gateway.plugin_dir, &config.inputs);
        let count = options
            .workers
            .or(config.gateway.workers)
            .unwrap_or_else(super::cores)
            .max(1);
        let telemetry = telemetry.unwrap_or_else(|| Arc::new(Telemetry::new(count)));
        let stores = Arc::new(Stores::new());
        let board = Arc::new(Board::new(Arc::clone(&telemetry), count));
        let engine = Engine::new(config.gateway.cache_dir.clone())?;
        let loader = Loader::new(engine, Arc::clone(&stores), Arc::clone(&telemetry));
        let scope = std::path::absolute(&options.config).unwrap_or_else(|_| options.config.clone());
        let registry = Registry::new(loader, &scope);
        let warmer = Warmer::start().map_err(StartError::Thread)?;
        let access = access_log(&config, &telemetry)?;

        // Addresses first: a gateway that cannot listen should say so before it compiles for seconds.
        let mut sockets = Sockets::new();
        let mut opened: Vec<_> = (0..count).map(|_| Vec::new()).collect();
        for listener in &config.listeners {
            let (address, list) = bind(listener.address, count)?;
            sockets.insert(Arc::clone(&listener.name), address);
            for (worker, socket) in opened.iter_mut().zip(list) {
                worker.push((Arc::clone(&listener.name), socket));
            }
        }
        let admin_socket = match config.gateway.admin {
            Some(address) => {
                let (address, socket) = bind(address, 1)?;
                Some((address, socket))
            }
            None => None,
        };

        let workers = (0..count)
            .map(|index| {
                let (commands, queue) = mpsc::channel(COMMANDS);
                let start = worker::Start {
                    index,
                    count,
                    telemetry: Arc::clone(&telemetry),
                    warmer: warmer.clone(),
                    access: access.as_ref().map(AccessLog::buffer),
                    commands: queue,
                };
                let log = super::current_log();
                let thread = std::thread::Builder::new()
                    .name(format!("portcullis-{index}"))
                    .spawn(move || {
                        super::logged(&log, || {
                            if let Err(error) = worker::run(start) {
                                tracing::error!(worker = index, %error, "a worker could not be started");
                            }
                        });
                    })
                    .map_err(StartError::Thread)?;
                Ok(Worker { commands, thread })
            })
            .collect::<Result<Vec<_>, StartError>>()?;

        let (registry, built) = build(registry, config, 1, count).await.ok_or(StartError::Ended)?;
        let mut control = Self {
            path: options.config.clone(),
            generation: Arc::clone(&built.generation),
            telemetry,
            stores,
            board,
            registry: Some(registry),
            watch,
            workers,
            sockets,
            access,
            admin: None,
        };
        control.apply(built, opened, began).await;
        let mut listeners: Vec<_> = control
            .sockets
            .iter()
            .map(|(name, address)| (Arc::clone(name), *address))
            .collect();
        listeners.sort();
        for (listener, address) in &listeners {
            ListenerStarted {
                listener,
                address: *address,
                protocol: "http",
            }
            .emit(&control.telemetry);
        }
        let mut admin = None;
        if let Some((address, sockets)) = admin_socket {
            admin = Some(address);
            control.admin = Some(tokio::spawn(admin::serve(sockets, Arc::clone(&control.board))));
        }
        let started = Started {
            listeners,
            admin,
            board: Arc::clone(&control.board),
        };
        Ok((control, started))
    }

    async fn run(mut self, mut stopped: mpsc::Receiver<Stop>) {
        let done = loop {
            tokio::select! {
                stop = stopped.recv() => break stop,
                () = self.watch.changed() => self.reload().await,
            }
        };
        let grace = match done {
            Some(_) => self.generation.config.gateway.shutdown_timeout,
            // The handle was dropped: nobody waits.
            None => Duration::ZERO,
        };
        let began = Instant::now();
        ShutdownStarted {
            reason: "asked to",
            grace,
        }
        .emit();
        self.board.drain();
        let mut ends = Vec::new();
        for worker in &self.workers {
            let (done, end) = oneshot::channel();
            if worker.commands.send(Command::Drain(grace, done)).await.is_ok() {
                ends.push(end);
            }
        }
        let mut cut = 0;
        for end in ends {
            cut += end.await.unwrap_or(0);
        }
        for worker in self.workers.drain(..) {
            drop(worker.commands);
            // A worker that panicked has said so.
            drop(tokio::task::spawn_blocking(move || worker.thread.join()).await);
        }
        if let Some(access) = self.access.take() {
            let closed = tokio::task::spawn_blocking(move || access.close(LAST_LINES)).await;
            if !closed.unwrap_or(false) {
                tracing::warn!("the last access lines could not be written in time");
            }
        }
        if let Some(admin) = self.admin.take() {
            admin.abort();
        }
        ShutdownFinished {
            cut,
            took: began.elapsed(),
        }
        .emit();
        if let Some(Stop::Drain(done)) = done {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }

    /// Builds and applies what the files say now. Whatever is wrong leaves what runs as it is.
    async fn reload(&mut self) {
        let began = Instant::now();
        let config = match config::load(&self.path) {
            Ok(config) => config,
            Err(problems) => return self.rejected(&problems),
        };
        let sockets = match self.open(&config) {
            Ok(sockets) => sockets,
            Err(error) => {
                let text = error.to_string();
                ConfigRejected {
                    problems: 1,
                    first: &text,
                }
                .emit(&self.telemetry);
                self.board.reloaded(ReloadOutcome::now("rejected", Some(text)));
                return;
            }
        };
        self.watch.set(&config.gateway.plugin_dir, &config.inputs);
        let Some(registry) = self.registry.take() else {
            return;
        };
        let number = self.generation.number + 1;
        let Some((registry, built)) = build(registry, config, number, self.workers.len()).await else {
            tracing::error!("loading ended unexpectedly; reloads are off until the gateway is restarted");
            return;
        };
        self.registry = Some(registry);
        self.apply(built, sockets, began).await;
    }

    fn rejected(&self, problems: &Problems) {
        let text = problems.to_string();
        let first = text.lines().take(2).collect::<Vec<_>>().join(" ");
        ConfigRejected {
            problems: problems.errors(),
            first: &first,
        }
        .emit(&self.telemetry);
        self.board.reloaded(ReloadOutcome::now("rejected", Some(text)));
    }

    /// Opens the sockets of listeners that are new or have moved.
    fn open(&mut self, config: &Config) -> Result<Vec<Opened>, StartError> {
        let mut opened: Vec<_> = (0..self.workers.len()).map(|_| Vec::new()).collect();
        let mut fresh = Sockets::new();
        for listener in &config.listeners {
            let before = self
                .generation
                .config
                .listeners
                .iter()
                .find(|l| l.name == listener.name);
            if before.is_some_and(|before| before.address == listener.address) {
                continue;
            }
            let (address, list) = bind(listener.address, self.workers.len())?;
            fresh.insert(Arc::clone(&listener.name), address);
            for (worker, socket) in opened.iter_mut().zip(list) {
                worker.push((Arc::clone(&listener.name), socket));
            }
        }
        self.sockets
            .retain(|name, _| config.listeners.iter().any(|l| l.name == *name));
        for (listener, address) in &fresh {
            ListenerStarted {
                listener,
                address: *address,
                protocol: "http",
            }
            .emit(&self.telemetry);
        }
        self.sockets.extend(fresh);
        Ok(opened)
    }

    /// Hands a generation to every worker and waits until all serve it.
    async fn apply(&mut self, built: Built, sockets: Vec<Opened>, began: Instant) {
        let Built {
            generation,
            instances,
            took,
        } = built;
        self.announce(&generation, took);
        let mut waiting = Vec::new();
        for ((worker, instances), sockets) in self.workers.iter().zip(instances).zip(sockets) {
            let (done, adopted) = oneshot::channel();
            let adoption = Adoption {
                generation: Arc::clone(&generation),
                instances,
                sockets,
                done,
            };
            if worker
                .commands
                .send(Command::Adopt(Box::new(adoption)))
                .await
                .is_ok()
            {
                waiting.push(adopted);
            }
        }
        for adopted in waiting {
            if tokio::time::timeout(ADOPTION, adopted).await.is_err() {
                tracing::error!("a worker has not gone over to the new configuration yet");
            }
        }
        let config = &generation.config;
        self.telemetry
            .retain_routes(|name| name.is_empty() || config.routes.iter().any(|r| &*r.name == name));
        self.telemetry
            .retain_upstreams(|name| config.upstreams.iter().any(|u| &*u.name == name));
        self.telemetry
            .retain_listeners(|name| config.listeners.iter().any(|l| &*l.name == name));
        self.telemetry
            .retain_plugins(|name| config.plugins.iter().any(|p| &*p.name == name));
        self.stores
            .retain(|name| config.plugins.iter().any(|p| &*p.name == name));
        let mut addresses: Vec<_> = self
            .sockets
            .iter()
            .map(|(name, address)| (Arc::clone(name), *address))
            .collect();
        addresses.sort();
        ConfigReloaded {
            generation: generation.number,
            routes: config.routes.len(),
            plugins: config.plugins.len(),
            took: began.elapsed(),
        }
        .emit(&self.telemetry);
        self.board.serve(InForce {
            generation: generation.number,
            config: Arc::clone(&generation.config),
            slots: generation.slots.clone(),
            addresses,
        });
        self.board.reloaded(ReloadOutcome::now("applied", None));
        self.generation = generation;
    }

    fn announce(&self, generation: &Generation, took: Duration) {
        for (slot, entry) in generation.slots.iter().zip(&generation.config.plugins) {
            if let (
                Slot::Ready {
                    unit, fresh: true, ..
                },
                None,
            ) = (slot, slot.problem())
            {
                let hash = unit.hash.to_string();
                let version = &unit.manifest.version;
                PluginLoaded {
                    plugin: &entry.name,
                    version,
                    hash: &hash,
                    took,
                }
                .emit(&self.telemetry);
            }
            if let Some(reason) = slot.problem() {
                let fallback = match slot.unit() {
                    Some(_) => Fallback::LastGood,
                    None => Fallback::Unavailable,
                };
                PluginRejected {
                    plugin: &entry.name,
                    reason,
                    fallback,
                }
                .emit(&self.telemetry);
            }
        }
    }
}

/// Sockets that one worker is to serve.
type Opened = Vec<(Arc<str>, Socket)>;

struct Built {
    generation: Arc<Generation>,
    instances: Vec<Instances>,
    took: Duration,
}

/// Loads plugins, works out the routes and makes each worker's first instances, on a thread where it may
/// take its time. None if that thread died.
async fn build(
    mut registry: Registry,
    config: Config,
    number: u64,
    workers: usize,
) -> Option<(Registry, Built)> {
    let log = super::current_log();
    let built = tokio::task::spawn_blocking(move || {
        super::logged(&log, || {
            let began = Instant::now();
            let slots = registry.resolve(&config);
            let generation = Arc::new(Generation::new(number, config, slots));
            for (route, by) in generation.unreachable() {
                let name = |index: usize| generation.config.routes.get(index).map(|r| Arc::clone(&r.name));
                tracing::warn!(
                    route = name(route).as_deref(),
                    hidden_by = name(by).as_deref(),
                    "no request can reach a route"
                );
            }
            let fresh = generation.slots.iter().filter_map(|slot| match slot {
                Slot::Ready {
                    unit, fresh: true, ..
                } => Some(unit),
                _ => None,
            });
            let fresh: Vec<_> = fresh.collect();
            let instances = (0..workers)
            .map(|_| {
                let made = fresh.iter().filter_map(|unit| match unit.instantiate() {
                    Ok(instance) => Some((unit.id, Box::new(instance))),
                    Err(fault) => {
                        tracing::warn!(plugin = &*unit.entry.name, %fault, "an instance could not be made ahead of time");
                        None
                    }
                });
                made.collect()
            })
            .collect();
            let took = began.elapsed();
            (
                registry,
                Built {
                    generation,
                    instances,
                    took,
                },
            )
        })
    });
    match built.await {
        Ok(built) => Some(built),
        Err(error) => {
            tracing::error!(%error, "the loading thread failed");
            None
        }
    }
}

fn access_log(config: &Config, telemetry: &Arc<Telemetry>) -> Result<Option<AccessLog>, StartError> {
    let Some(wanted) = &config.gateway.access_log else {
        return Ok(None);
    };
    let target = match &wanted.sink {
        AccessLogSink::Stdout => Target::Stdout,
        AccessLogSink::File(path) => Target::File(path.clone()),
    };
    let style = match wanted.format {
        LogFormat::Json => LineStyle::Json,
        LogFormat::Text => LineStyle::Text,
    };
    let access = AccessLog::open(
        target,
        AccessFormat {
            style,
            ..AccessFormat::default()
        },
        Arc::clone(telemetry),
    )?;
    Ok(Some(access))
}
