//! `[[routes]]`: name, listeners, pipeline and target.
//!
//! It refuses to know which of two routes wins; what a route matches is read by `rule`.

use std::collections::HashMap;
use std::time::Duration;

use super::super::model::{Listener, Mirror, Route, Target};
use super::super::names::{Names, check_name, taken};
use super::super::origin::Origin;
use super::super::reader::{Reader, is_text};
use super::super::scope::{Node, Scope};
use super::super::secret::quoted;
use super::entry::Place;
use super::pipeline::{MAX_STAGES, Pipelines, count};
use super::upstream::recourse;
use super::{rule, upgrade};
use crate::clock::give_way;

/// What route tables refer to by name.
pub(super) struct References<'a> {
    pub(super) upstreams: Names<'a>,
    pub(super) listeners: Names<'a>,
}

/// A route's table with its place.
pub(super) struct RoutePlace<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) node: &'a Node<'a>,
    path: String,
}

/// The tables `[[routes]]` of all files, in their order.
pub(super) fn places<'a>(files: &mut [Reader<'a>]) -> Vec<RoutePlace<'a>> {
    let mut places = Vec::new();
    for file in files {
        let scope = file.scope();
        for (index, node) in file.list("routes").into_iter().flatten().enumerate() {
            let path = format!("routes[{index}]");
            places.push(RoutePlace { scope, node, path });
        }
    }
    places
}

/// All routes. Without errors, as many as there are places.
pub(super) fn read<'a>(
    places: &[RoutePlace<'a>],
    references: &References<'a>,
    listeners: &[Listener],
    pipelines: &mut Pipelines<'a>,
) -> Vec<Route> {
    let mut taken = HashMap::new();
    let mut routes = Vec::with_capacity(places.len());
    let longest = listeners.iter().map(|listener| count(&listener.pipeline)).max();
    // What any route may add to what it inherits, whatever its listeners.
    let free = MAX_STAGES.saturating_sub(longest.unwrap_or(0));
    for RoutePlace { scope, node, path } in places {
        give_way();
        let mut reader = Reader::of(scope, node, node.span(), path.clone());
        let name = name(&mut reader, &mut taken);
        let route = references.route(&mut reader, &name, pipelines);
        if let Some(route) = &route
            && route.inherit
            && count(&route.pipeline) > free
        {
            check_length(&mut reader, route, listeners);
        }
        reader.finish();
        routes.extend(route);
    }
    routes
}

impl<'a> References<'a> {
    /// One route; none when a part of it cannot even be stood in for, which is reported.
    fn route(&self, reader: &mut Reader<'a>, name: &str, pipelines: &mut Pipelines<'a>) -> Option<Route> {
        let scope = reader.scope();
        let rule = rule::read(reader.section("match"));
        let listeners = self.listeners(reader);
        let pipeline = pipelines.of(reader, name);
        let target = self.target(reader, name, pipelines);
        let inherit = reader.flag("inherit").unwrap_or(true);
        let timeout = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        let timeout = reader.optional_time("timeout", timeout);
        let max_body = reader.optional_size("max-body", 0..=u64::MAX);
        let upgrades = upgrade::read(reader);
        let retries = recourse::retries(reader);
        let mirror = self.mirror(reader.section("mirror"));
        let origin = scope.origin(reader.at());
        Some(Route {
            name: name.into(),
            rule: rule?,
            listeners,
            pipeline,
            inherit,
            target: target?,
            retries,
            mirror,
            timeout,
            max_body,
            upgrades,
            origin,
        })
    }

    fn mirror(&self, mut reader: Reader<'_>) -> Option<Mirror> {
        let scope = reader.scope();
        let text = reader.required_text("upstream", "the name of the upstream that gets the copies");
        let upstream = text.and_then(|text| self.upstreams.find(scope, &text));
        let (percent, max_body) = (
            reader.number("percent", 0..=100, 100),
            reader.size("max-body", 0..=16 << 20, 64 << 10),
        );
        let max_concurrent = reader.number("max-concurrent", 1..=10_000, 64);
        reader.finish();
        Some(Mirror {
            upstream: upstream?,
            percent,
            max_body,
            max_concurrent,
        })
    }

