//! `cargo xtask plugins`: builds the plugins of this repository into `target/plugins`.

use anyhow::Result;

use crate::arguments::Arguments;
use crate::component::{self, Component};
use crate::tree::Tree;
use crate::{guests, toolchain};

/// Runs the command. `--guests` builds the components that only tests use, too.
pub(crate) fn run(tree: &Tree, words: &[String]) -> Result<()> {
    let mut arguments = Arguments::new(words);
    let with_guests = arguments.flag("--guests");
    arguments.finish()?;
    build(tree)?;
    if with_guests {
        guests::build(tree)?;
    }
    Ok(())
}

/// The plugins of this repository.
///
/// # Errors
/// As [`Component::discover`].
pub(crate) fn all(tree: &Tree) -> Result<Vec<Component>> {
    Component::discover(&tree.path("plugins"))
}

/// Builds every plugin into `target/plugins`.
///
/// # Errors
/// A missing target or a failed build.
pub(crate) fn build(tree: &Tree) -> Result<()> {
    toolchain::ensure_wasm_target(tree)?;
    component::build(tree, &all(tree)?, &tree.target("plugins"))
}
