//! The components that only tests use, one folder per language below `tests/guests`, built into
//! `target/guests`. Knows which languages there are; how one is built is the business of its module.

use anyhow::Result;

use crate::component::{self, Component};
use crate::toolchain;
use crate::tree::Tree;

mod javascript;
mod python;
mod recipe;
mod system;

/// A language that guests are written in.
#[derive(Debug, Clone, Copy)]
enum Language {
    Rust,
    Python,
    JavaScript,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::JavaScript];

    /// Folder below the root that holds one folder per guest.
    fn folder(self) -> &'static str {
        match self {
            Self::Rust => "tests/guests/rust",
            Self::Python => "tests/guests/python",
            Self::JavaScript => "tests/guests/javascript",
        }
    }

    fn build(self, tree: &Tree) -> Result<()> {
        match self {
            Self::Rust => {
                toolchain::ensure_wasm_target(tree)?;
                component::build(tree, &rust(tree)?, &tree.target("guests"))
            }
            Self::Python => python::build(tree, self.folder()),
            Self::JavaScript => javascript::build(tree, self.folder()),
        }
    }
}

/// The guests written in Rust.
///
/// # Errors
/// As [`Component::discover`].
pub(crate) fn rust(tree: &Tree) -> Result<Vec<Component>> {
    Component::discover(&tree.path(Language::Rust.folder()))
}

/// Builds the guests of every language into `target/guests`.
///
/// # Errors
/// Those of the first language that fails.
pub(crate) fn build(tree: &Tree) -> Result<()> {
    for language in Language::ALL {
        language.build(tree)?;
    }
    Ok(())
}
