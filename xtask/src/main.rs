//! `cargo xtask`: the project's own commands, one module each. Knows how to call cargo and the tools around
//! it; knows nothing of the gateway's code beyond its binary, its folders and its configuration file.

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::tree::Tree;

mod arguments;
mod bench;
mod ci;
mod command;
mod component;
mod demo;
mod guests;
mod plugins;
mod redis;
mod say;
mod test;
mod tidy;
mod toolchain;
mod tree;

/// What `cargo xtask` without a command prints.
const USAGE: &str = "\
usage: cargo xtask COMMAND

  plugins [--guests]   build plugins/* into target/plugins (and the test guests into target/guests)
  demo [--check]       start upstreams and a gateway with the default plugins, and say what to try;
                       --check tries it itself, replaces a plugin under load, and ends with 0 or 1
                       (--port N, --admin-port N, --upstream-port N)
  test [ARGS]          build what the tests need, then `cargo test --workspace ARGS`
  tidy                 check the rules of the tree that no compiler checks
  ci                   everything that has to pass before a change goes in
  bench -- ARGS        release build, then the comparison with other gateways (PORTCULLIS_BENCH)
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(problem) => {
            say::error(&format!("{problem:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut words = env::args().skip(1);
    let command = words.next();
    let arguments: Vec<String> = words.collect();
    let tree = Tree::find()?;
    match command.as_deref() {
        Some("plugins") => plugins::run(&tree, &arguments)?,
        Some("demo") => demo::run(&tree, &arguments)?,
        Some("test") => test::run(&tree, &arguments)?,
        Some("tidy") => tidy::run(&tree, &arguments)?,
        Some("ci") => ci::run(&tree, &arguments)?,
        Some("bench") => bench::run(&tree, &arguments)?,
        Some("help" | "--help" | "-h") => say::text(USAGE),
        None => {
            say::text(USAGE);
            return Ok(ExitCode::FAILURE);
        }
        Some(other) => bail!("unknown command `{other}`\n\n{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}
