//! Guests in JavaScript, by componentize-qjs: QuickJS with the modules already evaluated, as one component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::recipe::{Guest, WORLD, clear, copy};
use super::system::{self, Need};
use crate::component;
use crate::tree::Tree;
use crate::{command, say};

/// The toolchain, pinned by version and hash.
const LOCK: &str = "tests/guests/javascript/package-lock.json";
/// What the lock file belongs to.
const MANIFEST: &str = "tests/guests/javascript/package.json";
/// What the toolchain is told, before the folders; part of the key of a built component. The other runtime, without
/// `--sync`, needs the component model's own async functions, which the gateway leaves off.
const OPTIONS: [&str; 1] = ["--sync"];

const NEEDS: [Need; 2] = [
    Need {
        what: "Node.js 18 or later",
        check: &[
            "node",
            "-e",
            "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)",
        ],
        packages: &["nodejs"],
    },
    Need {
        what: "npm",
        check: &["npm", "--version"],
        packages: &["npm"],
    },
];

/// Builds the guests below `folder` that changed.
///
/// # Errors
/// A missing Node.js, a toolchain that cannot be installed, or a failed build.
pub(super) fn build(tree: &Tree, folder: &str) -> Result<()> {
    let lock = fs::read(tree.path(LOCK)).with_context(|| format!("cannot read {LOCK}"))?;
    let toolchain = [lock.as_slice(), OPTIONS.concat().as_bytes()].concat();
    for guest in Guest::discover(&tree.path(folder), "js")? {
        let key = guest.key(tree, &toolchain)?;
        if guest.is_built(tree, &key) {
            continue;
        }
        let componentize = ensure_toolchain(tree, &lock)?;
        say::step(&format!("building the guest {}", guest.name));
        let stage = guest.stage(tree)?;
        command::output(
            Command::new("node")
                .arg(componentize)
                .args(OPTIONS)
                .arg("--wit")
                .arg(&stage.wit)
                .args(["--world", WORLD, "--module-root"])
                .arg(&stage.sources)
                .arg("--js")
                .arg(stage.sources.join(format!("{}.js", guest.module)))
                .arg("--output")
                .arg(&stage.output)
                .current_dir(&stage.sources),
        )?;
        guest.publish(tree, &stage, &key)?;
    }
    Ok(())
}

/// The path of componentize-qjs in an npm project below `target/tools`, made when it is missing or is that of
/// another lock file.
fn ensure_toolchain(tree: &Tree, lock: &[u8]) -> Result<PathBuf> {
    system::ensure("the guests in JavaScript", &NEEDS)?;
    let root = tree.target("tools/javascript");
    let program = root.join("node_modules/componentize-qjs/cli.mjs");
    let installed = root.join("installed-lock.json");
    if program.is_file() && fs::read(&installed).is_ok_and(|old| old == lock) {
        return Ok(program);
    }
    say::step("installing componentize-qjs into target/tools/javascript (once)");
    clear(&root)?;
    copy(&tree.path(MANIFEST), &root.join("package.json"))?;
    copy(&tree.path(LOCK), &root.join("package-lock.json"))?;
    install(&root, &program)
        .context("componentize-qjs, which the guests in JavaScript are built with, could not be installed")?;
    component::replace(&installed, lock)?;
    Ok(program)
}

/// How often an installation is begun before it is given up.
const ATTEMPTS: usize = 3;

/// Has npm install what the lock file in `root` names, until `program` starts: npm leaves an optional dependency that
/// it could not fetch out without a word, and the binding to the machine's own code is one.
fn install(root: &Path, program: &Path) -> Result<()> {
    let mut left = ATTEMPTS;
    loop {
        command::output(
            Command::new("npm")
                // Not `npm ci`: it refuses a lock file without the optional binding of some platform, which is how
                // npm writes it when a registry does not have that one.
                .args([
                    "install",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--loglevel=error",
                ])
                .env("NO_UPDATE_NOTIFIER", "1")
                .current_dir(root),
        )?;
        left -= 1;
        match command::output(Command::new("node").arg(program).arg("--help")) {
            Ok(_) => return Ok(()),
            Err(why) if left == 0 => {
                return Err(why.context(format!(
                    "npm left out the part of componentize-qjs for this machine {ATTEMPTS} times: is its registry reached?"
                )));
            }
            Err(_) => {
                say::step("npm left out the part of componentize-qjs for this machine; once more");
                clear(&root.join("node_modules"))?;
            }
        }
    }
}