    fn listeners(&self, reader: &mut Reader<'_>) -> Option<Vec<usize>> {
        let scope = reader.scope();
        let texts = reader.texts("listeners", "leave it out for a route on all listeners")?;
        let mut listeners: Vec<usize> = texts
            .iter()
            .filter_map(|text| self.listeners.find(scope, text))
            .collect();
        listeners.sort_unstable();
        listeners.dedup();
        Some(listeners)
    }

    fn target(&self, reader: &mut Reader<'a>, name: &str, pipelines: &mut Pipelines<'a>) -> Option<Target> {
        let scope = reader.scope();
        reader.require(
            "upstream",
            "the name of an upstream, or `{ plugin = \"NAME\" }` for a plugin that answers",
        );
        let (_, node) = reader.entry("upstream")?;
        if node.get_ref().is_table() && !is_text(node) {
            let entries = pipelines.entries();
            let entry = entries.with_overrides(scope, node, name, Place::Upstream)?;
            return Some(Target::Responder(entry));
        }
        let text = scope.text("`upstream`", node)?;
        self.upstreams.find(scope, &text).map(Target::Upstream)
    }
}

/// Reports a route whose stages are too many together with those that it inherits from a listener.
fn check_length(reader: &mut Reader<'_>, route: &Route, listeners: &[Listener]) {
    let free = MAX_STAGES.saturating_sub(count(&route.pipeline));
    let inherited = listeners
        .iter()
        .enumerate()
        .filter(|(index, _)| route.is_on(*index))
        .find(|(_, listener)| count(&listener.pipeline) > free);
    if let (Some((_, listener)), Some((at, _))) = (inherited, reader.entry("pipeline")) {
        let stages = count(&listener.pipeline);
        let name = quoted(&listener.name);
        let message = format!("with the {stages} stages of listener {name} these are more than {MAX_STAGES}");
        let help = "say `inherit = false`, or leave stages out";
        reader.scope().error_with_help(&at, message, help);
    }
}

