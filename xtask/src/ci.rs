//! `cargo xtask ci`: everything that has to pass before a change goes in, cheapest first. Stops at the first
//! step that fails, and says how long each took.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::arguments::Arguments;
use crate::toolchain::{self, WASM_TARGET};
use crate::tree::Tree;
use crate::{command, demo, guests, plugins, say, test, tidy};

/// What a step runs.
type Run = fn(&Tree) -> Result<()>;

/// The steps, in order.
const STEPS: &[(&str, Run)] = &[
    ("fmt", format),
    ("clippy", clippy),
    ("clippy-wasm", clippy_wasm),
    ("tidy", |tree| tidy::run(tree, &[])),
    ("test", |tree| test::run(tree, &[])),
    ("demo", |tree| demo::run(tree, &["--check".to_owned()])),
    ("doc", documentation),
    ("deny", deny),
];

/// Runs the command.
pub(crate) fn run(tree: &Tree, words: &[String]) -> Result<()> {
    Arguments::new(words).finish()?;
    let mut summary = String::new();
    let mut outcome = Ok(());
    for (name, step) in STEPS {
        say::step(&format!("ci: {name}"));
        let (result, took) = timed(|| step(tree));
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        writeln!(summary, "  {name:<12} {verdict:<7} {:>7.1} s", took.as_secs_f64())?;
        if result.is_err() {
            outcome = result.with_context(|| format!("ci stopped at `{name}`"));
            break;
        }
    }
    say::text(&format!("ci:\n{summary}"));
    outcome
}

#[expect(
    clippy::disallowed_types,
    reason = "nothing here runs on tokio; this is wall time for a person"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn format(tree: &Tree) -> Result<()> {
    command::run(command::cargo(tree).args(["fmt", "--all", "--check"]))
}

fn clippy(tree: &Tree) -> Result<()> {
    command::run(command::cargo(tree).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// What runs in the sandbox, as it is compiled for it.
fn clippy_wasm(tree: &Tree) -> Result<()> {
    toolchain::ensure_wasm_target(tree)?;
    let mut cargo = command::cargo(tree);
    cargo.args(["clippy", "--target", WASM_TARGET, "-p", "portcullis-sdk"]);
    for component in plugins::all(tree)?.into_iter().chain(guests::rust(tree)?) {
        cargo.args(["-p", &component.package]);
    }
    command::run(cargo.args(["--", "-D", "warnings"]))
}

fn documentation(tree: &Tree) -> Result<()> {
    command::run(
        command::cargo(tree)
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn deny(tree: &Tree) -> Result<()> {
    let tool = toolchain::ensure_cargo_deny(tree)?;
    let check = |words: &[&str]| {
        let mut deny = std::process::Command::new(&tool);
        deny.arg("--workspace").args(words).current_dir(tree.root());
        command::run(&mut deny)
    };
    check(&["check", "bans", "licenses", "sources"])?;
    let Err(error) = check(&["check", "advisories"]) else {
        return Ok(());
    };
    // Without a network the newest database cannot be had; one that was fetched before still finds what it knows.
    // An advisory that was just found is found again.
    say::text(&format!(
        "{error:#}; trying the database that is on this machine\n"
    ));
    check(&["--offline", "check", "advisories"])
        .context("advisories could not be checked: fetching the database needs github.com once")
}
