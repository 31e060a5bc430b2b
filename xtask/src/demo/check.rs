//! `cargo xtask demo --check`: does what the guide says, and replaces a plugin under load. Any answer that is
//! not the expected one fails it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::component;
use crate::demo::gateway::Gateway;
use crate::demo::http::{self, Connection};
use crate::demo::site::Site;
use crate::demo::trials::{ACCEPTED, HELLO, TRIALS};
use crate::say;
use crate::tree::Tree;

/// Connections of the load.
const CONNECTIONS: usize = 4;
/// Answers before, between and after the changes.
const MORE: u64 = 200;
/// The text that takes the place of [`HELLO`].
const GOOD_DAY: &str = "Good day from a sandboxed plugin";
/// What the status says of a plugin whose newest file is broken.
const LAST_GOOD: &str = "\"last-good\"";
/// How long a change may take to be in use, and how often to look.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// Runs the check and stops the gateway.
///
/// # Errors
/// The first thing that is not as it has to be.
pub(crate) fn run(tree: &Tree, site: &Site, gateway: Gateway) -> Result<()> {
    for trial in TRIALS {
        trial.run(&mut Connection::open(&trial.address(site))?)?;
    }
    say::line(&format!(
        "check: {} requests answered as the guide says",
        TRIALS.len()
    ));

    let load = Load::start(site);
    let changes = load
        .goes_on()
        .and_then(|()| replace_plugin(site))
        .and_then(|()| load.goes_on())
        .and_then(|()| survive_broken_plugin(site))
        .and_then(|()| load.goes_on())
        .and_then(|()| repair_plugin(tree, site))
        .and_then(|()| load.goes_on());
    let (requests, failures) = load.stop()?;
    if let Some(first) = failures.first() {
        bail!(
            "{} connections of the load failed; the first: {first}",
            failures.len()
        );
    }
    changes?;
    say::line(&format!(
        "check: {requests} requests during the changes, none failed"
    ));

    let status = gateway.stop()?;
    ensure!(status.success(), "the gateway ended with {status}");
    say::line("check: ok");
    Ok(())
}

/// Another component (by its hash) that does the same: the new generation shows in the status.
fn replace_plugin(site: &Site) -> Result<()> {
    let path = site.plugin("auth-key");
    let before = generation(site)?;
    let mut bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // A custom section (id 0, 6 bytes, a name of 5), which means nothing to anybody.
    bytes.extend_from_slice(b"\x00\x06\x05check");
    component::replace(&path, &bytes)?;
    wait(|| Ok(generation(site)? != before)).context("the replaced plugin was not taken")?;
    say::line("check: a plugin was replaced");
    Ok(())
}

/// A file that is no component changes nothing; what else changes goes in all the same.
fn survive_broken_plugin(site: &Site) -> Result<()> {
    component::replace(&site.plugin("auth-key"), b"not a component")?;
    let text = fs::read_to_string(site.configuration()).context("cannot read the configuration")?;
    ensure!(text.contains(HELLO), "no `{HELLO}` in the configuration");
    component::replace(&site.configuration(), text.replace(HELLO, GOOD_DAY).as_bytes())?;
    wait(|| Ok(http::get(&site.address(), "/hello")?.body.contains(GOOD_DAY)))
        .context("the change beside a broken plugin was not taken")?;
    ACCEPTED
        .run(&mut Connection::open(&site.address())?)
        .context("with a broken plugin")?;
    wait(|| Ok(status(site)?.contains(LAST_GOOD))).context("the status does not show the broken plugin")?;
    say::line("check: a broken plugin changed nothing");
    Ok(())
}

/// The plugin as it was built is in use again.
fn repair_plugin(tree: &Tree, site: &Site) -> Result<()> {
    let from = tree.target("plugins").join("auth-key.wasm");
    let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
    component::replace(&site.plugin("auth-key"), &bytes)?;
    wait(|| Ok(!status(site)?.contains(LAST_GOOD))).context("the repaired plugin was not taken")?;
    say::line("check: a repaired plugin was taken");
    Ok(())
}

fn status(site: &Site) -> Result<String> {
    Ok(http::get(&site.admin(), "/status")?.body)
}

/// The number after `"generation"` in the status.
fn generation(site: &Site) -> Result<u64> {
    let status = status(site)?;
    number_after(&status, "\"generation\"").with_context(|| format!("no generation in the status:\n{status}"))
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    let rest = text
        .split_once(key)?
        .1
        .trim_start()
        .strip_prefix(':')?
        .trim_start();
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn wait(mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if condition()? {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
    bail!("not within {} s", PATIENCE.as_secs())
}

/// Requests that must all be accepted, from several connections, until told to stop.
#[derive(Debug)]
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Option<String>>>,
}

impl Load {
    fn start(site: &Site) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let workers = (0..CONNECTIONS)
            .map(|_| {
                let (address, stop, done) = (site.address(), Arc::clone(&stop), Arc::clone(&done));
                thread::spawn(move || drive(&address, &stop, &done).err().map(|e| format!("{e:#}")))
            })
            .collect();
        Self { stop, done, workers }
    }

    /// Waits for [`MORE`] answers, or for a connection to fail: `stop` says why, then.
    fn goes_on(&self) -> Result<()> {
        let goal = self.done.load(Ordering::Relaxed) + MORE;
        let failed = || self.workers.iter().any(JoinHandle::is_finished);
        wait(|| Ok(failed() || self.done.load(Ordering::Relaxed) >= goal)).context("the load stands still")
    }

    /// How many requests were answered, and what went wrong.
    fn stop(self) -> Result<(u64, Vec<String>)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for worker in self.workers {
            match worker.join() {
                Ok(failure) => failures.extend(failure),
                Err(_) => bail!("a connection of the load panicked"),
            }
        }
        Ok((self.done.load(Ordering::Relaxed), failures))
    }
}

/// Ends at the first failure.
fn drive(address: &str, stop: &AtomicBool, done: &AtomicU64) -> Result<()> {
    let mut connection = Connection::open(address)?;
    while !stop.load(Ordering::Relaxed) {
        ACCEPTED.run(&mut connection)?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_found_in_any_layout() {
        assert_eq!(number_after("{\"generation\":7}", "\"generation\""), Some(7));
        assert_eq!(
            number_after("{\n  \"generation\" : 12,\n}", "\"generation\""),
            Some(12)
        );
        assert_eq!(number_after("{\"generation\":\"x\"}", "\"generation\""), None);
        assert_eq!(number_after("{}", "\"generation\""), None);
    }
}
