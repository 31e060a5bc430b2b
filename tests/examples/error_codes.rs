//! Prints `docs/errors.md`.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

fn main() {
    print!("{}", portcullis_tests::errors::page());
}
