//! From the tables of the file to the model: one module per kind of table, every problem reported.
//!
//! It refuses to build anything from a file with errors: what stands in for a wrong value here never leaves `config`.

mod budget;
mod entry;
mod gateway;
mod listener;
mod network;
mod route;
mod rule;
mod upstream;

use toml::de::DeTable;

use super::model::{Gateway, Listener, PluginEntry, Route, Upstream};
use super::names::Names;
use super::reader::Reader;
use super::scope::Scope;
use entry::Entries;

/// The parts of a configuration.
pub(super) struct Checked {
    pub(super) gateway: Gateway,
    pub(super) listeners: Vec<Listener>,
    pub(super) plugins: Vec<PluginEntry>,
    pub(super) routes: Vec<Route>,
    pub(super) upstreams: Vec<Upstream>,
}

/// Checks the whole file. The result is of use only when `scope` has no errors afterwards.
pub(super) fn check<'a>(scope: &'a Scope<'a>, file: &'a DeTable<'a>) -> Checked {
    let mut root = Reader::root(scope, file);
    let gateway = gateway::read(root.section("gateway"));
    let plugins = root.named("plugins");
    let upstreams = root.named("upstreams");
    let listeners = root.named("listeners");
    let names = route::Routing {
        upstreams: &Names::new("upstream", "upstreams", &upstreams),
        listeners: &Names::new("listener", "listeners", &listeners),
    };

    let mut entries = Entries::read(plugins, &gateway);
    let listeners = listener::read(listeners, &mut entries);
    let routes = route::read(&mut root, &names, &mut entries);
    let upstreams = upstreams.into_iter().map(upstream::read).collect();
    root.finish();
    if listeners.is_empty() {
        let help = "add a table such as `[listeners.public]` with an `address`";
        scope.warning_on_file("there is no listener, so the gateway accepts nothing", help);
    }
    Checked {
        gateway,
        listeners,
        plugins: entries.into_list(),
        routes,
        upstreams,
    }
}
