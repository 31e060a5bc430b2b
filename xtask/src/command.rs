//! Running other programs: in the repository's root, with output passed through, and failures that name the
//! command line.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tree::Tree;

/// The cargo that runs this program, in the repository's root.
pub(crate) fn cargo(tree: &Tree) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(tree.root());
    command
}

/// Runs to the end, output passed through.
///
/// # Errors
/// When it cannot be started, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs to the end and gives what it wrote to stdout.
///
/// # Errors
/// As for [`run`], with what it wrote to stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!(
            "`{line}` failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command line, for messages; the program by its file name only.
fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    command
        .get_args()
        .fold(name, |line, word| line + " " + &word.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_line() {
        let failed = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(failed.to_string(), "`sh -c exit 3` failed (exit status: 3)");
        let missing = run(&mut Command::new("/nowhere/no-such-program")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot start `no-such-program`");
    }

    #[test]
    fn output_is_what_was_written_to_stdout() {
        assert_eq!(
            output(Command::new("sh").args(["-c", "echo yes; echo no >&2"])).unwrap(),
            "yes\n"
        );
    }
}
