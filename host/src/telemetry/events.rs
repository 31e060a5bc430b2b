//! What an operator is told: one struct per happening, whose `emit` writes the log line and counts the metric.
//!
//! It knows what happened, by name; not why the host decided so. Levels: INFO, an action succeeded; WARN, something
//! failed and the gateway helped itself; ERROR, a person must act. Values that come from outside are logged as quoted
//! fields, never inside the sentence.

mod upstream;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::clock;
use crate::telemetry::plugin_stats::{FaultKind, Hook, PluginState};
use crate::telemetry::registry::Telemetry;

pub use upstream::{BreakerChanged, EndpointEjected, EndpointLost, EndpointRecovered, EndpointReturned};

/// A plugin entry has a new version in force.
#[derive(Debug, Clone, Copy)]
pub struct PluginLoaded<'a> {
    /// The entry.
    pub plugin: &'a str,
    /// Version that the component says it has.
    pub version: &'a str,
    /// SHA-256 of the component, hexadecimal.
    pub hash: &'a str,
    /// Compiling to warming.
    pub took: Duration,
}

impl PluginLoaded<'_> {
    /// INFO; the entry's state is `active`.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.set_plugin_state(self.plugin, PluginState::Active);
        let Self {
            plugin,
            version,
            hash,
            took,
        } = self;
        info!(plugin, version, hash, took_ms = ms(took), "a plugin was loaded");
    }
}

/// What answers in place of a version that was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The last good version.
    LastGood,
    /// Nothing: routes that use the entry answer 503.
    Unavailable,
}

/// A component or its configuration was not accepted.
#[derive(Debug, Clone, Copy)]
pub struct PluginRejected<'a> {
    /// The entry.
    pub plugin: &'a str,
    /// What is wrong, with the place in the file.
    pub reason: &'a str,
    /// What answers now.
    pub fallback: Fallback,
}

impl PluginRejected<'_> {
    /// WARN with a last good version, ERROR without; the entry's state says which.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self {
            plugin,
            reason,
            fallback,
        } = self;
        match fallback {
            Fallback::LastGood => {
                telemetry.set_plugin_state(plugin, PluginState::LastGood);
                warn!(
                    plugin,
                    reason, "a plugin was rejected, its last good version stays in force"
                );
            }
            Fallback::Unavailable => {
                telemetry.set_plugin_state(plugin, PluginState::Unavailable);
                error!(
                    plugin,
                    reason, "a plugin was rejected and has no last good version, its routes answer 503"
                );
            }
        }
    }
}

/// A configuration is in force, the first one included.
#[derive(Debug, Clone, Copy)]
pub struct ConfigReloaded {
    /// Its number.
    pub generation: u64,
    /// How many routes it has.
    pub routes: usize,
    /// How many plugin entries it has.
    pub plugins: usize,
    /// Reading to swapping.
    pub took: Duration,
}

impl ConfigReloaded {
    /// INFO; counts an applied reload and sets the generation.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.generation.store(self.generation, Ordering::Relaxed);
        telemetry.reloads.applied();
        let Self {
            generation,
            routes,
            plugins,
            took,
        } = self;
        info!(
            generation,
            routes,
            plugins,
            took_ms = ms(took),
            "the configuration is in force"
        );
    }
}

/// Files were touched, and say what runs already.
#[derive(Debug, Clone, Copy)]
pub struct ConfigUnchanged {
    /// Number of the configuration in force.
    pub generation: u64,
}

impl ConfigUnchanged {
    /// DEBUG; the latest reload counts as a success, as no applied one.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.reloads.unchanged();
        debug!(
            generation = self.generation,
            "files were touched and nothing has changed"
        );
    }
}

/// A configuration was not accepted: nothing has changed.
#[derive(Debug, Clone, Copy)]
pub struct ConfigRejected<'a> {
    /// How many problems it has.
    pub problems: usize,
    /// The first of them, with file, line and column.
    pub first: &'a str,
}

