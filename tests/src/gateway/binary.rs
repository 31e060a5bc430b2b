//! The real binary as a child process: for what only a process has (exit codes, signals, output, a second start in
//! the same folder), and for tests of the command line.

use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::{task, time};

use crate::artifact;
use crate::client;
use crate::gateway::Errors;
use crate::gateway::builder::GatewayBuilder;
use crate::gateway::site::Site;
use crate::patience::eventually;
use crate::port;
use crate::request::Request;

/// The longest time of a command: one that compiles an interpreter of 18 MB takes half a minute beside other tests.
const COMMAND: Duration = Duration::from_secs(180);

/// Most bytes of output that are kept.
const MAX_OUTPUT: usize = 4 << 20;
/// A gateway in a process of its own; killed when dropped. What it can be asked is in [`Site`].
///
/// It fails the test if it panicked or logged an ERROR, unless [`GatewayBuilder::allow_errors`] was said.
#[derive(Debug)]
pub struct BinaryGateway {
    site: Site,
    child: Child,
    output: Arc<Mutex<String>>,
    errors: Errors,
}

impl BinaryGateway {
    /// Starts the binary on what `builder` says, and waits until it is ready.
    pub(crate) async fn start(mut builder: GatewayBuilder) -> Self {
        let (public, admin) = (port::later(), port::later());
        builder.listen_on(public, admin);
        let folder = builder.write();
        let mut command = Command::new(artifact::binary());
        command
            .args(["run", "--config"])
            .arg(folder.configuration())
            .current_dir(folder.path());
        command.env_remove("PORTCULLIS_WORKERS");
        if let Some(workers) = builder.workers {
            command.env("PORTCULLIS_WORKERS", workers.to_string());
        }
        command.envs(builder.variables.iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("a binary that starts");
        let output = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take(), &output);
        keep(child.stderr.take(), &output);
        let mut gateway = Self {
            site: Site::new(folder, public, Some(admin)),
            child,
            output,
            errors: builder.errors,
        };
        gateway.ready().await;
        gateway
    }

    async fn ready(&mut self) {
        eventually("a gateway that is ready", async || {
            if let Some(status) = self.exit_status() {
                panic!("the gateway did not start ({status}):\n{}", self.output());
            }
            let ready = client::send(self.site.admin(), &Request::get("/ready")).await;
            ready.is_ok_and(|answer| answer.status == 200).then_some(())
        })
        .await;
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far, stdout and stderr together.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child to look after")
    }

    /// Sends it a signal by its name: `TERM`, `HUP`, `INT`.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: the standard library sends nothing but SIGKILL.
        let line = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &line]).status().expect("a shell");
        assert!(status.success(), "{line}: {status}");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the end of the gateway's process", async || self.exit_status()).await
    }

    /// Asks it to stop, waits for that, and fails the test if it did not end with success.
    ///
    /// # Panics
    /// See there.
    pub async fn shutdown(mut self) {
        self.signal("TERM");
        let status = self.ended().await;
        assert!(
            status.success(),
            "the gateway ended with {status}:\n{}",
            self.output()
        );
    }
}

impl Deref for BinaryGateway {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for BinaryGateway {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        let output = self.output();
        let wrong = output
            .lines()
            .any(|line| line.contains(" panicked at ") || is_error(line));
        let fails = self.errors == Errors::Fail && !thread::panicking();
        assert!(!fails || !wrong, "the gateway went wrong:\n{output}");
    }
}

/// Runs the binary to its end with these arguments: `portcullis(&["check", "--config", "x.toml"], folder)`.
///
/// # Panics
/// When it was not built, or does not end.
pub async fn portcullis(arguments: &[&str], folder: &Path) -> Output {
    portcullis_with(arguments, folder, &[]).await
}

/// The same with further environment variables.
///
/// # Panics
/// As [`portcullis`].
pub async fn portcullis_with(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(artifact::binary());
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null());
    let ended = task::spawn_blocking(move || command.output().expect("a binary that starts"));
    time::timeout(COMMAND, ended)
        .await
        .expect("a command that ends")
        .expect("no panic")
}

/// A log line of level ERROR, as text or as JSON.
fn is_error(line: &str) -> bool {
    line.contains("\"level\":\"ERROR\"") || line.split_whitespace().take(2).any(|word| word == "ERROR")
}

/// Reads a pipe to its end on a thread of its own: a child whose pipe is full would stop.
fn keep(pipe: Option<impl Read + Send + 'static>, output: &Arc<Mutex<String>>) {
    let (mut pipe, output) = (pipe.expect("a pipe was asked for"), Arc::clone(output));
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            if output.len() < MAX_OUTPUT {
                output.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_lines_that_speak_of_them() {
        assert!(is_error("2026-01-01T00:00:00Z ERROR portcullis: no"));
        assert!(is_error("{\"level\":\"ERROR\",\"message\":\"no\"}"));
        assert!(!is_error(
            "2026-01-01T00:00:00Z  INFO portcullis: ERROR is not here"
        ));
    }
}
