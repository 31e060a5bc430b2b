//! Stores that gateways share: a `redis-server` of the test's own, on a Unix socket in a folder that goes with it, so that it needs
//! no port. Knows nothing of gateways.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A server, killed when it is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Child,
    folder: TempDir,
}

impl Redis {
    /// Starts one, empty, and waits until it accepts connections.
    ///
    /// # Panics
    /// When there is no `redis-server` in the PATH, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let process = run(&folder);
        Self { process, folder }
    }

    /// What stands behind `url =` in a configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}/redis.sock", self.folder.path().display())
    }

    /// Kills it. What it held is gone.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn stop(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    /// Starts one in the place of the one that was stopped, empty.
    pub fn start_again(&mut self) {
        self.process = run(&self.folder);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been stopped.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn run(folder: &TempDir) -> Child {
    let mut process = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(folder.path().join("redis.sock"))
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is in the PATH: apt-get install redis-server");
    let log = process.stdout.take().expect("it was piped");
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let ready = lines.any(|line| line.contains("eady to accept connections"));
    assert!(ready, "redis-server did not start");
    // It says more when it ends; nobody reads it.
    std::thread::spawn(move || lines.for_each(drop));
    process
}
