//! How a request names its case, and the words of the table. Knows no case.

use std::time::Duration;

use portcullis::{Problem, Request};

/// No expiry.
pub(crate) const FOR_EVER: Duration = Duration::ZERO;
/// A minute.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Bytes of a body that are captured.
pub(crate) const CAPTURED: u64 = 99;
/// An hour.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// 2020-01-01T00:00:00Z.
pub(crate) const YEAR_2020_MS: u64 = 1_577_836_800_000;

/// The case; "" for none.
pub(crate) fn case(request: &Request) -> String {
    request.header("x-case").unwrap_or_default()
}

/// The argument of the case.
pub(crate) fn argument(request: &Request) -> String {
    request.header("x-arg").unwrap_or_default()
}

/// The table's word for the outcome of an edit.
pub(crate) fn name_of(edited: &Result<(), Problem>) -> &'static str {
    match edited {
        Ok(()) => "ok",
        Err(Problem::Invalid(_)) => "invalid",
        Err(Problem::WrongPhase) => "wrong-phase",
        Err(Problem::Limit(_)) => "limit",
        Err(Problem::Denied(_)) => "denied",
        Err(Problem::Timeout) => "timeout",
        Err(Problem::Failed(_)) => "failed",
    }
}

/// The text, or the table's word for none.
pub(crate) fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "none".to_owned())
}
