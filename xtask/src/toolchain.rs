//! The parts of the toolchain that a plain checkout may lack: the WebAssembly target and cargo-deny. Installs
//! them, and says so; when it cannot, says what to do by hand.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::tree::Tree;
use crate::{command, say};

/// The target that plugins are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// The cargo-deny that `deny.toml` is written for.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// Makes sure that [`WASM_TARGET`] is installed for the toolchain of `rust-toolchain.toml`.
///
/// # Errors
/// Says what to do when rustup is missing or cannot install the target. A toolchain without rustup that has
/// the target all the same passes.
pub(crate) fn ensure_wasm_target(tree: &Tree) -> Result<()> {
    let listed = command::output(
        Command::new("rustup")
            .args(["target", "list", "--installed"])
            .current_dir(tree.root()),
    );
    match listed {
        Ok(list) if list.lines().any(|line| line.trim() == WASM_TARGET) => Ok(()),
        Ok(_) => {
            say::step(&format!(
                "installing the target {WASM_TARGET} (rustup target add {WASM_TARGET})"
            ));
            command::run(
                Command::new("rustup")
                    .args(["target", "add", WASM_TARGET])
                    .current_dir(tree.root()),
            )
            .with_context(|| {
                format!(
                    "the target {WASM_TARGET} is needed to build plugins and could not be installed; \
                     with network access, run `rustup target add {WASM_TARGET}` in {}",
                    tree.root().display()
                )
            })
        }
        Err(_) if target_without_rustup(tree) => Ok(()),
        Err(problem) => Err(problem.context(format!(
            "plugins are built for {WASM_TARGET}, and rustup is not there to say whether it is installed; \
             install rustup (https://rustup.rs) and run `rustup target add {WASM_TARGET}`, or install your \
             distribution's Rust standard library for that target"
        ))),
    }
}

/// A cargo-deny of [`CARGO_DENY_VERSION`]: `target/tools` first, then the path; else builds it (minutes, once).
///
/// # Errors
/// When it is missing and cannot be built.
pub(crate) fn ensure_cargo_deny(tree: &Tree) -> Result<PathBuf> {
    let root = tree.target("tools");
    let own = root.join("bin").join("cargo-deny");
    for candidate in [own.clone(), PathBuf::from("cargo-deny")] {
        let version = command::output(Command::new(&candidate).arg("--version"));
        if version.is_ok_and(|text| text.split_whitespace().any(|word| word == CARGO_DENY_VERSION)) {
            return Ok(candidate);
        }
    }
    say::step(&format!(
        "building cargo-deny {CARGO_DENY_VERSION} into target/tools (once, some minutes)"
    ));
    command::run(
        command::cargo(tree)
            .args(["install", "--locked", "--version", CARGO_DENY_VERSION, "--root"])
            .arg(&root)
            .arg("cargo-deny"),
    )
    .context("cargo-deny checks licences and advisories of the dependencies; it could not be installed")?;
    Ok(own)
}

/// A distribution's toolchain: the sysroot has the target's folder or not.
fn target_without_rustup(tree: &Tree) -> bool {
    command::output(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(tree.root()),
    )
    .is_ok_and(|sysroot| {
        PathBuf::from(sysroot.trim())
            .join("lib/rustlib")
            .join(WASM_TARGET)
            .is_dir()
    })
}
