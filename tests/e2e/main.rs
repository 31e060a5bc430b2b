//! End-to-end tests: the real gateway, real plugins, real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: a panic is how they fail"
)]

mod admin;
mod balance;
mod care;
mod commands;
mod config;
mod conformance;
mod contract;
mod documents;
mod faults;
mod hooks;
mod http;
mod http2;
mod plugins;
mod recourse;
mod reload;
mod stores;
mod ticks;
mod tls;
mod waits;
