//! A bounded queue of text with a thread behind it that writes to a file or a stream.
//!
//! It knows lines and bytes, not what they say. Whoever hands it text never waits for the disk: what does not fit is
//! lost, and counted.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where text is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// A file, made when it is not there (mode 0640), appended to when it is.
    File(PathBuf),
}

impl Target {
    pub(super) fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
            Self::File(path) => Box::new(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o640)
                    .open(path)?,
            ),
        })
    }
}

/// The writing end: owns the thread.
#[derive(Debug)]
pub(super) struct Spool {
    sender: SpoolSender,
    thread: Option<JoinHandle<()>>,
}

/// The filling end.
#[derive(Debug, Clone)]
pub(super) struct SpoolSender(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// There is nothing to do, or the thread has ended.
    idle: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    /// Bytes in the queue and in the batches that are being written.
    bytes: usize,
    writing: bool,
    reopen: bool,
    stop: bool,
    ended: bool,
}

impl Spool {
    /// Starts a thread that writes to what `open` gives, at once and again at every reopening. `lost` is told how many
    /// lines could not be written. At most `capacity` bytes wait.
    ///
    /// # Errors
    /// When the output cannot be opened or the thread not be started.
    pub(super) fn start(
        name: &str,
        capacity: usize,
        mut open: impl FnMut() -> io::Result<Box<dyn Write + Send>> + Send + 'static,
        lost: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let output = open()?;
        let sender = SpoolSender(Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            capacity,
        }));
        let shared = Arc::clone(&sender.0);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || shared.write_all(output, &mut open, &lost))?;
        Ok(Self {
            sender,
            thread: Some(thread),
        })
    }

    pub(super) fn sender(&self) -> SpoolSender {
        self.sender.clone()
    }

    /// Opens the output anew before the next write. If that fails, the old one is kept.
    pub(super) fn reopen(&self) {
        let shared = &self.sender.0;
        shared.lock().reopen = true;
        shared.work.notify_one();
    }

    /// Waits until all is written; false if that takes longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        self.sender.0.wait_until(limit, |state| {
            state.queue.is_empty() && !state.writing && !state.reopen
        })
    }

    /// Writes what waits and ends the thread; false if that takes longer than `limit`. Then the thread is left to
    /// itself: the process is about to end.
    pub(super) fn stop(&mut self, limit: Duration) -> bool {
        let shared = &self.sender.0;
        shared.lock().stop = true;
        shared.work.notify_one();
        let ended = shared.wait_until(limit, |state| state.ended);
        match self.thread.take() {
            Some(thread) if ended => thread.join().is_ok(),
            _ => ended,
        }
    }
}

impl Drop for Spool {
    /// A spool that is dropped without `stop` still writes what waits, but nobody waits for it.
    fn drop(&mut self) {
        self.sender.0.lock().stop = true;
        self.sender.0.work.notify_one();
    }
}

