//! The streams of one connection for the sweep: which are open, which took too long, whether the client floods us, and
//! whether it is still there. It refuses to know what they carry.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Settings;
use crate::net::{Conn, Times};

/// Requests that a client may take back before their answer, from one sweep to the next, whatever else it does.
pub(super) const EARLY_RESETS: u32 = 100;
/// How long a client that was told of the end, and has no streams, may take to say that it has heard.
const FAREWELL: Duration = Duration::from_secs(2);

/// The open streams of a connection.
#[derive(Debug)]
pub(in crate::net) struct Streams {
    open: RefCell<HashMap<u64, Open>>,
    next: Cell<u64>,
    /// Since when there is none.
    idle_since: Cell<Instant>,
    /// When the sweep first saw that the connection is to end.
    draining_since: Cell<Option<Instant>>,
    /// Begun and taken back since the last sweep.
    begun: Cell<u32>,
    reset_early: Cell<u32>,
    flooded: Cell<bool>,
    ping_interval: Option<Duration>,
    ping_timeout: Duration,
    ping: Cell<Ping>,
    conn: Weak<Conn>,
}

#[derive(Debug)]
struct Open {
    conn: Rc<Conn>,
    task: Option<AbortHandle>,
}

/// The question whether the client is still there.
#[derive(Debug, Clone, Copy)]
enum Ping {
    /// It was answered, or never asked, then.
    Rests(Instant),
    /// It is to be asked.
    Due(Instant),
    /// It was asked then.
    Asked(Instant),
}

impl Streams {
    pub(super) fn new(settings: &Settings, conn: &Rc<Conn>) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            open: RefCell::default(),
            next: Cell::new(0),
            idle_since: Cell::new(now),
            draining_since: Cell::new(None),
            begun: Cell::new(0),
            reset_early: Cell::new(0),
            flooded: Cell::new(false),
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
            ping: Cell::new(Ping::Rests(now)),
            conn: Rc::downgrade(conn),
        })
    }

    /// Runs what serves a new stream, until it ends or the sweep ends it.
    pub(super) fn spawn<F>(self: &Rc<Self>, conn: Rc<Conn>, serve: impl FnOnce(Guard) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let id = self.next.get();
        self.next.set(id + 1);
        self.begun.set(self.begun.get().saturating_add(1));
        let guard = Guard {
            streams: Rc::clone(self),
            conn: Rc::clone(&conn),
            id,
        };
        self.open.borrow_mut().insert(id, Open { conn, task: None });
        let task = tokio::task::spawn_local(serve(guard)).abort_handle();
        if let Some(open) = self.open.borrow_mut().get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// Ends all of them, unless they have ended, when it is dropped.
    pub(super) fn bound(self: &Rc<Self>) -> Bound {
        Bound(Rc::clone(self))
    }

    /// Ends all of them.
    pub(super) fn abort(&self) {
        for open in self.open.borrow().values() {
            if let Some(task) = &open.task {
                task.abort();
            }
        }
    }

    /// The client takes its requests back faster than it wants answers (CVE-2023-44487).
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.get()
    }

    /// Whether the client is to be asked if it is still there; then it is.
    pub(super) fn take_ping(&self) -> bool {
        let due = matches!(self.ping.get(), Ping::Due(_));
        if due {
            self.ping.set(Ping::Asked(Instant::now()));
        }
        due
    }

    /// It was asked and has not answered.
    pub(super) fn is_pinging(&self) -> bool {
        matches!(self.ping.get(), Ping::Asked(_))
    }

    /// It is still there.
    pub(super) fn ponged(&self) {
        self.ping.set(Ping::Rests(Instant::now()));
    }

    /// Called by the sweep; true = end the connection now.
    pub(in crate::net) fn sweep(&self, conn: &Conn, now: Instant, times: &Times) -> bool {
        self.begun.set(0);
        self.reset_early.set(0);
        let open = self.open.borrow();
        for stream in open.values() {
            if stream.conn.sweep(now, times)
                && let Some(task) = &stream.task
            {
                task.abort();
            }
        }
        if open.is_empty() {
            let idle_since = self.idle_since.get();
            if conn.is_draining() {
                let told = self.draining_since.get().unwrap_or(now);
                self.draining_since.set(Some(told));
                return now.saturating_duration_since(told.max(idle_since)) > FAREWELL;
            }
            if now.saturating_duration_since(idle_since) > times.keep_alive {
                conn.drain();
            }
            return false;
        }
        match (self.ping.get(), self.ping_interval) {
            (Ping::Rests(since), Some(interval)) if now.saturating_duration_since(since) > interval => {
                self.ping.set(Ping::Due(now));
                conn.wake();
                false
            }
            // A connection that cannot even take the question is as good as gone, too.
            (Ping::Due(since) | Ping::Asked(since), _) => {
                now.saturating_duration_since(since) > self.ping_timeout
            }
            _ => false,
        }
    }
}

/// Ends what is left of the streams together with their connection.
#[derive(Debug)]
pub(super) struct Bound(Rc<Streams>);

impl Drop for Bound {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One stream's place among the others.
#[derive(Debug)]
pub(super) struct Guard {
    streams: Rc<Streams>,
    conn: Rc<Conn>,
    id: u64,
}

impl Guard {
    /// Its state for the sweep.
    pub(super) fn conn(&self) -> &Conn {
        &self.conn
    }

    /// The client took the request back before it had an answer.
    pub(super) fn reset_early(&self) {
        let streams = &self.streams;
        let count = streams.reset_early.get().saturating_add(1);
        streams.reset_early.set(count);
        if count > EARLY_RESETS && count > streams.begun.get() / 2 && !streams.flooded.replace(true) {
            tracing::debug!("a client takes its requests back too fast");
            if let Some(conn) = streams.conn.upgrade() {
                conn.wake();
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut open = self.streams.open.borrow_mut();
        open.remove(&self.id);
        if open.is_empty() {
            self.streams.idle_since.set(Instant::now());
        }
    }
}
