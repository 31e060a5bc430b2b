//! Linking: what a component may import, checked name by name before wasmtime sees it, so that a wrong
//! version or a foreign import is refused in the operator's words.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::{HostState, deny, imports, wasi};

/// The contract's package, with the version that plugins must name.
pub const PACKAGE: &str = "portcullis:gateway";
/// Version of the contract; a pre-release matches only itself.
pub const VERSION: &str = "0.1.0-draft";

/// Interfaces that every plugin may call.
const SERVED: [&str; 8] = [
    "types", "exchange", "log", "metrics", "clock", "random", "shared", "counters",
];
/// Interfaces of the contract whose every function, if they have any, answers `denied` where they are not granted.
const DENIED: [&str; 7] = [
    "cluster-counters",
    "cluster-map",
    "flights",
    "http-client",
    "upstreams",
    "consumers",
    "admin",
];
/// WASI packages that standard libraries import.
const WASI: [&str; 6] = [
    "wasi:cli/",
    "wasi:io/",
    "wasi:clocks/",
    "wasi:random/",
    "wasi:filesystem/",
    "wasi:sockets/",
];

/// Why a component does not fit the contract.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It imports something that the host does not offer.
    #[error("imports `{0}`, which the gateway does not offer")]
    Foreign(String),
    /// It was built against another version of the contract.
    #[error("is built for `{found}`; this gateway offers {PACKAGE}@{VERSION}")]
    Version {
        /// The import or export as the component names it.
        found: String,
    },
    /// It does not export `plugin`.
    #[error("does not export `{PACKAGE}/plugin@{VERSION}`: it is no Portcullis plugin")]
    NotAPlugin,
    /// The types of an import or export differ from the contract's.
    #[error("does not fit the contract: {0}")]
    Mismatch(String),
}

/// A component that fits, and what it wants and offers.
#[derive(Clone)]
pub struct Linked {
    /// Ready to instantiate.
    pub pre: InstancePre<HostState>,
    /// Interfaces of the contract that it imports, short names.
    pub imports: Vec<String>,
    /// Hooks that it exports, short names.
    pub hooks: Vec<String>,
    /// It has imports that may wait, so its calls need a fiber.
    pub waits: bool,
}

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked")
            .field("imports", &self.imports)
            .field("hooks", &self.hooks)
            .finish_non_exhaustive()
    }
}

/// Links a component against what the host offers. Of the imports that may wait it gets those that are `granted`.
///
/// # Errors
/// When it wants or offers something that is not the contract's.
pub fn link(engine: &wasmtime::Engine, component: &Component, granted: &[&str]) -> Result<Linked, LinkError> {
    let ty = component.component_type();
    let mut linker = Linker::new(engine);
    let mismatch = |e: wasmtime::Error| LinkError::Mismatch(format!("{e:#}"));
    add_served(&mut linker).map_err(mismatch)?;
    let mut imported = Vec::new();
    let mut waits = false;
    for (name, item) in ty.imports(engine) {
        if WASI.iter().any(|package| name.starts_with(package)) {
            continue;
        }
        let Some(short) = own(name)? else {
            return Err(LinkError::Foreign(name.to_owned()));
        };
        if granted.contains(&short) {
            add_waiting(&mut linker, short).map_err(mismatch)?;
            waits = true;
        } else if DENIED.contains(&short) {
            if let ComponentItem::ComponentInstance(interface) = &item.ty {
                deny::define(engine, &mut linker, name, interface).map_err(mismatch)?;
            }
        } else if !SERVED.contains(&short) {
            return Err(LinkError::Foreign(name.to_owned()));
        }
        imported.push(short.to_owned());
    }
    let mut hooks = Vec::new();
    for (name, _) in ty.exports(engine) {
        // Toolchains add exports of their own (`exports`, `init`); they are none of ours.
        if let Some(short) = own(name)? {
            hooks.push(short.to_owned());
        }
    }
    if !hooks.iter().any(|hook| hook == "plugin") {
        return Err(LinkError::NotAPlugin);
    }
    let pre = linker.instantiate_pre(component).map_err(mismatch)?;
    Ok(Linked {
        pre,
        imports: imported,
        hooks,
        waits,
    })
}

/// The short name of one of the contract's own interfaces; none for anything else.
fn own(name: &str) -> Result<Option<&str>, LinkError> {
    let Some(rest) = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/')) else {
        return Ok(None);
    };
    match rest.split_once('@') {
        Some((short, VERSION)) => Ok(Some(short)),
        _ => Err(LinkError::Version {
            found: name.to_owned(),
        }),
    }
}

/// An interface whose functions may suspend the guest.
fn add_waiting(linker: &mut Linker<HostState>, short: &str) -> wasmtime::Result<()> {
    type Own = HasSelf<HostState>;
    match short {
        "http-client" => imports::http_client::add_to_linker::<_, Own>(linker, |s| s),
        "cluster-counters" => imports::cluster_counters::add_to_linker::<_, Own>(linker, |s| s),
        "cluster-map" => imports::cluster_map::add_to_linker::<_, Own>(linker, |s| s),
        "flights" => imports::flights::add_to_linker::<_, Own>(linker, |s| s),
        other => wasmtime::bail!("`{other}` cannot be granted"),
    }
}

fn add_served(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    type Own = HasSelf<HostState>;
    wasi::link(linker)?;
    imports::types::add_to_linker::<_, Own>(linker, |s| s)?;
    imports::exchange::add_to_linker::<_, Own>(linker, |s| s)?;
    imports::log::add_to_linker::<_, Own>(linker, |s| s)?;
    imports::metrics::add_to_linker::<_, Own>(linker, |s| s)?;
    imports::clock::add_to_linker::<_, Own>(linker, |s| s)?;
    imports::random::add_to_linker::<_, Own>(linker, |s| s)?;
    imports::shared::add_to_linker::<_, Own>(linker, |s| s)?;
    imports::counters::add_to_linker::<_, Own>(linker, |s| s)
}
