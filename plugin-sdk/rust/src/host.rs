//! The host's functions as the rest of the SDK calls them: the gateway on wasm32, the fake host of
//! [`testing`](crate::testing) elsewhere. Both have the same functions; this file only chooses.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod fake;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use fake::{
    Blob, clock, cluster_counters, counters, exchange, flights, http, log, metrics, random, shared,
};
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::{
    Blob, clock, cluster_counters, counters, exchange, flights, http, log, metrics, random, shared,
};
