//! The `redis-server` that tests start: looked for in the PATH, and installed where that is possible without asking anybody.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{command, say};

/// Sees to it that there is one.
///
/// # Errors
/// When there is none and it cannot be installed; the text says what to do.
pub(crate) fn ensure() -> Result<()> {
    if is_there("redis-server", "--version") {
        return Ok(());
    }
    say::step("installing redis-server, which the tests start");
    let install = [
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "redis-server",
    ];
    // As root, or by a sudo that does not ask.
    let mut ways = vec![Vec::new()];
    if is_there("sudo", "--version") {
        ways.push(vec!["sudo", "-n"]);
    }
    for way in ways {
        let words = |rest: &[&'static str]| {
            way.iter()
                .copied()
                .chain(rest.iter().copied())
                .collect::<Vec<_>>()
        };
        // The lists of packages may be as new as they need to be.
        drop(run(&words(&["apt-get", "update"])));
        if run(&words(&install)).is_ok() && is_there("redis-server", "--version") {
            return Ok(());
        }
    }
    bail!(
        "the tests of stores need `redis-server` (6.0 or later) in the PATH: `sudo apt-get install redis-server`, or build it from \
         https://redis.io/download (`make` needs only a C compiler)"
    )
}

fn run(words: &[&str]) -> Result<()> {
    let Some((program, rest)) = words.split_first() else {
        return Ok(());
    };
    command::run(Command::new(program).args(rest))
}

fn is_there(program: &str, question: &str) -> bool {
    let asked = Command::new(program)
        .arg(question)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
