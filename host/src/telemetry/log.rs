//! Set-up of the log: what `tracing` emits, as text or JSON lines on the standard error.
//!
//! It knows formats and the filter, not what is logged. Lines go through a bounded queue to a thread of their own, so
//! that a full pipe behind the standard error cannot stop a worker; what does not fit is dropped and counted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::clock;
use crate::telemetry::cell::Counter;
use crate::telemetry::registry::Telemetry;
use crate::telemetry::spool::{Spool, SpoolSender, Target, count_lines};

/// Most bytes that wait for the writer.
const QUEUE_BYTES: usize = 1_024 * 1_024;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogStyle {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Text or JSON.
    pub style: LogStyle,
    /// Directives of `tracing-subscriber`'s `EnvFilter`: `info`, `warn,portcullis_host::plugin=debug` ...
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            style: LogStyle::Text,
            filter: "info".to_owned(),
        }
    }
}

/// Why the log could not be set up.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error("bad log filter `{filter}`")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The writer thread could not be started.
    #[error("cannot start the log writer")]
    Writer(#[from] io::Error),
    /// The process already has a log.
    #[error("the log is already set up")]
    Twice(#[from] TryInitError),
}

/// Keeps the log's writer going; dropping it writes what waits, for at most two seconds.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub struct LogGuard(Spool);

impl LogGuard {
    /// Waits until all lines are written; false if that takes longer than `limit`. Blocks the thread.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        self.0.flush(limit)
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let _in_time = self.0.stop(LAST_LINES);
    }
}

/// Sets the log of the process up, once. Dropped lines are counted in `telemetry`.
///
/// # Errors
/// When the filter does not parse, the writer cannot be started, or there is a log already.
pub fn init(settings: &LogSettings, telemetry: &Telemetry) -> Result<LogGuard, LogError> {
    let lost = Arc::clone(&telemetry.log_dropped);
    let spool = Spool::start(
        "log",
        QUEUE_BYTES,
        || Target::Stderr.open(),
        move |lines| lost.add(lines),
    )?;
    let lines = Lines {
        sender: spool.sender(),
        dropped: Arc::clone(&telemetry.log_dropped),
    };
    subscriber(settings, lines)?.try_init()?;
    Ok(LogGuard(spool))
}

fn subscriber(settings: &LogSettings, lines: Lines) -> Result<Box<dyn Subscriber + Send + Sync>, LogError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|source| LogError::Filter {
        filter: settings.filter.clone(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(UtcTime)
        .with_ansi(false)
        .with_writer(lines);
    Ok(match settings.style {
        LogStyle::Text => Box::new(builder.finish()),
        LogStyle::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// RFC 3339 with milliseconds, as everywhere else.
#[derive(Debug)]
struct UtcTime;

impl FormatTime for UtcTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        w.write_str(clock::rfc3339(clock::unix_ms()).as_str())
    }
}

/// Hands each formatted line to the queue.
#[derive(Debug)]
struct Lines {
    sender: SpoolSender,
    dropped: Arc<Counter>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl io::Write for &Lines {
    /// The formatter calls this once per line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(line) = self.sender.push(line.to_vec()) {
            self.dropped.add(count_lines(&line));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::spool::fake::Output;

    const LONG: Duration = Duration::from_secs(20);

    /// What is written when `work` logs.
    fn logged(settings: &LogSettings, work: impl FnOnce()) -> String {
        let (output, dropped) = (Output::default(), Arc::<Counter>::default());
        let target = output.clone();
        let mut spool = Spool::start("log", QUEUE_BYTES, move || target.open(), |_| {}).unwrap();
        let lines = Lines {
            sender: spool.sender(),
            dropped,
        };
        tracing::subscriber::with_default(subscriber(settings, lines).unwrap(), work);
        assert!(spool.stop(LONG));
        output.text()
    }

    #[test]
    fn json_lines_have_fields_and_message_at_the_top() {
        let settings = LogSettings {
            style: LogStyle::Json,
            ..LogSettings::default()
        };
        let text = logged(&settings, || {
            tracing::info!(plugin = "jwt", count = 3, "a plugin was loaded");
            tracing::debug!("not this one");
        });
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["plugin"], "jwt");
        assert_eq!(parsed["count"], 3);
        assert_eq!(parsed["message"], "a plugin was loaded");
        assert!(parsed["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        let text = logged(&LogSettings::default(), || {
            tracing::warn!(detail = "x\nERROR forged\u{1b}[2J", "a plugin failed");
        });
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("WARN") && text.contains("a plugin failed"));
    }

    #[test]
    fn a_bad_filter_is_named() {
        let settings = LogSettings {
            filter: "a=b=c".to_owned(),
            ..LogSettings::default()
        };
        let error = init(&settings, &Telemetry::new(1)).unwrap_err();
        assert_eq!(error.to_string(), "bad log filter `a=b=c`");
    }
}
