//! A real store for tests: a `redis-server` of their own, on a Unix socket in a folder that goes with it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{EntryRemote, Place, Remote, Servers, Settings};
use crate::telemetry::StoreStats;

/// Time that the tests' commands have: they are not about time.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A running server, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
}

impl Server {
    /// Starts one and waits until it accepts connections.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Self::run(&folder);
        Self { process, folder }
    }

    /// Kills it and starts an empty one in its place.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.process = Self::run(&self.folder);
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it stand still (SIGSTOP), or go on (SIGCONT).
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, signal).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            name: "store".into(),
            servers: Servers::One(Place::Socket(Self::socket(&self.folder)), 0),
            ca: None,
            user: None,
            password: None,
            key_prefix: "test:".to_owned(),
            timeout: LONG,
            connect_timeout: LONG,
            max_pending: 64,
        }
    }

    pub(crate) fn entry(&self, name: &str) -> EntryRemote {
        entry(self.settings(), name)
    }

    fn run(folder: &TempDir) -> Child {
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(Self::socket(folder))
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is in the PATH: apt-get install redis-server");
        let log = process.stdout.take().unwrap();
        let mut lines = BufReader::new(log).lines();
        assert!(lines.any(|line| line.unwrap().contains("eady to accept connections")));
        // It says more when it ends; nobody reads it.
        std::thread::spawn(move || lines.for_each(drop));
        process
    }

    fn socket(folder: &TempDir) -> PathBuf {
        folder.path().join("redis.sock")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What an entry has of a store with these settings.
pub(crate) fn entry(settings: Settings, name: &str) -> EntryRemote {
    Arc::new(Remote::new(settings, Arc::new(StoreStats::default()))).of(name)
}
