//! What the commands tell the person in front of them. A closed pipe (`| head`) is no error here.

use std::io::{self, Write};

/// A line on stdout.
pub(crate) fn line(text: &str) {
    writeln!(io::stdout().lock(), "{text}").ok();
}

/// A text that ends its own lines, on stdout.
pub(crate) fn text(text: &str) {
    write!(io::stdout().lock(), "{text}").ok();
}

/// The start of a step, set apart from the output of the tools it runs.
pub(crate) fn step(text: &str) {
    writeln!(io::stderr().lock(), "xtask: {text}").ok();
}

/// Why the command failed.
pub(crate) fn error(text: &str) {
    writeln!(io::stderr().lock(), "xtask: error: {text}").ok();
}