impl ConfigRejected<'_> {
    /// ERROR, for the files are not what runs; counts a rejected reload.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.reloads.rejected();
        let Self { problems, first } = self;
        error!(
            problems,
            first, "the configuration was rejected, the one in force stays"
        );
    }
}

/// One call of a plugin failed.
#[derive(Debug, Clone, Copy)]
pub struct PluginFault<'a> {
    /// The entry.
    pub plugin: &'a str,
    /// The call.
    pub hook: Hook,
    /// How it failed.
    pub kind: FaultKind,
    /// The trap with its place in the source, or what was wrong with the answer.
    pub detail: &'a str,
}

impl PluginFault<'_> {
    /// WARN; counts the fault. At most ten such lines a second are written, the next one says how many were not.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self {
            plugin,
            hook,
            kind,
            detail,
        } = self;
        telemetry.plugin_fault(plugin, hook, kind);
        if let Some(unlogged) = telemetry.fault_lines.pass(clock::monotonic_ns()) {
            warn!(
                plugin,
                hook = hook.name(),
                kind = kind.name(),
                detail,
                unlogged,
                "a plugin failed"
            );
        }
    }
}

/// A plugin failed so often that it is no longer called for a while.
#[derive(Debug, Clone, Copy)]
pub struct PluginOpened<'a> {
    /// The entry.
    pub plugin: &'a str,
    /// Faults in the window.
    pub faults: u64,
    /// Until it is tried again.
    pub pause: Duration,
}

impl PluginOpened<'_> {
    /// ERROR; the entry's state is `open`.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.set_plugin_state(self.plugin, PluginState::Open);
        let Self {
            plugin,
            faults,
            pause,
        } = self;
        error!(
            plugin,
            faults,
            pause_ms = ms(pause),
            "a plugin failed too often and is not called for a while"
        );
    }
}

/// A plugin that was not at its newest version, or open, works as it should again.
#[derive(Debug, Clone, Copy)]
pub struct PluginRecovered<'a> {
    /// The entry.
    pub plugin: &'a str,
    /// Which version it is that answers again.
    pub state: PluginState,
}

impl PluginRecovered<'_> {
    /// INFO; sets the entry's state.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.set_plugin_state(self.plugin, self.state);
        info!(
            plugin = self.plugin,
            state = self.state.name(),
            "a plugin works again"
        );
    }
}

/// A listener accepts connections.
#[derive(Debug, Clone, Copy)]
pub struct ListenerStarted<'a> {
    /// Its name.
    pub listener: &'a str,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks: `http`, `https` ...
    pub protocol: &'a str,
}

impl ListenerStarted<'_> {
    /// INFO; makes the listener's metrics appear.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self {
            listener,
            address,
            protocol,
        } = self;
        let _appears_with_zeros = telemetry.listener(0, listener);
        info!(listener, %address, protocol, "a listener accepts connections");
    }
}

/// The gateway was told to end.
#[derive(Debug, Clone, Copy)]
pub struct ShutdownStarted<'a> {
    /// The signal or request.
    pub reason: &'a str,
    /// How long exchanges may take to end.
    pub grace: Duration,
}

impl ShutdownStarted<'_> {
    /// INFO. There is no metric: the process is about to be gone.
    pub fn emit(self) {
        info!(
            reason = self.reason,
            grace_ms = ms(self.grace),
            "the gateway shuts down"
        );
    }
}

/// The gateway has ended.
#[derive(Debug, Clone, Copy)]
pub struct ShutdownFinished {
    /// Exchanges that did not end within the grace.
    pub cut: usize,
    /// From the start of the shutdown.
    pub took: Duration,
}

impl ShutdownFinished {
    /// INFO if all exchanges ended, else WARN. There is no metric: the process is about to be gone.
    pub fn emit(self) {
        let took_ms = ms(self.took);
        match self.cut {
            0 => info!(took_ms, "the gateway has shut down"),
            cut => warn!(
                took_ms,
                cut, "the gateway has shut down and cut exchanges that took too long"
            ),
        }
    }
}

