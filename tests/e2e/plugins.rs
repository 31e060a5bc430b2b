//! The plugins that ship, and the examples of their documents.

mod auth_key;
mod compress;
mod core_module;
mod cors;
mod document;
mod error_pages;
mod ip_filter;
mod mock;
mod rate_limit;
mod request_id;
mod router;
mod subset;
mod transform;
mod validate;

use portcullis_tests::Answer;

/// Status and code of an error answer.
fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}
