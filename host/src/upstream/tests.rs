//! The client against scripted servers: raw bytes on one side, the public API on the other.

mod backpressure;
pub(super) mod care;
mod framing;
mod picked;
mod pooling;
mod script;
mod timeouts;
mod upgrades;
mod uploads;

pub(super) use script::settings;
