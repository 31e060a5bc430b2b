//! Units that people write in configuration: spans of time (`"20ms"`) and amounts of bytes (`"64MiB"`).
//!
//! Text to value and back, exactly. It refuses to know which setting a value belongs to and what range is sensible.

mod bytes;
mod time;

pub use bytes::{ByteSize, ByteSizeError};
pub use time::{TimeSpan, TimeSpanError};

/// Splits `text` where its leading ASCII digits end.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The beginning of a text, for an error message.
fn shorten(text: &str) -> String {
    text.chars().take(20).collect()
}