/// The name of a route, which no other may have. `names` holds the places of the names so far.
fn name(reader: &mut Reader<'_>, names: &mut HashMap<String, Origin>) -> String {
    let scope = reader.scope();
    let help = "a name for logs, metrics and `explain`, different from that of every other route";
    let Some(text) = reader.required_text("name", help) else {
        return String::new();
    };
    check_name(scope, text.at(), &text.shown(), text.as_str());
    let origin = scope.origin(text.at());
    if let Some(first) = names.insert(text.as_str().to_owned(), origin) {
        taken(scope, text.at(), &text.shown(), "route", Some(&first));
    }
    text.as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::config::tests::{entries, errors, parsed};
    use crate::route::{FieldMatch, FieldTest};

    use super::*;

    const UPSTREAM: &str = "[upstreams.u]\nendpoints = ['127.0.0.1:1']\n";

    #[test]
    fn a_route_without_conditions_matches_everything() {
        let config = parsed(&format!("{UPSTREAM}[[routes]]\nname = 'all'\nupstream = 'u'\n"));
        let route = &config.routes[0];
        assert!(
            route.rule.hosts.is_empty() && route.rule.methods.is_empty() && route.rule.headers.is_empty()
        );
        assert!(route.rule.query.is_empty() && route.rule.client_ip.is_empty() && route.rule.sni.is_empty());
        assert_eq!(
            (route.listeners.as_ref(), route.timeout, route.max_body),
            (None, None, None)
        );
        assert_eq!(route.target, Target::Upstream(0));
        assert!(route.inherit && route.pipeline.is_empty());
        assert_eq!(route.origin.to_string(), "conf/gateway.toml:3:1");
    }

    #[test]
    fn every_key_is_read() {
        let config = parsed(&format!(
            "{UPSTREAM}[plugins.a]\n[listeners.x]\naddress = '127.0.0.1:0'\n[listeners.y]\n\
             address = '127.0.0.1:0'\n[[routes]]\nname = 'r'\nlisteners = ['y']\npipeline = ['a']\n\
             inherit = false\nupstream = 'u'\ntimeout = '3s'\nmax-body = '1KiB'\n[routes.match]\n\
             host = ['api.example.com', '*.example.com']\npath = '/v1/orders/{{id}}'\nmethods = ['GET', 'PURGE']\n\
             client-ip = ['10.0.0.0/8']\nsni = ['a.example', '*.b.example']\n[routes.match.headers]\nX-A = 'v'\nx-b = {{ present = true }}\n\
             x-c = {{ prefix = 'p' }}\n[routes.match.query]\nPage = '1'\n"
        ));
        let route = &config.routes[0];
        assert_eq!(route.listeners, Some(vec![1]));
        assert_eq!((entries(&route.pipeline), route.inherit), (vec![0], false));
        assert_eq!(route.timeout, Some(Duration::from_secs(3)));
        assert_eq!(route.max_body, Some(1024));
        assert_eq!(route.rule.hosts.len(), 2);
        assert_eq!(
            route.rule.methods,
            [Method::GET, Method::from_bytes(b"PURGE").unwrap()]
        );
        assert_eq!(route.rule.client_ip.len(), 1);
        let names: Vec<_> = route.rule.sni.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.example", "*.b.example"]);
        let test = |field: &FieldMatch| format!("{} {:?}", field.name, field.test);
        let headers: Vec<_> = route.rule.headers.iter().map(test).collect();
        assert_eq!(headers, ["x-a Exact(\"v\")", "x-b Present", "x-c Prefix(\"p\")"]);
        assert_eq!(test(&route.rule.query[0]), "Page Exact(\"1\")");
    }

    #[test]
    fn a_plugin_can_be_the_target() {
        let config = parsed(
            "[plugins.mock]\n[[routes]]\nname = 'a'\nupstream = { plugin = 'mock' }\n[[routes]]\nname = 'b'\n\
             upstream = { plugin = 'mock', config = { status = 204 } }\n",
        );
        assert_eq!(config.routes[0].target, Target::Responder(0));
        assert_eq!(config.routes[1].target, Target::Responder(1));
        assert_eq!(&*config.plugins[1].name, "mock@b#upstream");
    }

    #[test]
    fn a_reference_can_stand_for_any_string() {
        let config = parsed(&format!(
            "{UPSTREAM}[[routes]]\nname = 'r'\nupstream = {{ env = 'UPSTREAM' }}\n\
             match.headers = {{ env = 'literal', x-key = {{ env = 'TOKEN' }} }}\n"
        ));
        let route = &config.routes[0];
        assert_eq!(route.target, Target::Upstream(0));
        assert!(matches!(&route.rule.headers[0].test, FieldTest::Exact(value) if value == "literal"));
        assert!(matches!(&route.rule.headers[1].test, FieldTest::Exact(value) if value == "hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_route_needs_a_name_and_a_target() {
        insta::assert_snapshot!(errors("[[routes]]\n"), @r#"
        error: missing key `name` in `routes[0]`
         --> gateway.toml:1:1
          |
        1 | [[routes]]
          | ^^^^^^^^^^
          = help: a name for logs, metrics and `explain`, different from that of every other route

        error: missing key `upstream` in `routes[0]`
         --> gateway.toml:1:1
          |
        1 | [[routes]]
          | ^^^^^^^^^^
          = help: the name of an upstream, or `{ plugin = "NAME" }` for a plugin that answers
        "#);
    }

    #[test]
    fn an_unknown_upstream_or_listener_is_refused() {
        let text = format!(
            "{UPSTREAM}[[routes]]\nname = 'r'\nupstream = 'orders'\nlisteners = ['public', {{ env = 'TOKEN' }}]\n"
        );
        insta::assert_snapshot!(errors(&text), @"
        error: unknown upstream `orders`
         --> gateway.toml:5:12
          |
        5 | upstream = 'orders'
          |            ^^^^^^^^
          = help: add a table `[upstreams.orders]`, or use one of: u

        error: unknown listener `public`
         --> gateway.toml:6:14
          |
        6 | listeners = ['public', { env = 'TOKEN' }]
          |              ^^^^^^^^
          = help: add a table `[listeners.public]`

        error: the value of environment variable `TOKEN` is not the name of any listener
         --> gateway.toml:6:24
          |
        6 | listeners = ['public', { env = 'TOKEN' }]
          |                        ^^^^^^^^^^^^^^^^^
          = help: add it as a table of `[listeners]`
        ");
    }

    #[test]
    fn names_are_used_once() {
        let text = format!(
            "{UPSTREAM}[[routes]]\nname = 'r'\nupstream = 'u'\n[[routes]]\nname = 'r'\nupstream = 'u'\n"
        );
        insta::assert_snapshot!(errors(&text), @"
        error: `r` is already the name of the route on line 4
         --> gateway.toml:7:8
          |
        7 | name = 'r'
          |        ^^^
        ");
    }
}
