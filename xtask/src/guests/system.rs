//! Programs of the operating system that the toolchains of the guests need. As root on Debian it installs what is
//! missing; elsewhere it says what to install.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, say};

/// Something that has to be there.
#[derive(Debug)]
pub(super) struct Need {
    /// For people: `Python 3 with venv`.
    pub(super) what: &'static str,
    /// A command that ends with success when it is there.
    pub(super) check: &'static [&'static str],
    /// Debian's packages that bring it.
    pub(super) packages: &'static [&'static str],
}

/// Makes sure of every one of `needs`; `purpose` says whose they are.
///
/// # Errors
/// Says what to install when it may not install, or could not.
pub(super) fn ensure(purpose: &str, needs: &[Need]) -> Result<()> {
    let missing: Vec<_> = needs.iter().filter(|need| !need.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing
        .iter()
        .map(|need| need.what)
        .collect::<Vec<_>>()
        .join(" and ");
    let packages: Vec<_> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let by_hand = format!(
        "{purpose} need {what} (on Debian, as root: `apt-get install {}`)",
        packages.join(" ")
    );
    if !may_install() {
        bail!(by_hand);
    }
    say::step(&format!(
        "installing {what} (apt-get install {})",
        packages.join(" ")
    ));
    install(&packages).with_context(|| by_hand.clone())?;
    if missing.iter().any(|need| !need.is_there()) {
        bail!(by_hand);
    }
    Ok(())
}

impl Need {
    fn is_there(&self) -> bool {
        let Some((program, arguments)) = self.check.split_first() else {
            return true;
        };
        command::output(Command::new(program).args(arguments)).is_ok()
    }
}

/// Root, on a system with apt.
fn may_install() -> bool {
    let root = command::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    root && command::output(Command::new("apt-get").arg("--version")).is_ok()
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = |words: &[&str]| {
        command::output(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .arg("-q")
                .args(words),
        )
    };
    let words = [&["install", "-y", "--no-install-recommends"], packages].concat();
    if apt(&words).is_err() {
        // A fresh system has no package lists.
        apt(&["update"])?;
        apt(&words)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_met_when_its_command_succeeds() {
        let need = |check| Need {
            what: "a shell",
            check,
            packages: &[],
        };
        assert!(need(&["sh", "-c", "exit 0"]).is_there());
        assert!(!need(&["sh", "-c", "exit 1"]).is_there());
        assert!(!need(&["/nowhere/no-such-program"]).is_there());
    }

    #[test]
    fn nothing_is_installed_when_nothing_is_missing() {
        ensure(
            "the tests",
            &[Need {
                what: "a shell",
                check: &["sh", "-c", "exit 0"],
                packages: &["no-such-package"],
            }],
        )
        .unwrap();
    }
}
