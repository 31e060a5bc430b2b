//! What `cargo xtask` built: components and the gateway's binary, found from the test's own executable. Builds
//! nothing itself; says which command does.

use std::env;
use std::path::{Path, PathBuf};

/// A plugin of this repository, by its folder's name.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    component("plugins", name)
}

/// A component that only tests use, by its folder's name.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    component("guests", name)
}

/// The gateway's binary, of the profile of the tests.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    executable("portcullis", "cargo xtask test")
}

/// The binary of [`endpoint::process`](crate::endpoint::process), which `cargo test` builds with the tests.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn endpoint() -> PathBuf {
    executable("endpoint", "cargo build -p portcullis-tests")
}

fn executable(name: &str, built_by: &str) -> PathBuf {
    let path = profile_folder().join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{} is missing: `{built_by}` builds it",
        path.display()
    );
    path
}

fn component(folder: &str, name: &str) -> PathBuf {
    let target = profile_folder()
        .parent()
        .expect("the profile's folder is below the target folder")
        .to_owned();
    let path = target.join(folder).join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is missing: `cargo xtask plugins --guests` builds it",
        path.display()
    );
    path
}

/// `target/debug`, from the test's executable `target/debug/deps/NAME-HASH`.
fn profile_folder() -> PathBuf {
    let executable = env::current_exe().expect("a running test has an executable");
    let folder = executable.parent().expect("an executable is in a folder");
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.parent().map_or_else(|| folder.to_owned(), Path::to_owned)
    } else {
        folder.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::*;

    #[test]
    fn a_missing_component_names_the_command_that_builds_it() {
        let text = panic::catch_unwind(|| guest("no-such-guest")).unwrap_err();
        let text = text.downcast_ref::<String>().unwrap();
        assert!(
            text.ends_with("no-such-guest.wasm is missing: `cargo xtask plugins --guests` builds it"),
            "{text}"
        );
    }
}
