//! What a route says of upgrades.

use std::sync::Arc;
use std::time::Duration;

/// `upgrades` and `upgrade-idle-timeout` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrades {
    /// `upgrades`: the protocols that a connection may go over to, default `websocket` alone.
    pub protocols: Arc<[Box<str>]>,
    /// `upgrade-idle-timeout`: how long neither side may send anything then, default 5 min.
    pub idle: Duration,
}

impl Default for Upgrades {
    fn default() -> Self {
        Self {
            protocols: Arc::from([Box::from("websocket")]),
            idle: Duration::from_secs(300),
        }
    }
}
