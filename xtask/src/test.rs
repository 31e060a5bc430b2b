//! `cargo xtask test`: everything the tests need, then plain `cargo test --workspace` (doctests included).

use anyhow::Result;

use crate::tree::Tree;
use crate::{command, guests, plugins, redis, say};

/// Runs the command; `words` go to `cargo test` as they are.
pub(crate) fn run(tree: &Tree, words: &[String]) -> Result<()> {
    redis::ensure()?;
    say::step("building the plugins and the guests of the tests");
    plugins::build(tree)?;
    guests::build(tree)?;
    // Together with the test targets, so that every dependency is built once: the binary alone would be
    // built with fewer features of the shared crates, and then all of them again for the tests.
    say::step("building the gateway and the tests");
    command::run(command::cargo(tree).args(["build", "--workspace", "--bins", "--tests"]))?;
    say::step("testing");
    command::run(command::cargo(tree).args(["test", "--workspace"]).args(words))
}
