//! Gateways to test: in this process ([`Gateway`]) or as the real binary ([`BinaryGateway`](binary::BinaryGateway)),
//! each in a folder of its own, each made by the same builder.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::thread;

use portcullis_host::gateway::{Gateway as Host, Options, Running, StartError};
use tokio::runtime;
use tokio::task;
use tokio::time;

use crate::gateway::builder::GatewayBuilder;
use crate::gateway::logs::{LogLine, Logs};
use crate::gateway::site::Site;
use crate::patience::PATIENCE;

pub mod binary;
pub mod builder;
pub mod folder;
pub mod logs;
pub mod site;

/// A gateway in this process, on threads of its own. What it can be asked is in [`Site`].
///
/// Dropped or shut down, it fails the test if it logged an ERROR or panicked, unless
/// [`GatewayBuilder::allow_errors`] was said.
#[derive(Debug)]
pub struct Gateway {
    site: Site,
    running: Option<Running>,
    logs: Arc<Logs>,
    errors: Errors,
}

/// What to make of ERROR lines and panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    Fail,
    Allow,
}

impl Gateway {
    /// How a gateway is described before it starts.
    #[expect(
        clippy::new_ret_no_self,
        reason = "Gateway::new().plugin(..).start() is how the tests read"
    )]
    #[must_use]
    pub fn new() -> GatewayBuilder {
        GatewayBuilder::new()
    }

    /// Starts what `builder` says, off the test's runtime: upstreams that live there can answer meanwhile.
    pub(crate) async fn start(builder: GatewayBuilder) -> Result<Self, StartError> {
        let folder = builder.write();
        let logs = Logs::new();
        let options = Options {
            config: folder.configuration(),
            workers: builder.workers,
        };
        let dispatch = logs.dispatch();
        let start = move || tracing::dispatcher::with_default(&dispatch, || Host::start(options));
        let running = task::spawn_blocking(start)
            .await
            .expect("the start of a gateway does not panic")?;
        let public = running.address("public").expect("a listener `public`");
        let site = Site::new(folder, public, running.admin());
        Ok(Self {
            site,
            running: Some(running),
            logs,
            errors: builder.errors,
        })
    }

    /// Where a listener listens.
    ///
    /// # Panics
    /// When there is no such listener.
    #[must_use]
    pub fn address_of(&self, listener: &str) -> SocketAddr {
        let running = self.running.as_ref().expect("running until it is shut down");
        running
            .address(listener)
            .unwrap_or_else(|| panic!("no listener `{listener}`"))
    }

    /// What it logged so far, from INFO on.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.logs.lines()
    }

    /// Shuts it down gracefully, and fails the test if something went wrong in it.
    ///
    /// # Panics
    /// When that takes longer than [`PATIENCE`], or it logged an ERROR or panicked.
    pub async fn shutdown(mut self) {
        if let Some(running) = self.running.take() {
            assert!(
                time::timeout(PATIENCE, running.shutdown()).await.is_ok(),
                "the gateway did not shut down"
            );
        }
    }

    fn verdict(&self) {
        let errors = self.logs.errors();
        let fails = self.errors == Errors::Fail && !thread::panicking();
        assert!(!fails || errors.is_empty(), "the gateway went wrong: {errors:#?}");
    }
}

impl Deref for Gateway {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // A test that ended early: shut down all the same, outside of its runtime, which may be gone.
            let end = || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build().ok()?;
                runtime.block_on(async { time::timeout(PATIENCE, running.shutdown()).await.ok() })
            };
            thread::spawn(end).join().ok();
        }
        self.verdict();
    }
}
