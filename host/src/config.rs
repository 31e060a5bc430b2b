//! The configuration: from TOML files to a checked model, or to all of its problems at once.
//!
//! Text -> tables with spans (`document`) -> more files (`include`) -> checks that read them key by key (`reader`, `check`) -> `model`. A problem is
//! a `diagnostic` with file, line, column, the source line and help. It refuses to start, open or watch anything, to
//! know what a plugin's `config` means, and to show what came in through a reference.

pub mod cases;
mod check;
mod diagnostic;
mod document;
mod findings;
mod include;
mod inputs;
pub mod manual;
mod model;
mod names;
mod origin;
mod plugin_config;
mod private;
mod reader;
mod reference;
mod scope;
mod secret;
mod source;
mod suggest;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest;

pub use diagnostic::{Diagnostic, Excerpt, Problems, Severity};
pub use include::{MAX_INCLUDED, MAX_INCLUDED_FILE, MAX_INCLUDED_TOTAL};
pub use inputs::{MAX_GLOB_MATCHES, MAX_REFERENCED_FILE, MAX_REFERENCED_TOTAL};
pub use model::{
    AccessLog, AccessLogSink, Balance, BodyOverflow, Budget, Condition, Config, Dns, Element,
    EncodedSeparators, Endpoint, Fallback, Family, Gateway, HashOn, Http2, Listed, Listener, ListenerLimits,
    ListenerTls, Log, LogFormat, Mirror, OnFault, PluginEntry, Policy, Protocols, Recourse, Retries,
    RetryBudget, Route, SameSite, SlowStart, Source, StaticAnswer, Step, Sticky, Target, Upgrades, Upstream,
    UpstreamProtocol,
};
pub use model::{
    Breaker, BreakerScope, Care, GrpcCheck, HealthCheck, HealthProbe, HttpCheck, Outlier, UpstreamLimits,
};
pub use model::{Grants, HostPattern, HttpGrant, HttpScheme, TickRules};
pub use model::{Secret, Store, StoreAddress, StorePlace, StoreServers};
pub use origin::Origin;
pub use plugin_config::PluginConfig;
pub use private::is_private;
pub use reference::{Environment, ProcessEnvironment};

use check::Checked;
use document::Document;
use reader::Reader;
use scope::{Scope, Shared};

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
    match inputs::read_text(path, MAX_FILE) {
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

/// Checks the text of a configuration. Paths in it are relative to the folder of `file`; files that it includes or
/// refers to are read, variables are looked up in `environment`.
///
/// # Errors
/// Everything that is wrong, in the order of the files, and the warnings. Syntax errors, and files that cannot be
/// included, come alone.
pub fn parse(file: &Path, text: &str, environment: &dyn Environment) -> Result<Config, Problems> {
    parse_watching(file, text, environment).0
}

fn parse_watching(
    file: &Path,
    text: &str,
    environment: &dyn Environment,
) -> (Result<Config, Problems>, BTreeSet<PathBuf>) {
    let shared = Shared::new(environment);
    shared.inputs.saw(file);
    let checked = check_files(&shared, file, text);
    let broken = shared.findings.has_errors();
    let found = shared.findings.into_list(&Origin::whole(file));
    let (inputs, content) = shared.inputs.into_parts();
    let checked = match checked {
        Some(checked) if !broken => checked,
        _ => return (Err(Problems(found)), inputs),
    };
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

/// The parts of a configuration that `file` with this `text` and the files that it includes make. What is wrong is
/// found afterwards in `shared`; none when there was no use in going on.
fn check_files(shared: &Shared<'_>, file: &Path, text: &str) -> Option<Checked> {
    let main = Document::parse(file, text);
    if is_broken(shared, [&main]) {
        return None;
    }
    let scope = Scope::new(file, Arc::clone(&main.source), 0, shared);
    let mut root = Reader::root(&scope, &main.tables);
    let included = include::read(&mut root, file, &shared.inputs);
    let documents: Vec<_> = included
        .iter()
        .map(|included| Document::parse(&included.file, &included.text))
        .collect();
    if is_broken(shared, &documents) || shared.findings.has_errors() {
        return None;
    }
    let scopes: Vec<_> = included
        .iter()
        .zip(&documents)
        .zip(1..)
        .map(|((included, document), rank)| {
            Scope::new(&included.file, Arc::clone(&document.source), rank, shared)
        })
        .collect();
    let others = scopes
        .iter()
        .zip(&documents)
        .map(|(scope, document)| Reader::root(scope, &document.tables))
        .collect();
    Some(check::check(shared, &scope, root, others))
}

/// Reports the syntax errors of these files.
fn is_broken<'d>(shared: &Shared<'_>, documents: impl IntoIterator<Item = &'d Document<'d>>) -> bool {
    let mut broken = false;
    for (rank, document) in documents.into_iter().enumerate() {
        if let Some(error) = &document.broken {
            shared.findings.add(rank, Severity::Error, || error.clone());
            broken = true;
        }
    }
    broken
}

#[cfg(test)]
mod tests;
