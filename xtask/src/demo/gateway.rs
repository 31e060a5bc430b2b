//! The demo's gateway: `target/debug/portcullis run`, a child process that is ended by its own id. Knows the
//! binary's command line and its `/ready`.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::demo::http;
use crate::demo::site::Site;
use crate::say;
use crate::tree::Tree;

/// How long the first start may take: it compiles every plugin.
const START: Duration = Duration::from_secs(60);
/// How long it may take to stop: its own default is 30 s for what is still running.
const STOP: Duration = Duration::from_secs(35);
/// Between two looks at the child.
const LOOK: Duration = Duration::from_millis(50);

/// A running gateway; killed when dropped before [`Gateway::stop`].
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
}

impl Gateway {
    /// # Errors
    /// When the binary cannot be started.
    pub(crate) fn start(tree: &Tree, site: &Site) -> Result<Self> {
        let binary = tree.target("debug").join("portcullis");
        let child = Command::new(&binary)
            .arg("run")
            .arg("--config")
            .arg(site.configuration())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Self { child })
    }

    /// Returns when `/ready` on the admin listener says 200.
    ///
    /// # Errors
    /// When it ends instead, takes longer than [`START`], or `stop` is set.
    pub(crate) fn wait_until_ready(&mut self, site: &Site, stop: &AtomicBool) -> Result<()> {
        for _ in 0..START.as_millis() / LOOK.as_millis() {
            if let Some(status) = self.ended()? {
                bail!("the gateway did not start ({status}); its own message is above");
            }
            if stop.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if http::get(&site.admin(), "/ready").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        bail!("the gateway was not ready within {} s", START.as_secs())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Those of `wait`.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot look after the gateway")
    }

    /// Asks it to stop (SIGTERM), which lets running exchanges end; kills it after [`STOP`].
    ///
    /// # Errors
    /// When it had to be killed.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        terminate(self.child.id())?;
        for _ in 0..STOP.as_millis() / LOOK.as_millis() {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        bail!(
            "the gateway did not stop within {} s and was killed",
            STOP.as_secs()
        )
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The shell's own `kill`: the standard library sends nothing but SIGKILL. The id is a child's that was not
/// waited for yet, so it cannot be another process's.
fn terminate(id: u32) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", "kill -TERM \"$1\"", "sh", &id.to_string()])
        .status();
    if !status.context("cannot run sh")?.success() {
        say::step("the gateway had ended already");
    }
    Ok(())
}
