//! A gateway for unit tests: the plugin's hooks run natively against a fake host that enforces the contract. Knows no
//! pipeline, no network and no wasm; `portcullis test` runs the component in the real sandbox.
//!
//! ```
//! use portcullis::prelude::*;
//! use portcullis::testing;
//!
//! struct Hello;
//!
//! #[portcullis::plugin]
//! impl Plugin for Hello {
//!     fn new(_: NoConfig) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn on_request(&mut self, request: &mut Request) -> Result<Action, Problem> {
//!         request.set_header("x-hello", &request.method())?;
//!         Ok(Action::Next)
//!     }
//! }
//!
//! let mut plugin: Hello = testing::configure(serde_json::json!({})).unwrap();
//! let mut exchange = testing::exchange().method("GET").target("/x?y=1").header("x-api-key", "k");
//! assert!(exchange.on_request(&mut plugin).is_next());
//! assert_eq!(exchange.request_header("x-hello"), Some("GET"));
//! # use portcullis::serde_json;
//! ```
//!
//! What the fake does: edits are refused in the wrong hook and for invalid text, reserved attributes need
//! [`FakeExchange::grant`], a verdict that the gateway would treat as a fault panics, the clock stands until
//! [`FakeHost::advance`], random numbers repeat from run to run.

mod exchange;
mod judge;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub use exchange::FakeExchange;

use schemars::JsonSchema;
use serde_json::Value;

use crate::hooks::OnTick;
use crate::host::fake::{self, http::Laid, world::World};
use crate::verdict::Done;
use crate::{IntoVerdict, Plugin, log::Level};

/// An exchange in a fake host of its own.
#[must_use]
pub fn exchange() -> FakeExchange {
    FakeHost::new().exchange()
}

/// Makes a plugin as the gateway does, in a fake host of its own.
///
/// # Errors
/// What `configure` would answer: the configuration does not fit the type, or `new` refused it.
pub fn configure<P: Plugin>(config: Value) -> Result<P, String> {
    FakeHost::new().configure(config)
}

/// Checks that the file at `path` holds the JSON Schema of the configuration `C`; writes it when the environment variable
/// `PORTCULLIS_BLESS` is set. The test that `#[portcullis::plugin(schema = "..")]` adds calls it.
///
/// # Panics
/// When the file is missing or another.
pub fn check_schema<C: JsonSchema>(path: &str) {
    let wanted: Value = serde_json::from_str(&crate::plugin::schema_of::<C>()).unwrap_or_default();
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        let written = std::fs::write(path, format!("{wanted:#}\n"));
        assert!(written.is_ok(), "{path}: {written:?}");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let found: Value = serde_json::from_str(&found).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not the schema of the configuration: run the tests with PORTCULLIS_BLESS=1"
    );
}

/// A line that the plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The message.
    pub message: String,
    /// The fields.
    pub fields: Vec<(String, String)>,
}

/// A host that lasts for several exchanges: stores, metrics, log, clock.
#[derive(Clone, Debug, Default)]
pub struct FakeHost {
    world: Rc<RefCell<World>>,
}

impl FakeHost {
    /// A host with empty stores.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a plugin as the gateway does.
    ///
    /// # Errors
    /// As for [`configure`](fn@configure).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a literal json!(..) is what tests pass"
    )]
    pub fn configure<P: Plugin>(&self, config: Value) -> Result<P, String> {
        fake::enter(&self.world, None, || {
            crate::plugin::configure(&config.to_string())
        })
        .0
    }

    /// A new exchange: `GET /` from 192.0.2.1 to `example.com`.
    #[must_use]
    pub fn exchange(&self) -> FakeExchange {
        FakeExchange::new(self.clone())
    }

    /// Answers every request that the plugin sends to this very URI; the last one that was laid down for it counts. Others are
    /// denied.
    pub fn answers(&self, uri: &str, status: u16, body: impl Into<Vec<u8>>) {
        self.world.borrow_mut().answers.push(Laid {
            uri: uri.to_owned(),
            status,
            headers: Vec::new(),
            body: body.into(),
        });
    }

    /// Requests that the plugin sent, each as `METHOD URI`.
    #[must_use]
    pub fn sent(&self) -> Vec<String> {
        self.world.borrow().sent.clone()
    }

    /// Runs `on_tick`. There is no exchange, and asking for one panics, as the gateway's guest would trap.
    pub fn tick<P: OnTick>(&self, plugin: &mut P) {
        let Done = fake::enter(&self.world, None, || plugin.on_tick().into_verdict()).0;
    }

    /// Lets the store that gateways share fail from now on, or work again.
    pub fn store_fails(&self, problem: Option<crate::Problem>) {
        self.world.borrow_mut().store_fails = problem;
    }

    /// Moves the clocks on.
    pub fn advance(&self, time: Duration) {
        self.world.borrow_mut().elapsed += time;
    }

    /// Lines below this level are off.
    pub fn log_from(&self, level: Level) {
        self.world.borrow_mut().log_from = level;
    }

    /// What was logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.world.borrow().lines.clone()
    }

    /// The value of a counter or gauge, or how many values a histogram counted.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        self.world.borrow().metrics.value(name, labels)
    }

    /// A value in `shared`.
    #[must_use]
    pub fn shared(&self, key: &str) -> Option<Vec<u8>> {
        let mut world = self.world.borrow_mut();
        let now_ms = world.unix_ms();
        world.shared.get(now_ms, key).map(|entry| entry.value)
    }

    /// `put_absent` finds room for this many entries.
    pub fn limit_shared(&self, entries: usize) {
        self.world.borrow_mut().shared.room = Some(entries);
    }

    /// Gives back all places of [`counters::acquire`](crate::counters::acquire), as the end of the exchanges does.
    pub fn release_places(&self) {
        self.world.borrow_mut().counters.places.clear();
    }
}
