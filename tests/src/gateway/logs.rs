//! What a gateway in this process logs, kept apart from that of others: each gateway starts under a dispatcher of
//! its own, which it hands to its threads. Panics on those threads are kept with the lines; a panic on a thread that was
//! not handed one, but is named like a gateway's, is put down to whichever gateway ends next.

use std::fmt;
use std::mem;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Most lines that are kept of one gateway; the first ones.
const MAX_LINES: usize = 10_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// INFO, WARN or ERROR.
    pub level: Level,
    /// The sentence.
    pub message: String,
    /// The fields, as they would be printed.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The lines of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    lines: Mutex<Vec<LogLine>>,
}

impl Logs {
    pub(crate) fn new() -> Arc<Self> {
        watch_panics();
        Arc::default()
    }

    /// A dispatcher that ends here.
    pub(crate) fn dispatch(self: &Arc<Self>) -> Dispatch {
        Dispatch::new(Collector {
            logs: Arc::clone(self),
            spans: AtomicU64::new(1),
        })
    }

    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// ERROR lines and panics, those of nobody included: they are handed out once.
    pub(crate) fn errors(&self) -> Vec<LogLine> {
        let stray = mem::take(&mut *STRAY.lock().unwrap_or_else(PoisonError::into_inner));
        self.lines()
            .into_iter()
            .filter(|line| line.level == Level::ERROR)
            .chain(stray)
            .collect()
    }

    fn push(&self, line: LogLine) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MAX_LINES {
            lines.push(line);
        }
    }
}

/// Panics on threads of a gateway whose dispatcher is not known.
static STRAY: Mutex<Vec<LogLine>> = Mutex::new(Vec::new());

/// How a gateway names its threads.
const THREADS: &str = "portcullis-";

/// Adds a hook, once, that keeps a panic with the lines of the gateway on whose thread it happens.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let message = format!("a thread of the gateway panicked: {info}");
            let line = LogLine {
                level: Level::ERROR,
                message,
                fields: Vec::new(),
            };
            let thread = thread::current();
            tracing::dispatcher::get_default(|dispatch| {
                if let Some(collector) = dispatch.downcast_ref::<Collector>() {
                    collector.logs.push(line.clone());
                } else if thread.name().is_some_and(|name| name.starts_with(THREADS)) {
                    STRAY
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(line.clone());
                }
            });
            before(info);
        }));
    });
}

/// Keeps events from INFO on; spans are only numbered.
#[derive(Debug)]
struct Collector {
    logs: Arc<Logs>,
    spans: AtomicU64,
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = LogLine {
            level: *event.metadata().level(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        self.logs.push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for LogLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.fields.push((field.name().to_owned(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_nobody_is_handed_out_once() {
        let logs = Logs::new();
        let named = thread::Builder::new().name("portcullis-x".to_owned());
        named.spawn(|| panic!("nobody's")).unwrap().join().unwrap_err();
        // The other test may take it: handed out at most once, whoever asks.
        let count = |lines: Vec<LogLine>| {
            lines
                .iter()
                .filter(|line| line.message.contains("nobody's"))
                .count()
        };
        assert!(count(logs.errors()) <= 1);
        assert_eq!(count(logs.errors()), 0);
    }

    #[test]
    fn lines_and_panics_stay_with_their_gateway() {
        let (one, other) = (Logs::new(), Logs::new());
        let dispatch = one.dispatch();
        thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::info!(route = "orders", tries = 2, "sent");
                tracing::debug!("not kept");
                panic!("on purpose");
            });
        })
        .join()
        .unwrap_err();
        let lines = one.lines();
        assert_eq!((lines[0].level, lines[0].message.as_str()), (Level::INFO, "sent"));
        assert_eq!(
            (lines[0].field("route"), lines[0].field("tries")),
            (Some("orders"), Some("2"))
        );
        assert_eq!((lines.len(), lines[1].level), (2, Level::ERROR));
        assert!(lines[1].message.contains("on purpose"));
        assert_eq!(other.lines(), []);
    }
}