impl SpoolSender {
    /// Hands over one or more whole lines.
    ///
    /// # Errors
    /// Gives them back when there is no room, or the thread has ended.
    pub(super) fn push(&self, lines: Vec<u8>) -> Result<(), Vec<u8>> {
        let mut state = self.0.lock();
        if state.stop || state.bytes.saturating_add(lines.len()) > self.0.capacity {
            return Err(lines);
        }
        state.bytes += lines.len();
        state.queue.push_back(lines);
        drop(state);
        self.0.work.notify_one();
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, limit: Duration, done: impl Fn(&State) -> bool) -> bool {
        let waited = self
            .idle
            .wait_timeout_while(self.lock(), limit, |state| !done(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    /// The thread: takes all that waits, writes it, until it is told to stop and nothing waits any more.
    fn write_all(
        &self,
        mut output: Box<dyn Write + Send>,
        open: &mut dyn FnMut() -> io::Result<Box<dyn Write + Send>>,
        lost: &dyn Fn(u64),
    ) {
        loop {
            let idle = |state: &mut State| state.queue.is_empty() && !state.reopen && !state.stop;
            let mut state = self
                .work
                .wait_while(self.lock(), idle)
                .unwrap_or_else(PoisonError::into_inner);
            if state.queue.is_empty() && !state.reopen {
                break;
            }
            let batches = std::mem::take(&mut state.queue);
            let reopen = std::mem::take(&mut state.reopen);
            state.writing = true;
            drop(state);
            if reopen && let Ok(new) = open() {
                output = new;
            }
            for batch in batches {
                if output.write_all(&batch).is_err() {
                    lost(count_lines(&batch));
                }
                self.lock().bytes -= batch.len();
            }
            let _retried_with_the_next_write = output.flush().is_err();
            self.lock().writing = false;
            self.idle.notify_all();
        }
        self.lock().ended = true;
        self.idle.notify_all();
    }
}

/// Number of line ends.
pub(super) fn count_lines(lines: &[u8]) -> u64 {
    u64::try_from(lines.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u64::MAX)
}

/// An output for tests, which can be made to stand still or to fail.
#[cfg(test)]
pub(super) mod fake {
    use super::*;

    #[derive(Debug, Clone, Default)]
    pub(crate) struct Output(Arc<(Mutex<Inner>, Condvar)>);

    #[derive(Debug, Default)]
    struct Inner {
        written: Vec<u8>,
        opened: usize,
        stuck: bool,
        broken: bool,
    }

    impl Output {
        fn inner(&self) -> MutexGuard<'_, Inner> {
            self.0.0.lock().unwrap()
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.inner().written.clone()).unwrap()
        }

        pub(crate) fn opened(&self) -> usize {
            self.inner().opened
        }

        pub(crate) fn stand_still(&self) {
            self.inner().stuck = true;
        }

        pub(crate) fn go_on(&self) {
            self.inner().stuck = false;
            self.0.1.notify_all();
        }

        pub(crate) fn break_off(&self) {
            self.inner().broken = true;
        }

        pub(crate) fn open(&self) -> io::Result<Box<dyn Write + Send>> {
            self.inner().opened += 1;
            Ok(Box::new(self.clone()))
        }
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.1.wait_while(self.inner(), |inner| inner.stuck).unwrap();
            if inner.broken {
                return Err(io::Error::other("broken"));
            }
            inner.written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::Output;
    use super::*;
    use crate::telemetry::cell::Counter;

    const LONG: Duration = Duration::from_secs(20);

    fn spool(capacity: usize, output: &Output) -> (Spool, Arc<Counter>) {
        let (output, lost) = (output.clone(), Arc::<Counter>::default());
        let counter = Arc::clone(&lost);
        let spool = Spool::start(
            "test",
            capacity,
            move || output.open(),
            move |lines| counter.add(lines),
        );
        (spool.unwrap(), lost)
    }

    #[test]
    fn lines_are_written_in_order_and_stop_writes_the_rest() {
        let output = Output::default();
        let (mut spool, lost) = spool(1_000, &output);
        for line in ["a\n", "b\n", "c\n"] {
            spool.sender().push(line.into()).unwrap();
        }
        assert!(spool.stop(LONG));
        assert_eq!(output.text(), "a\nb\nc\n");
        assert!(spool.sender().push("d\n".into()).is_err());
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn a_slow_output_loses_lines_but_never_holds_the_sender() {
        let output = Output::default();
        let (mut spool, _) = spool(8, &output);
        output.stand_still();
        let sender = spool.sender();
        let taken = (0..100)
            .filter(|_| sender.push(b"1234\n".to_vec()).is_ok())
            .count();
        assert_eq!(taken, 1, "what is being written counts, too");
        assert!(!spool.flush(Duration::ZERO));
        output.go_on();
        assert!(spool.flush(LONG));
        assert!(sender.push(b"5678\n".to_vec()).is_ok());
        assert!(spool.stop(LONG));
        assert_eq!(output.text(), "1234\n5678\n");
    }

    #[test]
    fn a_failing_output_is_counted() {
        let output = Output::default();
        let (mut spool, lost) = spool(100, &output);
        output.break_off();
        spool.sender().push(b"a\nb\n".to_vec()).unwrap();
        assert!(spool.stop(LONG));
        assert_eq!(lost.get(), 2);
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, rotated) = (dir.path().join("log"), dir.path().join("log.1"));
        let target = Target::File(path.clone());
        let mut spool = Spool::start("test", 100, move || target.open(), |_| {}).unwrap();
        spool.sender().push(b"old\n".to_vec()).unwrap();
        assert!(spool.flush(LONG));
        std::fs::rename(&path, &rotated).unwrap();
        spool.reopen();
        assert!(spool.flush(LONG));
        spool.sender().push(b"new\n".to_vec()).unwrap();
        assert!(spool.stop(LONG));
        assert_eq!(std::fs::read_to_string(rotated).unwrap(), "old\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "new\n");
    }

    #[test]
    fn what_cannot_be_opened_is_an_error_at_the_start() {
        let target = Target::File("/nowhere/at/all".into());
        assert!(Spool::start("test", 100, move || target.open(), |_| {}).is_err());
    }
}
