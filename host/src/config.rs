//! The configuration: from a TOML file to a checked model, or to all of its problems at once.
//!
//! Text -> tables with spans (`toml`) -> checks that read them key by key (`reader`, `check`) -> `model`. A problem is
//! a `diagnostic` with file, line, column, the source line and help. It refuses to start, open or watch anything, to
//! know what a plugin's `config` means, and to show what came in through a reference.

mod check;
mod diagnostic;
mod model;
mod names;
mod origin;
mod plugin_config;
mod reader;
mod reference;
mod scope;
mod secret;
mod source;
mod suggest;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sha2::Digest;
use toml::de::DeTable;

pub use diagnostic::{Diagnostic, Excerpt, Problems, Severity};
pub use model::{
    AccessLog, AccessLogSink, BodyOverflow, Budget, Config, EncodedSeparators, Endpoint, Gateway, Listener,
    ListenerLimits, Log, LogFormat, OnFault, PluginEntry, Route, Target, Upstream,
};
pub use origin::Origin;
pub use plugin_config::PluginConfig;
pub use reference::{
    Environment, MAX_GLOB_MATCHES, MAX_REFERENCED_FILE, MAX_REFERENCED_TOTAL, ProcessEnvironment,
};

use scope::Scope;
use source::Source;

/// Largest configuration file, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Loads the configuration file at `path`, with the variables of this process.
///
/// # Errors
/// Everything that is wrong with the file, also that it cannot be read, is larger than [`MAX_FILE`] or is not UTF-8.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_watching(path).0
}

/// As [`load`], with every file and folder that was looked at, missing ones included: a change of one of them may put a
/// wrong configuration right.
pub fn load_watching(path: &Path) -> (Result<Config, Problems>, BTreeSet<PathBuf>) {
    match reference::read_text(path, MAX_FILE) {
        Ok(text) => parse_watching(path, &text, &ProcessEnvironment),
        Err(error) => {
            let problem = Diagnostic {
                severity: Severity::Error,
                origin: Origin::whole(path),
                message: error.to_string(),
                help: None,
                excerpt: None,
            };
            (Err(Problems(vec![problem])), BTreeSet::from([path.to_path_buf()]))
        }
    }
}

/// Checks the text of a configuration. Paths in it are relative to the folder of `file`; files that it refers to are
/// read, variables are looked up in `environment`.
///
/// # Errors
/// Everything that is wrong, in the order of the file, and its warnings. A syntax error comes alone.
pub fn parse(file: &Path, text: &str, environment: &dyn Environment) -> Result<Config, Problems> {
    parse_watching(file, text, environment).0
}

fn parse_watching(
    file: &Path,
    text: &str,
    environment: &dyn Environment,
) -> (Result<Config, Problems>, BTreeSet<PathBuf>) {
    // The tables of a text with syntax errors serve to mask what stands beside the error.
    let (tables, errors) = DeTable::parse_recoverable(text);
    let tables = tables.into_inner();
    let source = Source::new(file, text).with_masks(&tables);
    if let Some(error) = errors.first() {
        let span = error.span().unwrap_or(0..0);
        let problem = source.diagnostic(Severity::Error, &span, error.message().to_owned());
        return (Err(Problems(vec![problem])), BTreeSet::from([file.to_path_buf()]));
    }
    let scope = Scope::new(file, source, environment);
    let checked = check::check(&scope, &tables);
    let (found, mut inputs, content) = scope.into_found();
    inputs.insert(file.to_path_buf());
    if found
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error)
    {
        return (Err(Problems(found)), inputs);
    }
    let config = Config {
        gateway: checked.gateway,
        listeners: checked.listeners,
        plugins: checked.plugins,
        routes: checked.routes,
        upstreams: checked.upstreams,
        inputs: inputs.iter().cloned().collect(),
        fingerprint: content.chain_update(text).finalize().into(),
        warnings: found,
    };
    (Ok(config), inputs)
}

#[cfg(test)]
mod tests;
