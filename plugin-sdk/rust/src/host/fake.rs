//! The host's functions without a gateway: they act on the fake host and exchange that the running test entered,
//! per thread. Outside of a test's call the rest of the functions act on a fake host of the thread's own, and those of
//! `exchange` panic, as they trap in the gateway.

use std::cell::RefCell;
use std::rc::Rc;

pub(crate) mod cluster_counters;
pub(crate) mod counters;
pub(crate) mod exchange;
pub(crate) mod http;
pub(crate) mod shared;
pub(crate) mod world;

use crate::{Problem, log::Level, metrics::Kind};
use exchange::Data;
use world::World;

thread_local! {
    static CURRENT: RefCell<Current> = RefCell::default();
}

/// What the host's functions act on.
#[derive(Debug, Default)]
struct Current {
    world: Rc<RefCell<World>>,
    exchange: Option<Data>,
}

/// Runs `call` in this fake host, and in this exchange if there is one, which comes back edited.
pub(crate) fn enter<R>(
    world: &Rc<RefCell<World>>,
    exchange: Option<Data>,
    call: impl FnOnce() -> R,
) -> (R, Option<Data>) {
    let before = CURRENT.replace(Current {
        world: Rc::clone(world),
        exchange,
    });
    let result = call();
    (result, CURRENT.replace(before).exchange)
}

/// The fake host that the calls act on.
fn with_world<R>(call: impl FnOnce(&mut World) -> R) -> R {
    let world = CURRENT.with_borrow(|current| Rc::clone(&current.world));
    call(&mut world.borrow_mut())
}

/// The exchange that the calls act on.
fn with_exchange<R>(call: impl FnOnce(&mut Data) -> R) -> R {
    CURRENT.with_borrow_mut(|current| match &mut current.exchange {
        Some(exchange) => call(exchange),
        None => unreachable!("there is no exchange here: in the gateway this call traps"),
    })
}

/// Bytes that the fake host keeps.
#[derive(Clone, Debug)]
pub(crate) struct Blob(Rc<[u8]>);

impl Blob {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn read(&self, offset: u64, max: u32) -> Vec<u8> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.0.get(offset..))
            .unwrap_or_default();
        rest.iter()
            .take(usize::try_from(max).unwrap_or(usize::MAX))
            .copied()
            .collect()
    }

    pub(crate) fn find(&self, needle: &[u8], start: u64) -> Option<u64> {
        let start = usize::try_from(start).ok()?;
        let rest = self.0.get(start..)?;
        if needle.is_empty() {
            return Some(start as u64);
        }
        let at = rest.windows(needle.len()).position(|window| window == needle)?;
        Some((start + at) as u64)
    }

    pub(crate) fn share(&self) -> Self {
        self.clone()
    }
}

pub(crate) mod flights {
    //! `flights`: nobody else is there, so every exchange leads.

    use crate::{Problem, flights::Role};

    #[allow(clippy::unnecessary_wraps, reason = "the gateway's own may fail")]
    pub(crate) fn enter(_: &str, _: u32) -> Result<Role, Problem> {
        Ok(Role::Leader)
    }

    #[allow(clippy::unnecessary_wraps, reason = "the gateway's own may fail")]
    pub(crate) fn leave(_: &str) -> Result<(), Problem> {
        Ok(())
    }
}

pub(crate) mod log {
    //! `log`.

    use super::{Level, with_world};
    use crate::testing::Line;

    pub(crate) fn enabled(level: Level) -> bool {
        with_world(|world| level >= world.log_from)
    }

    pub(crate) fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let line = Line {
            level,
            message: message.to_owned(),
            fields,
        };
        with_world(|world| world.lines.push(line));
    }
}

pub(crate) mod metrics {
    //! `metrics`.

    use super::{Kind, Problem, with_world};

    pub(crate) fn define(kind: Kind, name: &str, help: &str, labels: &[&str]) -> Result<u32, Problem> {
        with_world(|world| world.metrics.define(kind, name, help, labels))
    }

    pub(crate) fn observe(metric: u32, labels: &[&str], value: f64) {
        with_world(|world| world.metrics.observe(metric, labels, value));
    }

    pub(crate) fn series(metric: u32, labels: &[&str]) -> Result<u32, Problem> {
        with_world(|world| world.metrics.series(metric, labels))
    }

    pub(crate) fn observe_series(series: u32, value: f64) {
        with_world(|world| world.metrics.observe_series(series, value));
    }
}

pub(crate) mod clock {
    //! `clock`.

    use super::with_world;

    pub(crate) fn unix_ms() -> u64 {
        with_world(|world| world.unix_ms())
    }

    pub(crate) fn monotonic_ns() -> u64 {
        with_world(|world| world.monotonic_ns())
    }
}

pub(crate) mod random {
    //! `random`.

    use super::with_world;

    pub(crate) fn bytes(length: u32) -> Vec<u8> {
        (0..length).map(|_| unsigned().to_le_bytes()[0]).collect()
    }

    pub(crate) fn unsigned() -> u64 {
        with_world(|world| world.random())
    }
}
