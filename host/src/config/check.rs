//! From the tables of the files to the model: one module per kind of table, every problem reported.
//!
//! It refuses to build anything from files with errors: what stands in for a wrong value here never leaves `config`.

mod budget;
mod dns;
mod entry;
mod gateway;
mod grants;
mod http2;
mod listener;
mod network;
mod pipeline;
mod reach;
mod route;
mod rule;
mod store;
mod tick;
mod tls;
mod unused;
mod upgrade;
mod upstream;

use super::model::{Gateway, Listener, PluginEntry, Route, Upstream};
use super::names::{Form, Name, Names};
use super::reader::{Named, Reader};
use super::scope::{Scope, Shared};
use entry::Entries;
use pipeline::Pipelines;
use upstream::Balancers;

/// The parts of a configuration.
pub(super) struct Checked {
    pub(super) gateway: Gateway,
    pub(super) listeners: Vec<Listener>,
    pub(super) plugins: Vec<PluginEntry>,
    pub(super) routes: Vec<Route>,
    pub(super) upstreams: Vec<Upstream>,
}

/// Checks all files: `main`, with its `scope`, and those that it includes. The result is of use only when `shared` has
/// no errors afterwards.
pub(super) fn check<'a>(
    shared: &Shared<'_>,
    scope: &'a Scope<'a>,
    mut main: Reader<'a>,
    included: Vec<Reader<'a>>,
) -> Checked {
    let gateway = main.section("gateway");
    let mut files = vec![main];
    files.extend(included.into_iter().map(only_parts));
    let plugins = named(&mut files, "plugins");
    let upstreams = named(&mut files, "upstreams");
    let listeners = named(&mut files, "listeners");
    let plugin_names = names("plugin", "plugins", &plugins);
    let gateway = gateway::read(gateway, &plugin_names);
    let references = route::References {
        upstreams: names("upstream", "upstreams", &upstreams),
        listeners: names("listener", "listeners", &listeners),
    };
    let stores = store::Stores::read(named(&mut files, "store"));
    let entries = Entries::read(
        plugins,
        plugin_names,
        &gateway,
        &grants::Known {
            upstreams: &references.upstreams,
            stores: &stores,
        },
    );
    let mut pipelines = Pipelines::read(&mut files, entries);
    let listeners = listener::read(listeners, &mut pipelines);
    let places = route::places(&mut files);
    let routes = route::read(&places, &references, &listeners, &mut pipelines);
    let known = &references.upstreams;
    let (names, mut plugins) = pipelines.into_parts();
    let mut balancers = Balancers::new(&names.plugins);
    let upstreams: Vec<_> = upstreams
        .into_iter()
        .map(|named| upstream::read(named, known, &mut balancers))
        .collect();
    balancers.tell(&mut plugins);
    upstream::recourse::refuse_loops(&upstreams, known);
    files.into_iter().for_each(Reader::finish);

    if listeners.is_empty() {
        let help = "add a table such as `[listeners.public]` with an `address`";
        scope.warning_on_file("there is no listener, so the gateway accepts nothing", help);
    }
    let checked = Checked {
        gateway,
        listeners,
        plugins,
        routes,
        upstreams,
    };
    // What is left out because it is wrong would seem unused.
    if !shared.findings.has_errors() {
        unused::warn(&checked, &names, &references.upstreams);
        unused::warn_of_stores(&checked, &stores.names);
        reach::warn(&checked, &places);
    }
    checked
}

/// One plugin entry by itself, with this name: that of a case file. Its component is given elsewhere.
pub(super) fn lone_entry<'a>(mut reader: Reader<'a>, name: &'a str) -> PluginEntry {
    for key in ["wasm", "sha256"] {
        reader.refuse(
            key,
            "the component is named on the command line",
            "remove the key",
        );
    }
    let none = || names("upstream", "upstreams", &[]);
    let plugins = names("plugin", "plugins", &[]);
    let gateway = gateway::read(reader.absent(), &plugins);
    let known = grants::Known {
        upstreams: &none(),
        stores: &store::Stores::read(Vec::new()),
    };
    entry::read_entry(Named { name, reader }, &gateway, &known)
}

/// An included file, which has no settings of the process.
fn only_parts(mut file: Reader<'_>) -> Reader<'_> {
    file.refuse(
        "gateway",
        "an included file cannot have the table `gateway`",
        "move it to the file that is given to the gateway",
    );
    file.refuse(
        "include",
        "an included file cannot include others",
        "name them in the file that is given to the gateway",
    );
    file
}

/// The tables `[KEY.NAME]` of all files, in their order.
fn named<'a>(files: &mut [Reader<'a>], key: &'static str) -> Vec<Named<'a>> {
    files.iter_mut().flat_map(|file| file.named(key)).collect()
}

fn names<'a>(noun: &'static str, section: &'static str, named: &[Named<'a>]) -> Names<'a> {
    let list: Vec<Name<'a>> = named.iter().map(Named::name).collect();
    Names::new(noun, section, Form::Tables, list)
}
