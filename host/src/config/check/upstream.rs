//! `[upstreams.NAME]`: endpoints, timeouts and kept connections.
//!
//! It refuses to resolve or connect to an endpoint.

mod balance;
mod balancer;
mod care;
pub(super) mod recourse;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::super::model::{Listed, Source, Upstream};
use super::super::names::Names;
use super::super::reader::{Named, Reader, is_text};
use super::super::scope::{Node, Scope};
use super::super::secret::quoted;
use super::{http2, network, tls};

pub(super) use balancer::Balancers;

/// Most endpoints of one upstream.
const MAX_ENDPOINTS: usize = 1024;
/// Most labels of an endpoint.
const MAX_LABELS: usize = 16;
/// Longest name and value of a label, in bytes.
const MAX_LABEL: usize = 128;

/// One upstream.
pub(super) fn read(
    Named { name, mut reader }: Named<'_>,
    upstreams: &Names<'_>,
    balancers: &mut Balancers<'_>,
) -> Upstream {
    let second = Duration::from_secs(1);
    let times = || Duration::from_millis(1)..=24 * 3600 * second;
    let endpoints = endpoints(&mut reader);
    let protocol = http2::upstream(&mut reader);
    let upstream = Upstream {
        name: name.into(),
        tls: tls::upstream(reader.section("tls"), &endpoints, protocol),
        endpoints,
        protocol,
        balance: balance::read(&mut reader, balancers),
        connect_timeout: reader.time("connect-timeout", times(), 5 * second),
        first_byte_timeout: reader.time("first-byte-timeout", times(), 60 * second),
        idle_timeout: reader.time("idle-timeout", times(), 60 * second),
        max_idle: reader.number("max-idle", 0..=100_000, 128),
        max_idle_time: reader.time("max-idle-time", times(), 60 * second),
        max_header_bytes: reader.length("max-header-bytes", 256..=16 << 20, 64 << 10),
        recourse: recourse::read(&mut reader, upstreams),
        care: care::read(&mut reader, protocol),
        origin: reader.scope().origin(reader.at()),
    };
    reader.finish();
    upstream
}

fn endpoints(reader: &mut Reader<'_>) -> Vec<Listed> {
    let scope = reader.scope();
    let help = "at least one server, for example `endpoints = [\"127.0.0.1:9001\"]`";
    reader.require("endpoints", help);
    let Some((at, _)) = reader.entry("endpoints") else {
        return Vec::new();
    };
    let Some(list) = reader.list("endpoints") else {
        return Vec::new();
    };
    if list.is_empty() {
        scope.error_with_help(&at, "`endpoints` is empty", help);
    }
    if let Some(beyond) = list.get(MAX_ENDPOINTS) {
        scope.error(
            &beyond.span(),
            format!("an upstream has at most {MAX_ENDPOINTS} endpoints"),
        );
    }
    let mut seen = HashSet::new();
    let mut endpoints = Vec::new();
    for (index, node) in list.iter().enumerate() {
        let Some(listed) = endpoint(scope, index, node) else {
            continue;
        };
        if !seen.insert(listed.source.clone()) {
            let shown = quoted(&listed.source.to_string());
            scope.error(&node.span(), format!("{shown} is listed twice"));
        }
        endpoints.push(listed);
    }
    endpoints
}

/// One endpoint, as text or as a table.
fn endpoint<'a>(scope: &'a Scope<'a>, index: usize, node: &'a Node<'a>) -> Option<Listed> {
    let address = |text: &str| network::endpoint(text).map(Source::Address);
    if is_text(node) || !matches!(node.get_ref(), DeValue::Table(_)) {
        let text = scope.text("an element of `endpoints`", node)?;
        return Some(Listed {
            source: scope.parse(&text, "an endpoint", address)?,
            weight: 1,
            zone: None,
            labels: Arc::default(),
        });
    }
    let mut reader = Reader::of(scope, node, node.span(), format!("endpoints[{index}]"));
    if reader.has_any(&["address"]) == reader.has_any(&["srv"]) {
        let help = "for example `address = \"127.0.0.1:9001\"` or `srv = \"_http._tcp.orders.example\"`";
        scope.error_with_help(
            reader.at(),
            "an endpoint has either an `address` or an `srv`",
            help,
        );
    }
    let address = reader.parsed("address", "an endpoint", address);
    let srv = reader.parsed("srv", "a name of SRV records", network::service);
    let (weight, zone) = (reader.number("weight", 1..=10_000, 1), zone(&mut reader));
    let labels = labels(&mut reader);
    reader.finish();
    Some(Listed {
        source: address.or(srv.map(Source::Srv))?,
        weight,
        zone,
        labels,
    })
}

