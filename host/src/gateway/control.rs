//! The control thread: builds generations, hands them to the workers, watches for changes, and ends the
//! gateway. It does nothing that a request waits for.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::aside::Aside;
use super::candidate::Candidate;
use super::files::Files;
use super::finders::Finders;
use super::generation::Generation;
use super::keepers::Keepers;
use super::sockets::{Opened, Sockets};
use super::ticks::{self, Ticks};
use super::worker::{self, Adoption, Command};
use super::{Options, StartError, Started, Stop};
use crate::admin;
use crate::config::{self, AccessLogSink, Config, LogFormat};
use crate::net::bind;
use crate::plugin::{Loader, Registry, Slot, Warmer};
use crate::status::{Board, InForce, ReloadOutcome};
use crate::store::Stores;
use crate::telemetry::access_log::{LineStyle, Target};
use crate::telemetry::events::{
    ConfigRejected, ConfigReloaded, ConfigUnchanged, Fallback, PluginLoaded, PluginRecovered, PluginRejected,
    ShutdownFinished, ShutdownStarted,
};
use crate::telemetry::{AccessFormat, AccessLog, PluginState, Telemetry};
use crate::tls::Sessions;

/// Commands that may wait for a worker.
const COMMANDS: usize = 16;
/// How long a worker may take to adopt a generation before that is logged.
const ADOPTION: Duration = Duration::from_secs(30);
/// How long a generation that was replaced is kept before anybody looks whether it is still in use.
const RETIRE: Duration = Duration::from_secs(1);
/// How long the last access lines may take.
const LAST_LINES: Duration = Duration::from_secs(2);

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
    // Upstreams are looked after by tasks that stay on this thread.
    LocalSet::new().block_on(&runtime, async {
        match Control::start(options, telemetry).await {
            Ok((control, started)) => {
                drop(ready.send(Ok(started)));
                control.run(stopped).await;
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
    // A plugin that is being loaded may take its time; nobody waits for it any more.
    runtime.shutdown_background();
}

struct Worker {
    commands: mpsc::Sender<Command>,
    thread: std::thread::JoinHandle<()>,
}

struct Control {
    aside: Aside,
    files: Option<Files>,
    telemetry: Arc<Telemetry>,
    stores: Arc<Stores>,
    sessions: Arc<Sessions>,
    board: Arc<Board>,
    registry: Option<Registry>,
    workers: Vec<Worker>,
    generation: Arc<Generation>,
    keepers: Keepers,
    finders: Finders,
    ticks: Ticks,
    /// Generations that workers may still use: the last to let go of one has to take it apart, and should not be a worker.
    retired: Vec<Arc<Generation>>,
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
        let mut files = Files::new(options.config.clone())?;
        let config = files.load(None)?;
        warn(&config);
        let count = options
            .workers
            .or(config.gateway.workers)
            .unwrap_or_else(super::cores)
            .max(1);
        let telemetry = telemetry.unwrap_or_else(|| Arc::new(Telemetry::new(count)));
        let stores = Arc::new(Stores::new());
        let board = Arc::new(Board::new(Arc::clone(&telemetry), count));
        let cache_dir = config.gateway.cache_dir.clone();
        let loader = Loader::new(cache_dir, count, Arc::clone(&stores), Arc::clone(&telemetry));
        let scope = std::path::absolute(&options.config).unwrap_or_else(|_| options.config.clone());
        let registry = Registry::new(loader, &scope);
        let warmer = Warmer::start().map_err(StartError::Thread)?;
        let access = access_log(&config, &telemetry)?;

        // Addresses first: a gateway that cannot listen should say so before it compiles for seconds.
        let mut sockets = Sockets::default();
        let opened = sockets.open(&[], &config.listeners, count)?;
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

        let sessions = Arc::new(Sessions::default());
        let aside = Aside::start().map_err(StartError::Thread)?;
        let (registry, candidate) = Candidate::build(registry, config, None, count, &sessions, &aside)
            .await
            .ok_or(StartError::Ended)?;
        candidate.generation.warn_of_routers();
        ticks::warn(&candidate.generation);
        let mut control = Self {
            aside,
            files: Some(files),
            generation: Arc::clone(&candidate.generation),
            keepers: Keepers::default(),
            finders: Finders::default(),
            ticks: Ticks::new(warmer, Arc::clone(&telemetry)),
            retired: Vec::new(),
            telemetry,
            stores,
            sessions,
            board,
            registry: Some(registry),
            workers,
            sockets,
            access,
            admin: None,
        };
        control.apply(candidate, opened, began).await;
        control.aside.stand_back().await;
        let mut admin = None;
        if let Some((address, sockets)) = admin_socket {
            admin = Some(address);
            control.admin = Some(tokio::spawn(admin::serve(sockets, Arc::clone(&control.board))));
        }
        let started = Started {
            listeners: control.sockets.addresses(),
            admin,
            board: Arc::clone(&control.board),
        };
        Ok((control, started))
    }

    async fn run(mut self, mut stopped: mpsc::Receiver<Stop>) {
        let done = loop {
            tokio::select! {
                stop = stopped.recv() => break stop,
                () = self.follow() => {}
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
            if done.send(()).is_err() {
                tracing::debug!("nobody waits for the end any more");
            }
        }
    }

    /// Waits for a change of the files and applies it.
    async fn follow(&mut self) {
        let Some(files) = &mut self.files else {
            // Loading died: there is nothing more to follow.
            return std::future::pending().await;
        };
        tokio::select! {
            () = files.changed() => {}
            () = tokio::time::sleep(RETIRE), if !self.retired.is_empty() => return self.take_apart().await,
        }
        self.reload().await;
    }

    /// Takes generations apart that no worker uses any more.
    async fn take_apart(&mut self) {
        let unused: Vec<_> = self
            .retired
            .extract_if(.., |generation| Arc::strong_count(generation) == 1)
            .collect();
        if !unused.is_empty() {
            self.aside.run(move || drop(unused)).await;
        }
    }

    /// Builds and applies what the files say now. Whatever is wrong leaves what runs as it is.
    async fn reload(&mut self) {
        let began = Instant::now();
        let before = Arc::clone(&self.generation);
        let Some(mut files) = self.files.take() else {
            return;
        };
        let loading = Arc::clone(&before);
        let loaded = self.aside.run(move || {
            let config = files.load(Some(&loading.config));
            (files, config)
        });
        let Some((files, config)) = loaded.await else {
            tracing::error!("reading the configuration ended unexpectedly; reloads are off until a restart");
            return;
        };
        self.files = Some(files);
        let config = match config {
            Ok(config) => config,
            Err(problems) => return self.rejected(problems.errors(), problems.to_string()),
        };
        if config.listeners.is_empty() && !before.config.listeners.is_empty() {
            let text = "there is no listener any more: taken for a file that was emptied or is half-written";
            return self.rejected(1, text.to_owned());
        }
        let opened = self
            .sockets
            .open(&before.config.listeners, &config.listeners, self.workers.len());
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.rejected(1, error.to_string()),
        };
        let Some(registry) = self.registry.take() else {
            return;
        };
        let running = Some(Arc::clone(&before));
        let workers = self.workers.len();
        let built = Candidate::build(registry, config, running, workers, &self.sessions, &self.aside).await;
        let Some((registry, candidate)) = built else {
            tracing::error!("loading ended unexpectedly; reloads are off until the gateway is restarted");
            return;
        };
        self.registry = Some(registry);
        if candidate.is_same(&before) {
            ConfigUnchanged {
                generation: before.number,
            }
            .emit(&self.telemetry);
            self.board.reloaded(ReloadOutcome::now("unchanged", None));
            return;
        }
        warn(&candidate.generation.config);
        candidate.generation.warn_of_routers();
        ticks::warn(&candidate.generation);
        let fixed = fixed(&before.config.gateway, &candidate.generation.config.gateway);
        if !fixed.is_empty() {
            tracing::warn!(
                keys = fixed.join(", "),
                "some changes in [gateway] apply at the next start"
            );
        }
        self.apply(candidate, opened, began).await;
    }

    fn rejected(&self, problems: usize, text: String) {
        let first = text.lines().take(2).collect::<Vec<_>>().join(" ");
        ConfigRejected {
            problems,
            first: &first,
        }
        .emit(&self.telemetry);
        self.board.reloaded(ReloadOutcome::now("rejected", Some(text)));
    }

    /// Hands a generation to every worker and waits until all serve it.
    async fn apply(&mut self, candidate: Candidate, opened: Vec<Opened>, began: Instant) {
        let Candidate {
            generation,
            instances,
            took,
        } = candidate;
        self.announce(&generation, took);
        let dns = &generation.config.gateway.dns;
        self.finders.follow(dns, &generation.upstreams).await;
        self.sockets
            .announce(&opened, &generation.config.listeners, &self.telemetry);
        let mut waiting = Vec::new();
        for ((worker, instances), sockets) in self.workers.iter().zip(instances).zip(opened) {
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
        self.keepers.follow(&generation.upstreams);
        if let Err(error) = self.ticks.follow(&generation) {
            tracing::error!(%error, "background work of plugins could not be started");
        }
        let config = &generation.config;
        // Sets: with 10,000 routes a search for each would take seconds.
        let routes: HashSet<&str> = config.routes.iter().map(|r| &*r.name).chain([""]).collect();
        let upstreams: HashSet<&str> = config.upstreams.iter().map(|u| &*u.name).collect();
        let listeners: HashSet<&str> = config.listeners.iter().map(|l| &*l.name).collect();
        let plugins: HashSet<&str> = config.plugins.iter().map(|p| &*p.name).collect();
        self.telemetry.retain_routes(|name| routes.contains(name));
        self.telemetry.retain_upstreams(|name| upstreams.contains(name));
        self.telemetry.retain_listeners(|name| listeners.contains(name));
        let stores = config.plugins.iter().filter_map(|p| p.grants.store.as_ref());
        let stores: HashSet<&str> = stores.map(|store| &*store.name).collect();
        self.telemetry.retain_remote_stores(|name| stores.contains(name));
        self.telemetry.retain_plugins(|name| plugins.contains(name));
        self.stores.retain(|name| plugins.contains(name));
        self.sessions.retain(|name| listeners.contains(name));
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
            upstreams: generation.upstreams.clone(),
            addresses: self.sockets.addresses(),
        });
        self.board.reloaded(ReloadOutcome::now("applied", None));
        self.retired
            .push(std::mem::replace(&mut self.generation, generation));
        self.take_apart().await;
    }

    fn announce(&self, generation: &Generation, took: Duration) {
        let before = &self.generation;
        let slots = before.slots.iter().zip(&before.config.plugins);
        let failing = slots.filter(|(slot, _)| slot.problem().is_some());
        let failing: HashSet<&str> = failing.map(|(_, entry)| &*entry.name).collect();
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
            } else if slot.problem().is_none() && failing.contains(&*entry.name) {
                PluginRecovered {
                    plugin: &entry.name,
                    state: PluginState::Active,
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

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Keys of `[gateway]` that only a start reads.
fn fixed(before: &config::Gateway, now: &config::Gateway) -> Vec<&'static str> {
    let changed = [
        ("admin", before.admin != now.admin),
        ("workers", before.workers != now.workers),
        ("cache-dir", before.cache_dir != now.cache_dir),
        ("log", before.log != now.log),
        ("access-log", before.access_log != now.access_log),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| key).collect()
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