/// Lines of the access log were dropped, since the last such event.
#[derive(Debug, Clone, Copy)]
pub struct AccessLogDropped {
    /// How many.
    pub lines: u64,
}

impl AccessLogDropped {
    /// WARN; counts the lines.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.access_log_dropped.add(self.lines);
        warn!(
            lines = self.lines,
            "access log lines were dropped, the disk is too slow or full"
        );
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(telemetry: &Telemetry, line: &str) -> bool {
        telemetry.render().lines().any(|each| each == line)
    }

    #[test]
    fn a_plugins_state_follows_its_events() {
        let telemetry = Telemetry::new(1);
        let state = || telemetry.plugin_states()[0].1;
        let took = Duration::from_millis(20);
        PluginLoaded {
            plugin: "jwt",
            version: "1.0.0",
            hash: "ab",
            took,
        }
        .emit(&telemetry);
        assert_eq!(state(), PluginState::Active);
        PluginRejected {
            plugin: "jwt",
            reason: "corrupt",
            fallback: Fallback::LastGood,
        }
        .emit(&telemetry);
        assert_eq!(state(), PluginState::LastGood);
        PluginOpened {
            plugin: "jwt",
            faults: 9,
            pause: took,
        }
        .emit(&telemetry);
        assert_eq!(state(), PluginState::Open);
        PluginRecovered {
            plugin: "jwt",
            state: PluginState::LastGood,
        }
        .emit(&telemetry);
        assert_eq!(state(), PluginState::LastGood);
        PluginRejected {
            plugin: "jwt",
            reason: "corrupt",
            fallback: Fallback::Unavailable,
        }
        .emit(&telemetry);
        assert_eq!(state(), PluginState::Unavailable);
    }

    #[test]
    fn reloads_are_counted_by_result() {
        let telemetry = Telemetry::new(1);
        let took = Duration::from_millis(3);
        assert!(!telemetry.render().contains("last_reload_success 1"));
        ConfigReloaded {
            generation: 7,
            routes: 2,
            plugins: 1,
            took,
        }
        .emit(&telemetry);
        assert!(has(&telemetry, "portcullis_generation 7"));
        assert!(has(&telemetry, "portcullis_last_reload_success 1"));
        ConfigRejected {
            problems: 2,
            first: "a.toml:3:1 unknown key",
        }
        .emit(&telemetry);
        assert!(has(&telemetry, "portcullis_generation 7"));
        assert!(has(&telemetry, "portcullis_last_reload_success 0"));
        ConfigUnchanged { generation: 7 }.emit(&telemetry);
        assert!(has(&telemetry, "portcullis_last_reload_success 1"));
        assert!(has(&telemetry, "portcullis_reloads_total{result=\"applied\"} 1"));
        assert!(has(&telemetry, "portcullis_reloads_total{result=\"rejected\"} 1"));
    }

    #[test]
    fn every_fault_is_counted_though_not_every_one_is_logged() {
        let telemetry = Telemetry::new(1);
        for _ in 0..100 {
            let fault = PluginFault {
                plugin: "p",
                hook: Hook::OnError,
                kind: FaultKind::Trap,
                detail: "x",
            };
            fault.emit(&telemetry);
        }
        let line = "portcullis_plugin_faults_total{plugin=\"p\",hook=\"on-error\",kind=\"trap\"} 100";
        assert!(has(&telemetry, line));
    }

    #[test]
    fn a_listener_appears_before_its_first_connection() {
        let telemetry = Telemetry::new(1);
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        ListenerStarted {
            listener: "public",
            address,
            protocol: "http",
        }
        .emit(&telemetry);
        assert!(has(
            &telemetry,
            "portcullis_listener_connections{listener=\"public\"} 0"
        ));
    }

    #[test]
    fn dropped_lines_are_counted() {
        let telemetry = Telemetry::new(1);
        AccessLogDropped { lines: 12 }.emit(&telemetry);
        assert!(has(&telemetry, "portcullis_access_log_dropped_total 12"));
    }
}