/// `labels`: what balancers are told of an endpoint.
fn labels(reader: &mut Reader<'_>) -> Arc<[(String, String)]> {
    let scope = reader.scope();
    let mut labels = Vec::new();
    for (name, at, node) in reader.free_entries("labels") {
        if labels.len() == MAX_LABELS {
            scope.error(&at, format!("an endpoint has at most {MAX_LABELS} labels"));
            break;
        }
        if name == "zone" || name.is_empty() || name.len() > MAX_LABEL {
            let help = format!("a label's name has 1 to {MAX_LABEL} bytes; `zone` is a key of its own");
            scope.error_with_help(&at, format!("{} cannot be a label's name", quoted(name)), help);
            continue;
        }
        let Some(text) = scope.text(&format!("the label {}", quoted(name)), node) else {
            continue;
        };
        if text.as_str().len() > MAX_LABEL {
            scope.error(
                text.at(),
                format!("a label's value has at most {MAX_LABEL} bytes"),
            );
        }
        labels.push((name.to_owned(), text.as_str().to_owned()));
    }
    labels.sort();
    labels.into()
}

/// `zone`.
pub(super) fn zone(reader: &mut Reader<'_>) -> Option<Arc<str>> {
    let zone = reader.parsed("zone", "a zone", |text| match text {
        "" => Err("an empty zone is none: leave it out"),
        text => Ok(text.to_owned()),
    });
    zone.map(Into::into)
}

#[cfg(test)]
mod tests {
    use crate::config::model::{Endpoint, UpstreamProtocol};
    use crate::config::tests::{errors, parsed};

    use super::*;

    #[test]
    fn everything_but_the_endpoints_has_a_default() {
        let upstream =
            &parsed("[upstreams.a]\nendpoints = ['127.0.0.1:9001', 'localhost:9002']\n").upstreams[0];
        assert_eq!(
            upstream.endpoints[1],
            Listed {
                source: Source::Address(Endpoint {
                    host: "localhost".to_owned(),
                    port: 9002
                }),
                weight: 1,
                zone: None,
                labels: Arc::default(),
            }
        );
        assert_eq!(upstream.protocol, UpstreamProtocol::Http1);
        assert_eq!(upstream.connect_timeout, Duration::from_secs(5));
        assert_eq!(upstream.first_byte_timeout, Duration::from_secs(60));
        assert_eq!(upstream.idle_timeout, Duration::from_secs(60));
        assert_eq!(upstream.max_idle, 128);
        assert_eq!(upstream.max_idle_time, Duration::from_secs(60));
        assert_eq!(upstream.max_header_bytes, 65_536);
    }

