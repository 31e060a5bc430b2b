//! Guests in Python, by componentize-py: CPython with the modules already imported, as one component.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::recipe::{Guest, WORLD, clear};
use super::system::{self, Need};
use crate::component;
use crate::tree::Tree;
use crate::{command, say};

/// The toolchain, pinned by version and hash.
const REQUIREMENTS: &str = "tests/guests/python/requirements.txt";
/// What the toolchain is told, before the folders; part of the key of a built component.
const OPTIONS: [&str; 1] = ["--quiet"];

const NEEDS: [Need; 1] = [Need {
    what: "Python 3.9 or later with venv and pip",
    check: &[
        "python3",
        "-c",
        "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))",
    ],
    packages: &["python3", "python3-venv"],
}];

/// Builds the guests below `folder` that changed.
///
/// # Errors
/// A missing Python, a toolchain that cannot be installed, or a failed build.
pub(super) fn build(tree: &Tree, folder: &str) -> Result<()> {
    let requirements =
        fs::read(tree.path(REQUIREMENTS)).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let toolchain = [requirements.as_slice(), OPTIONS.concat().as_bytes()].concat();
    for guest in Guest::discover(&tree.path(folder), "py")? {
        let key = guest.key(tree, &toolchain)?;
        if guest.is_built(tree, &key) {
            continue;
        }
        let componentize = ensure_toolchain(tree, &requirements)?;
        say::step(&format!("building the guest {}", guest.name));
        let stage = guest.stage(tree)?;
        command::output(
            Command::new(componentize)
                .args(OPTIONS)
                .arg("--wit-path")
                .arg(&stage.wit)
                .args(["--world", WORLD, "componentize", "--python-path"])
                .arg(&stage.sources)
                .arg("--output")
                .arg(&stage.output)
                .arg(&guest.module)
                .env_remove("VIRTUAL_ENV")
                .env_remove("PYTHONPATH")
                .current_dir(&stage.sources),
        )?;
        guest.publish(tree, &stage, &key)?;
    }
    Ok(())
}

/// The path of componentize-py in a virtual environment below `target/tools`, made when it is missing or is that
/// of other requirements.
fn ensure_toolchain(tree: &Tree, requirements: &[u8]) -> Result<PathBuf> {
    let root = tree.target("tools/python");
    let program = root.join("bin/componentize-py");
    let installed = root.join("requirements.txt");
    if program.is_file() && fs::read(&installed).is_ok_and(|old| old == requirements) {
        return Ok(program);
    }
    system::ensure("the guests in Python", &NEEDS)?;
    say::step("installing componentize-py into target/tools/python (once)");
    clear(&root)?;
    command::output(Command::new("python3").args(["-m", "venv"]).arg(&root))?;
    command::output(
        Command::new(root.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--only-binary=:all:", "--require-hashes", "-r"])
            .arg(tree.path(REQUIREMENTS)),
    )
    .context("componentize-py, which the guests in Python are built with, could not be installed")?;
    component::replace(&installed, requirements)?;
    Ok(program)
}
