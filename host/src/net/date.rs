//! The Date field of an answer that has none (RFC 9110 section 6.6.1). It refuses to know the answer.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use crate::message::http1::write::push_field;

/// The text of a second.
struct Written {
    second: u64,
    value: HeaderValue,
}

thread_local! {
    static LAST: RefCell<Option<Written>> = const { RefCell::new(None) };
}

/// The current time.
pub(super) fn now() -> HeaderValue {
    with(HeaderValue::clone)
}

/// Appends the field with the current time.
pub(super) fn push(out: &mut Vec<u8>) {
    with(|value| push_field(out, "date", value));
}

/// The current time, written anew once a second.
fn with<R>(take: impl FnOnce(&HeaderValue) -> R) -> R {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|last| match last {
        Some(written) if written.second == second => take(&written.value),
        _ => {
            let text = httpdate::fmt_http_date(now);
            let value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
            take(&last.insert(Written { second, value }).value)
        }
    })
}
