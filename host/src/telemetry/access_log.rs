//! The access log: one line per exchange, formatted by the worker and written by a thread of its own.
//!
//! It knows lines; not when an exchange is over, nor which files the configuration names. A worker never waits for the
//! disk: when the writer is too slow, whole buffers are dropped, counted, and said once a second.

mod format;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;

pub use crate::telemetry::access_log::format::{
    AccessFormat, AccessRecord, LineStyle, MAX_ATTRIBUTES, MAX_TEXT_BYTES, QueryLogging,
};
pub use crate::telemetry::spool::Target;

use crate::clock;
use crate::telemetry::events::AccessLogDropped;
use crate::telemetry::registry::Telemetry;
use crate::telemetry::spool::{Spool, SpoolSender, count_lines};

/// A worker's buffer is handed to the writer when it holds so many bytes.
const BUFFER_BYTES: usize = 16 * 1_024;

/// Most bytes that wait for the writer.
const QUEUE_BYTES: usize = 8 * 1_024 * 1_024;

/// Dropped lines are reported at most so often.
const REPORT_NS: u64 = 1_000_000_000;

/// Why the access log could not be opened.
#[derive(Debug, Error)]
#[error("cannot open the access log {target:?}")]
pub struct AccessLogError {
    target: Target,
    source: io::Error,
}

/// One access log with its writer thread.
#[derive(Debug)]
pub struct AccessLog {
    spool: Spool,
    format: Arc<AccessFormat>,
    losses: Arc<Losses>,
}

/// One worker's end of an access log. Dropping it hands over what it holds.
#[derive(Debug)]
pub struct AccessBuffer {
    sender: SpoolSender,
    format: Arc<AccessFormat>,
    losses: Arc<Losses>,
    lines: Vec<u8>,
}

impl AccessLog {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// When the target cannot be opened or the thread not be started.
    pub fn open(
        target: Target,
        format: AccessFormat,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, AccessLogError> {
        let opened = target.clone();
        Self::start(QUEUE_BYTES, format, telemetry, move || opened.open())
            .map_err(|source| AccessLogError { target, source })
    }

    fn start(
        capacity: usize,
        format: AccessFormat,
        telemetry: Arc<Telemetry>,
        open: impl FnMut() -> io::Result<Box<dyn io::Write + Send>> + Send + 'static,
    ) -> io::Result<Self> {
        let losses = Arc::new(Losses {
            telemetry,
            unreported: AtomicU64::new(0),
            reported_ns: AtomicU64::new(0),
        });
        let lost = Arc::clone(&losses);
        let spool = Spool::start("access-log", capacity, open, move |lines| lost.add(lines))?;
        Ok(Self {
            spool,
            format: Arc::new(format),
            losses,
        })
    }

    /// An end for one worker.
    #[must_use]
    pub fn buffer(&self) -> AccessBuffer {
        AccessBuffer {
            sender: self.spool.sender(),
            format: Arc::clone(&self.format),
            losses: Arc::clone(&self.losses),
            lines: Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Opens the target anew, after a rotation. If that fails, writing goes on where it was.
    pub fn reopen(&self) {
        self.spool.reopen();
    }

    /// Waits until all that was handed over is written; false if that takes longer than `limit`. Blocks the thread.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        self.spool.flush(limit)
    }

    /// Writes what was handed over and ends; false if that takes longer than `limit`. Blocks the thread. Buffers must
    /// be flushed or dropped before: what comes later is lost.
    #[must_use]
    pub fn close(mut self, limit: Duration) -> bool {
        let ended = self.spool.stop(limit);
        self.losses.report();
        ended
    }
}

impl AccessBuffer {
    /// Formats one exchange into the buffer, and hands the buffer over when it is full.
    pub fn record(&mut self, record: &AccessRecord<'_>) {
        self.format.write(record, &mut self.lines);
        if self.lines.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    /// Hands over what the buffer holds: to be called every now and then (a second or less) so that lines of a quiet
    /// worker are seen, and before the log is closed.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        match self.sender.push(std::mem::take(&mut self.lines)) {
            Ok(()) => self.lines.reserve(BUFFER_BYTES),
            Err(mut lines) => {
                self.losses.add(count_lines(&lines));
                lines.clear();
                self.lines = lines;
            }
        }
    }
}

impl Drop for AccessBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Lines that were lost, reported once in a while.
#[derive(Debug)]
struct Losses {
    telemetry: Arc<Telemetry>,
    unreported: AtomicU64,
    reported_ns: AtomicU64,
}

impl Losses {
    fn add(&self, lines: u64) {
        self.unreported.fetch_add(lines, Ordering::Relaxed);
        let now_ns = clock::monotonic_ns();
        let due = |last: u64| (last == 0 || now_ns.saturating_sub(last) >= REPORT_NS).then_some(now_ns);
        if self
            .reported_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
        {
            self.report();
        }
    }

