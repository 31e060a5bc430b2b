//! Lines in the gateway's structured log, tied to the exchange's trace. Knows no output.
//!
//! The macros take fields first, then the message with its arguments, and format nothing when the level is off:
//!
//! ```
//! # use portcullis::log;
//! let subject = "acme";
//! log::info!(subject = subject, tries = 3, "key accepted on the second header");
//! log::debug!("nothing to do for {subject}");
//! ```

use crate::host;

pub use crate::{debug, error, info, trace, warn};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// What a developer wants to see.
    Debug,
    /// An operator's action succeeded.
    Info,
    /// Something went wrong and was dealt with.
    Warn,
    /// A person must act.
    Error,
}

/// Whether lines of this level are written at all.
#[must_use]
pub fn enabled(level: Level) -> bool {
    host::log::enabled(level)
}

/// Writes one line.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    host::log::write(level, message, fields);
}

/// Writes a line at `trace`: `trace!(field = value, .., "message {}", argument)`.
#[macro_export]
macro_rules! trace {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Trace, $($line)+) };
}

/// Writes a line at `debug`: `debug!(field = value, .., "message {}", argument)`.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Debug, $($line)+) };
}

/// Writes a line at `info`: `info!(field = value, .., "message {}", argument)`.
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Info, $($line)+) };
}

/// Writes a line at `warn`: `warn!(field = value, .., "message {}", argument)`.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Warn, $($line)+) };
}

/// Writes a line at `error`: `error!(field = value, .., "message {}", argument)`.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Error, $($line)+) };
}

/// What the level macros share.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:expr, $($field:ident = $value:expr,)* $message:literal $(, $($argument:tt)*)?) => {
        if $crate::log::enabled($level) {
            $crate::log::write(
                $level,
                &::std::format!($message $(, $($argument)*)?),
                &[$((::std::stringify!($field), &::std::string::ToString::to_string(&$value))),*],
            );
        }
    };
}
