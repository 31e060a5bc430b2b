//! The codes of all errors: the host's own kinds, and what each plugin's README lists under `## Errors`. From them comes
//! `docs/errors.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use portcullis_host::message::problem::ErrorKind;

/// The code of a refusal that a plugin of the SDK for Rust makes of an error it did not foresee.
const UNFORESEEN: &str = "plugin-error";

/// One row of a plugin's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The code.
    pub code: String,
    /// Status code, or several.
    pub status: String,
    /// When it is sent.
    pub when: String,
}

/// The repository's folder.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in a folder of the repository")
        .to_owned()
}

/// The names of all plugins, sorted.
///
/// # Panics
/// When their folder cannot be read.
#[must_use]
pub fn plugins() -> Vec<String> {
    let folder = fs::read_dir(root().join("plugins")).expect("a folder of plugins");
    let folders = folder.map(|entry| entry.expect("an entry of a folder"));
    let mut names: Vec<_> = folders
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What a plugin's README lists under `## Errors`.
///
/// # Panics
/// When there is no README, or a row has not three columns with the code between back-quotes.
#[must_use]
pub fn of_plugin(name: &str) -> Vec<Row> {
    let path = root().join("plugins").join(name).join("README.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let Some((_, section)) = text.split_once("\n## Errors\n") else {
        return Vec::new();
    };
    let section = section.split("\n## ").next().unwrap_or_default();
    let table = section
        .lines()
        .skip_while(|line| !line.starts_with("| code | status | when |"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').splitn(3, '|').map(str::trim).collect();
        let [code, status, when] = cells[..] else {
            panic!("{}: {line}", path.display());
        };
        let code = code.strip_prefix('`').and_then(|code| code.strip_suffix('`'));
        Row {
            code: code
                .unwrap_or_else(|| panic!("{}: no code in {line}", path.display()))
                .to_owned(),
            status: status.to_owned(),
            when: when.to_owned(),
        }
    })
    .collect()
}

/// Whether the code is the host's or of a plugin of this repository.
#[must_use]
pub fn is_documented(code: &str) -> bool {
    static CODES: OnceLock<BTreeSet<String>> = OnceLock::new();
    let codes = CODES.get_or_init(|| {
        let host = ErrorKind::ALL.iter().map(|kind| kind.code().to_owned());
        let plugins = plugins().into_iter().flat_map(|name| of_plugin(&name));
        host.chain(plugins.map(|row| row.code))
            .chain([UNFORESEEN.to_owned()])
            .collect()
    });
    codes.contains(code)
}

/// `docs/errors.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         <!-- Generated: cargo run -p portcullis-tests --example error_codes > docs/errors.md -->\n\n\
         Every error answer of the gateway and of its plugins is a problem document (RFC 9457, `application/problem+json`). Its member \
         `code` is stable: programs may tell errors by it. `instance` ends with the id of the request, which is in the access log, too. \
         `type` is `urn:portcullis:error:CODE` for the gateway's own errors and `urn:portcullis:plugin-error:CODE` for those of plugins.\n\n\
         ## The gateway's own\n\n\
         Origin is whose doing it is; the metric `portcullis_http_errors_total` has the same label.\n\n\
         | code | status | origin | when |\n|---|---|---|---|\n",
    );
    for kind in ErrorKind::ALL {
        let (code, status, origin) = (kind.code(), kind.status().as_u16(), kind.origin().as_str());
        line(
            &mut page,
            format_args!("| `{code}` | {status} | {origin} | {} |", kind.meaning()),
        );
    }
    page.push_str(
        "\n`plugin-refused` is the kind of all refusals by plugins in the log; the answer carries the plugin's own status and code.\n\n\
         ## Of plugins\n\n| code | status | plugin | when |\n|---|---|---|---|\n",
    );
    line(
        &mut page,
        format_args!(
            "| `{UNFORESEEN}` | 500 | any in Rust | The plugin met an error that it did not foresee; the log says which. |"
        ),
    );
    for name in plugins() {
        for Row { code, status, when } in of_plugin(&name) {
            line(
                &mut page,
                format_args!("| `{code}` | {status} | [`{name}`](../plugins/{name}/README.md) | {when} |"),
            );
        }
    }
    page
}

fn line(page: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(page, "{line}").expect("a string takes all");
}
