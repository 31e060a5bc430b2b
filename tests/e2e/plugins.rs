//! The plugins that ship, and the examples of their documents.

mod auth_key;
mod document;
mod mock;