    #[test]
    fn an_endpoint_has_labels_in_the_order_of_their_names() {
        let text = "[upstreams.a]\nendpoints = [{ address = '127.0.0.1:1', labels = { tier = 'gold', build = '7' } }]\n";
        let labels = &parsed(text).upstreams[0].endpoints[0].labels;
        let pairs =
            [("build", "7"), ("tier", "gold")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(**labels, pairs);
    }

    #[test]
    fn the_zone_is_no_label_and_labels_are_bounded() {
        let many: Vec<_> = (0..17).map(|n| format!("l{n} = ''")).collect();
        let text = format!(
            "[upstreams.a]\nendpoints = [{{ address = '127.0.0.1:1', labels = {{ zone = 'a', tier = 3, big = '{}' }} }},\n\
             {{ address = '127.0.0.1:2', labels = {{ {} }} }}]\n",
            "x".repeat(129),
            many.join(", ")
        );
        let told: Vec<_> = errors(&text).0.into_iter().map(|error| error.message).collect();
        assert_eq!(
            told,
            [
                "`zone` cannot be a label's name",
                "the label `tier` must be a string, not an integer",
                "a label's value has at most 128 bytes",
                "an endpoint has at most 16 labels",
            ]
        );
    }

    #[test]
    fn every_key_is_read() {
        let upstream = &parsed(
            "[upstreams.a]\nendpoints = ['[::1]:1']\nconnect-timeout = '1s'\nfirst-byte-timeout = '2s'\n\
             idle-timeout = '3s'\nprotocol = 'h2'\nmax-idle = 0\nmax-idle-time = '4s'\nmax-header-bytes = '1KiB'\n",
        )
        .upstreams[0];
        let times = [
            upstream.connect_timeout,
            upstream.first_byte_timeout,
            upstream.idle_timeout,
            upstream.max_idle_time,
        ];
        assert_eq!(times.map(|time| time.as_secs()), [1, 2, 3, 4]);
        assert_eq!((upstream.max_idle, upstream.max_header_bytes), (0, 1024));
        assert_eq!(upstream.protocol, UpstreamProtocol::Http2);
    }

    #[test]
    fn endpoints_are_checked_one_by_one() {
        let text = "[upstreams.a]\nendpoints = [\n  'http://127.0.0.1:1',\n  'B:2',\n  'b:2',\n  3,\n]\n";
        insta::assert_snapshot!(errors(text), @"
        error: `http://127.0.0.1:1` is not an endpoint
         --> gateway.toml:3:3
          |
        3 |   'http://127.0.0.1:1',
          |   ^^^^^^^^^^^^^^^^^^^^
          = help: write it without a scheme: `127.0.0.1:9001`

        error: `b:2` is listed twice
         --> gateway.toml:5:3
          |
        5 |   'b:2',
          |   ^^^^^

        error: an element of `endpoints` must be a string, not an integer
         --> gateway.toml:6:3
          |
        6 |   3,
          |   ^
        ");
    }

    #[test]
    fn an_upstream_without_endpoints_is_refused() {
        insta::assert_snapshot!(errors("[upstreams.a]\n[upstreams.b]\nendpoints = []\n"), @r#"
        error: missing key `endpoints` in `upstreams.a`
         --> gateway.toml:1:12
          |
        1 | [upstreams.a]
          |            ^
          = help: at least one server, for example `endpoints = ["127.0.0.1:9001"]`

        error: `endpoints` is empty
         --> gateway.toml:3:1
          |
        3 | endpoints = []
          | ^^^^^^^^^
          = help: at least one server, for example `endpoints = ["127.0.0.1:9001"]`
        "#);
    }

    #[test]
    fn an_endpoint_may_be_a_table() {
        let text = "[upstreams.a]\nendpoints = ['a:1', { address = 'A:2', weight = 3, zone = 'z' }, { srv = '_http._tcp.A.example' }]\n";
        let endpoints = &parsed(text).upstreams[0].endpoints;
        let shown = |listed: &Listed| (listed.source.to_string(), listed.weight, listed.zone.clone());
        assert_eq!(
            endpoints.iter().map(shown).collect::<Vec<_>>(),
            [
                ("a:1".to_owned(), 1, None),
                ("a:2".to_owned(), 3, Some("z".into())),
                ("_http._tcp.a.example".to_owned(), 1, None),
            ]
        );
    }

    #[test]
    fn tables_of_endpoints_are_checked() {
        let text = "[upstreams.a]\nendpoints = [\n  { address = 'a:1', srv = '_http._tcp.a' },\n  { weight = 0 },\n  { srv = 'a b' },\n  { address = 'a:2', zone = '', wight = 1 },\n]\n";
        insta::assert_snapshot!(errors(text), @r#"
        error: an endpoint has either an `address` or an `srv`
         --> gateway.toml:3:3
          |
        3 |   { address = 'a:1', srv = '_http._tcp.a' },
          |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          = help: for example `address = "127.0.0.1:9001"` or `srv = "_http._tcp.orders.example"`

        error: an endpoint has either an `address` or an `srv`
         --> gateway.toml:4:3
          |
        4 |   { weight = 0 },
          |   ^^^^^^^^^^^^^^
          = help: for example `address = "127.0.0.1:9001"` or `srv = "_http._tcp.orders.example"`

        error: `weight` must be between 1 and 10000
         --> gateway.toml:4:14
          |
        4 |   { weight = 0 },
          |              ^

        error: `a b` is not a name of SRV records
         --> gateway.toml:5:11
          |
        5 |   { srv = 'a b' },
          |           ^^^^^
          = help: write a name such as `_http._tcp.orders.example`

        error: `` is not a zone
         --> gateway.toml:6:29
          |
        6 |   { address = 'a:2', zone = '', wight = 1 },
          |                             ^^
          = help: an empty zone is none: leave it out

        error: unknown key `wight` in `endpoints[3]`
         --> gateway.toml:6:33
          |
        6 |   { address = 'a:2', zone = '', wight = … },
          |                                 ^^^^^
          = help: did you mean `weight`? possible keys: address, labels, srv, weight, zone
        "#);
    }
}