    fn report(&self) {
        let lines = self.unreported.swap(0, Ordering::Relaxed);
        if lines > 0 {
            AccessLogDropped { lines }.emit(&self.telemetry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::format::tests::record;
    use crate::telemetry::spool::fake::Output;

    const LONG: Duration = Duration::from_secs(20);

    fn log(capacity: usize, output: &Output) -> (AccessLog, Arc<Telemetry>) {
        let (output, telemetry) = (output.clone(), Arc::new(Telemetry::new(1)));
        let format = AccessFormat::default();
        let log = AccessLog::start(capacity, format, Arc::clone(&telemetry), move || output.open());
        (log.unwrap(), telemetry)
    }

    fn dropped(telemetry: &Telemetry) -> String {
        let text = telemetry.render();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("portcullis_access_log_dropped_total "));
        line.unwrap().to_owned()
    }

    #[test]
    fn every_line_is_written_by_the_time_the_log_is_closed() {
        let output = Output::default();
        let (log, telemetry) = log(QUEUE_BYTES, &output);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let mut buffer = log.buffer();
                scope.spawn(move || (0..500).for_each(|_| buffer.record(&record())));
            }
        });
        assert!(log.close(LONG));
        assert_eq!(output.text().lines().count(), 2_000);
        assert!(
            output
                .text()
                .lines()
                .all(|line| line.starts_with('{') && line.ends_with('}'))
        );
        assert_eq!(dropped(&telemetry), "0");
    }

    #[test]
    fn a_stuck_disk_drops_lines_and_counts_them() {
        let output = Output::default();
        let (log, telemetry) = log(BUFFER_BYTES * 3, &output);
        output.stand_still();
        let mut buffer = log.buffer();
        (0..1_000).for_each(|_| buffer.record(&record()));
        drop(buffer);
        output.go_on();
        assert!(log.close(LONG));
        let written = output.text().lines().count();
        assert!(written > 0 && written < 1_000);
        assert_eq!(dropped(&telemetry), (1_000 - written).to_string());
    }

    #[test]
    fn a_quiet_worker_is_seen_after_a_flush_and_reopen_opens_anew() {
        let output = Output::default();
        let (log, _) = log(QUEUE_BYTES, &output);
        let mut buffer = log.buffer();
        buffer.record(&record());
        assert!(log.flush(LONG));
        assert_eq!(output.text(), "");
        buffer.flush();
        log.reopen();
        assert!(log.flush(LONG));
        assert_eq!(output.text().lines().count(), 1);
        assert_eq!(output.opened(), 2);
    }

    #[test]
    fn a_target_that_cannot_be_opened_is_named() {
        let telemetry = Arc::new(Telemetry::new(1));
        let target = Target::File("/nowhere/access.log".into());
        let error = AccessLog::open(target, AccessFormat::default(), telemetry).unwrap_err();
        assert!(error.to_string().contains("/nowhere/access.log"));
    }
}
