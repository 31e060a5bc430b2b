//! The order of hooks, their verdicts, and what they may read and edit.
//!
//! Most tests run the guest `trace` as the entries `a`, `b` and `c` of one pipeline: each hook of each entry logs a line,
//! and the request orders what it does (`x-do: b on-request respond text`).

mod attributes;
mod balancers;
mod bodies;
mod captures;
mod codings;
mod edits;
mod entries;
mod errors;
mod filters;
mod finish;
mod order;
mod overflow;
mod pace;
mod routers;
mod streaming;
mod table;
mod trace;
