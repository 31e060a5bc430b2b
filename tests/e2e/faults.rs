//! Plugins that misbehave: each exchange gets its one answer within its budget, and nothing else notices.

mod configure;
mod health;
mod isolation;
mod leaks;
mod matrix;
mod policy;
mod stand;
