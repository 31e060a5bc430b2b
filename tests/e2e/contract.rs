//! The contract as a file: `wit/` parses, is of the host's version, and has the hooks and imports that this version
//! promises.

use std::path::Path;

use portcullis_host::abi::{PACKAGE, VERSION};
use wit_parser::{Interface, PackageId, Resolve, Type, TypeDefKind, World, WorldItem};

/// Interfaces that a plugin may export and this version of the host calls.
const HOOKS: [&str; 8] = [
    "on-request",
    "on-request-body",
    "on-response",
    "on-response-body",
    "on-error",
    "on-finish",
    "responder",
    "on-tick",
];

/// Interfaces that a plugin may import.
const IMPORTS: [&str; 7] = [
    "types", "exchange", "log", "metrics", "clock", "shared", "counters",
];

/// Imports that may make the guest wait. A plugin that was granted none of them must get an error, not a trap.
const WAITING: [&str; 4] = ["cluster-counters", "cluster-map", "flights", "http-client"];

struct Contract {
    resolve: Resolve,
    package: PackageId,
}

impl Contract {
    fn parse() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let mut resolve = Resolve::new();
        let (package, _) = resolve.push_dir(&folder).expect("the package parses");
        Self { resolve, package }
    }

    fn world(&self, name: &str) -> &World {
        let id = self.resolve.packages[self.package].worlds.get(name);
        &self.resolve.worlds[*id.unwrap_or_else(|| panic!("no world `{name}`"))]
    }

    fn interface(&self, name: &str) -> &Interface {
        let id = self.resolve.packages[self.package].interfaces.get(name);
        &self.resolve.interfaces[*id.unwrap_or_else(|| panic!("no interface `{name}`"))]
    }

    /// Names of the interfaces among these items of a world.
    fn names<'a>(&'a self, items: impl IntoIterator<Item = &'a WorldItem>) -> Vec<&'a str> {
        let named = items.into_iter().filter_map(|item| match item {
            WorldItem::Interface { id, .. } => self.resolve.interfaces[*id].name.as_deref(),
            _ => None,
        });
        named.collect()
    }
}

#[test]
fn the_package_is_of_the_version_that_the_host_links() {
    let contract = Contract::parse();
    let name = &contract.resolve.packages[contract.package].name;
    assert_eq!(format!("{}:{}", name.namespace, name.name), PACKAGE);
    assert_eq!(
        name.version.as_ref().map(ToString::to_string).as_deref(),
        Some(VERSION)
    );
}

#[test]
fn every_hook_can_be_exported_and_has_one_function() {
    let contract = Contract::parse();
    let exports = contract.names(contract.world("everything").exports.values());
    for hook in HOOKS {
        assert!(exports.contains(&hook), "{hook} is not among {exports:?}");
        let functions: Vec<_> = contract.interface(hook).functions.keys().collect();
        assert_eq!(functions, ["handle"], "{hook}");
    }
    let plugin: Vec<_> = contract.interface("plugin").functions.keys().collect();
    assert_eq!(plugin, ["describe", "configure"]);
}

#[test]
fn every_import_can_be_imported() {
    let contract = Contract::parse();
    let imports = contract.names(contract.world("imports").imports.values());
    for import in IMPORTS.iter().chain(&WAITING) {
        assert!(imports.contains(import), "{import} is not among {imports:?}");
    }
}

#[test]
fn a_plugin_without_hooks_is_a_plugin() {
    let contract = Contract::parse();
    let minimal = contract.world("minimal");
    assert_eq!(contract.names(minimal.exports.values()), ["plugin"]);
    assert_eq!(minimal.exports.len(), 1);
}

#[test]
fn whatever_may_wait_can_answer_an_error() {
    let contract = Contract::parse();
    for name in WAITING {
        let functions = &contract.interface(name).functions;
        assert!(!functions.is_empty(), "{name} has no function");
        for (function, signature) in functions {
            let fails = matches!(signature.result, Some(Type::Id(id))
                if matches!(contract.resolve.types[id].kind, TypeDefKind::Result(_)));
            assert!(fails, "{name}.{function} cannot answer `denied`");
        }
    }
}
