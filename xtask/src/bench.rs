//! `cargo xtask bench -- ARGS`: the comparison with other gateways. Opt-in, for it needs a harness and those
//! gateways on the machine; the harness is named by `PORTCULLIS_BENCH` and reads `tests/bench/*.toml`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tree::Tree;
use crate::{command, guests, plugins, say};

/// Runs the command.
pub(crate) fn run(tree: &Tree, words: &[String]) -> Result<()> {
    let Some(folder) = env::var_os("PORTCULLIS_BENCH").map(PathBuf::from) else {
        bail!(
            "set PORTCULLIS_BENCH to the folder of the comparison harness (the one with bench.py); it needs \
             python3 and the other gateways installed, and runs this one on tests/bench/SCENARIO.toml"
        );
    };
    let folder = folder
        .canonicalize()
        .with_context(|| format!("PORTCULLIS_BENCH={}", folder.display()))?;
    let script = folder.join("bench.py");
    if !script.is_file() {
        bail!("PORTCULLIS_BENCH={}: no bench.py there", folder.display());
    }
    plugins::build(tree)?;
    guests::build(tree)?;
    say::step("building the gateway (release)");
    command::run(command::cargo(tree).args(["build", "--release", "-p", "portcullis"]))?;
    let arguments = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    command::run(
        Command::new("python3")
            .arg(script)
            .args(arguments)
            .current_dir(tree.root())
            .env("PORTCULLIS_BIN", tree.target("release/portcullis"))
            .env("PORTCULLIS_PLUGINS", tree.target("plugins")),
    )
}
