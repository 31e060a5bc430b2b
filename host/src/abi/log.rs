//! Interface `log`: a plugin's lines in the gateway's log, tied to the exchange.

use super::imports::log::{Host, Level};
use super::{HostState, Trap};

/// Bytes of a message, and of all its fields together, that are kept.
const MAX: usize = 8 << 10;
/// The target of plugins' lines, for filters such as `plugin=debug`.
const TARGET: &str = "plugin";

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::TRACE,
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
    }
}

impl Host for HostState {
    fn enabled(&mut self, level: Level) -> Trap<bool> {
        Ok(match level {
            Level::Trace => tracing::enabled!(target: TARGET, tracing::Level::TRACE),
            Level::Debug => tracing::enabled!(target: TARGET, tracing::Level::DEBUG),
            Level::Info => tracing::enabled!(target: TARGET, tracing::Level::INFO),
            Level::Warn => tracing::enabled!(target: TARGET, tracing::Level::WARN),
            Level::Error => tracing::enabled!(target: TARGET, tracing::Level::ERROR),
        })
    }

    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> Trap<()> {
        let id = self
            .exchange
            .as_ref()
            .map(|x| crate::ids::RequestId::of(x.id).to_string());
        line(&self.entry.name, level.into(), id.as_deref(), &message, &fields);
        Ok(())
    }
}

/// Writes one line of a plugin.
pub(super) fn line(
    plugin: &str,
    level: tracing::Level,
    request: Option<&str>,
    message: &str,
    fields: &[(String, String)],
) {
    let mut text = String::new();
    for (key, value) in fields {
        if text.len() + key.len() + value.len() > MAX {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { " " });
        text.push_str(&format!("{key}={value:?}"));
    }
    let message = message
        .get(..message.floor_char_boundary(MAX))
        .unwrap_or_default();
    // tracing's levels are part of a call site, so each has its own.
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(target: TARGET, tracing::Level::$level, plugin, request, fields = text, "{message}")
        };
    }
    match level {
        tracing::Level::TRACE => at!(TRACE),
        tracing::Level::DEBUG => at!(DEBUG),
        tracing::Level::INFO => at!(INFO),
        tracing::Level::WARN => at!(WARN),
        tracing::Level::ERROR => at!(ERROR),
    }
}
