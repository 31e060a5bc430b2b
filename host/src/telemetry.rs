//! What the gateway tells its operator: metrics, the access log, the log, and events that are both.
//!
//! It knows names and numbers; not what a route, a plugin or an upstream does, and it opens no socket: another module
//! serves what [`Telemetry::render`] writes. All metrics are listed in `docs/metrics.md`.

pub mod access_log;
mod catalogue;
mod cell;
pub mod events;
mod exposition;
mod family;
pub mod log;
pub mod plugin_metrics;
pub mod plugin_stats;
mod process;
pub mod registry;
mod render;
mod series;
mod spool;
pub mod stats;
mod store_stats;
mod upstream_health;

pub use access_log::{AccessBuffer, AccessFormat, AccessLog, AccessRecord};
pub use exposition::CONTENT_TYPE;
pub use plugin_stats::{FaultKind, Hook, PluginState, PluginStats};
pub use process::resident_bytes;
pub use registry::{BACKGROUND, Telemetry};
pub use series::MetricKind;
pub use stats::{
    End, Finished, Handshake, ListenerStats, RetryReason, RouteStats, UpstreamFailure, UpstreamStats,
};
pub use store_stats::{StoreFailure, StoreStats};
pub use upstream_health::{BreakerSample, EndpointSample, UpstreamSample};
