//! Portcullis: an API gateway whose features are sandboxed WebAssembly components.
//!
//! `ARCHITECTURE.md` describes the modules, their layers and what each refuses to know. The library is the
//! gateway as the binary runs it; tests start it in their own process.

pub mod abi;
pub mod admin;
pub mod base64;
pub mod clock;
pub mod config;
pub mod engine;
pub mod exchange;
pub mod gateway;
pub mod ids;
pub mod message;
pub mod mux;
pub mod net;
pub mod pipeline;
pub mod plugin;
pub mod route;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod units;
pub mod upstream;

pub mod cli;
