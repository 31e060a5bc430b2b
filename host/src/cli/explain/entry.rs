//! A plugin entry as `explain` shows it: its component with the hooks that it exports, its grants and its fault policy.
//!
//! It refuses to compile or run a component, and to show a `config`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::abi::{PACKAGE, VERSION};
use crate::config::{OnFault, PluginEntry};
use crate::engine::{self, MAX_COMPONENT};

/// An entry.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct EntryReport {
    pub(super) name: String,
    /// Where the entry is written.
    pub(super) origin: String,
    pub(super) component: String,
    /// None when the component cannot be read.
    pub(super) hooks: Option<Vec<String>>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    pub(super) grants: Grants,
    pub(super) on_fault: &'static str,
    pub(super) allow_fail_open: bool,
}

/// What an entry is allowed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Grants {
    /// Prefixes of attributes that it may write.
    pub(super) attributes: Vec<String>,
}

/// Components that were looked into, so that none is read twice.
#[derive(Debug, Default)]
pub(super) struct Components(BTreeMap<PathBuf, Result<Vec<String>, String>>);

impl Components {
    /// The entry with what its component says.
    pub(super) fn report(&mut self, entry: &PluginEntry) -> EntryReport {
        let hooks = self
            .0
            .entry(entry.wasm.clone())
            .or_insert_with_key(|path| hooks(path))
            .clone();
        let (hooks, problem) = match hooks {
            Ok(hooks) => (Some(hooks), None),
            Err(problem) => (None, Some(problem)),
        };
        EntryReport {
            name: entry.name.to_string(),
            origin: entry.origin.to_string(),
            component: entry.wasm.display().to_string(),
            hooks,
            problem,
            grants: Grants {
                attributes: entry.grants.attributes.clone(),
            },
            on_fault: match entry.budget.on_fault {
                OnFault::Reject => "reject",
                OnFault::Skip => "skip",
            },
            allow_fail_open: entry.allow_fail_open,
        }
    }
}

/// The hooks of the contract that a component exports.
fn hooks(path: &Path) -> Result<Vec<String>, String> {
    let said = |error: std::io::Error| error.to_string();
    let meta = fs::metadata(path).map_err(said)?;
    if !meta.is_file() {
        return Err("not a regular file".to_owned());
    }
    if meta.len() > MAX_COMPONENT {
        return Err(engine::EngineError::TooLarge { size: meta.len() }.to_string());
    }
    let bytes = fs::read(path).map_err(said)?;
    let names = engine::exports(&bytes).map_err(|error| error.to_string())?;
    let own: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_prefix(PACKAGE)?.strip_prefix('/'))
        .collect();
    if own.is_empty() {
        return Err("no Portcullis plugin".to_owned());
    }
    let mut hooks = Vec::new();
    for name in own {
        match name.split_once('@') {
            Some(("plugin", VERSION)) => {}
            Some((hook, VERSION)) => hooks.push(hook.to_owned()),
            _ => {
                return Err(format!(
                    "built for `{PACKAGE}/{name}`; this gateway offers {VERSION}"
                ));
            }
        }
    }
    Ok(hooks)
}
