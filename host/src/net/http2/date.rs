//! The Date field of an answer that has none (RFC 9110 section 6.6.1). It refuses to know the answer.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// The text of a second.
struct Written {
    second: u64,
    value: HeaderValue,
}

thread_local! {
    static LAST: RefCell<Option<Written>> = const { RefCell::new(None) };
}

/// The current time, written anew once a second.
pub(super) fn now() -> HeaderValue {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|last| match last {
        Some(written) if written.second == second => written.value.clone(),
        _ => {
            let text = httpdate::fmt_http_date(now);
            let value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
            *last = Some(Written {
                second,
                value: value.clone(),
            });
            value
        }
    })
}
