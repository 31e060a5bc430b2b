//! `[plugins.NAME.allow]`.
//!
//! It refuses to know what a component asks for.

use std::net::IpAddr;

use super::super::model::{Grants, HostPattern, HttpGrant, HttpScheme};
use super::super::names::Names;
use super::super::reader::Reader;
use super::super::scope::Scope;
use super::super::secret::Text;
use super::{network, store};

/// The names that grants refer to.
pub(super) struct Known<'k, 'a> {
    pub(super) upstreams: &'k Names<'a>,
    pub(super) stores: &'k store::Stores<'a>,
}

/// The grants of an entry.
pub(super) fn read(mut allow: Reader<'_>, known: &Known<'_, '_>) -> Grants {
    let scope = allow.scope();
    let prefixes = allow.texts("attributes", "").unwrap_or_default();
    let attributes = prefixes
        .iter()
        .filter_map(|text| {
            scope.parse(text, "a prefix of attributes", |prefix| match prefix {
                "" => Err("an empty prefix would grant them all"),
                prefix => Ok(prefix.to_owned()),
            })
        })
        .collect();
    let targets = allow.texts("http", "").unwrap_or_default();
    let grants = Grants {
        attributes,
        http: targets
            .iter()
            .filter_map(|text| target(scope, text, known))
            .collect(),
        private_networks: network::networks(&mut allow, "private-networks", ""),
        store: allow
            .text("store")
            .and_then(|name| known.stores.find(scope, &name)),
        flights: allow.flag("flights").unwrap_or(false),
    };
    allow.finish_as("grant");
    grants
}

fn target(scope: &Scope<'_>, text: &Text, known: &Known<'_, '_>) -> Option<HttpGrant> {
    if let Some(name) = text.as_str().strip_prefix("upstream://") {
        let name = Text::new(name.to_owned(), text.provenance().clone(), text.at().clone());
        known.upstreams.find(scope, &name)?;
        return Some(HttpGrant::Upstream(name.as_str().into()));
    }
    scope.parse(text, "a target of requests", origin)
}

/// `SCHEME://HOST[:PORT]`.
fn origin(text: &str) -> Result<HttpGrant, &'static str> {
    let form = "write a scheme, a host and, if it is not the scheme's own, a port: `https://login.example.com`, \
                `http://10.0.0.5:8080`, `https://*.example.com`; or `upstream://NAME`";
    let (scheme, rest) = text.split_once("://").ok_or(form)?;
    let scheme = match scheme {
        "http" => HttpScheme::Http,
        "https" => HttpScheme::Https,
        _ => return Err(form),
    };
    if rest.contains(['/', '?', '#', '@']) {
        return Err("grants go by scheme, host and port: leave out the path and everything else");
    }
    let (below, rest) = match rest.strip_prefix("*.") {
        Some(rest) => (Some(()), rest),
        None => (None, rest),
    };
    let has_port = rest
        .rsplit_once(':')
        .is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let endpoint = if has_port {
        network::endpoint(rest)
    } else {
        network::endpoint(&format!("{rest}:{}", scheme.port()))
    };
    let endpoint = endpoint.map_err(|_| form)?;
    let host = match (endpoint.host.parse::<IpAddr>(), below) {
        (Ok(_), Some(())) => return Err("nothing is below an address"),
        (Ok(address), None) => HostPattern::Address(address),
        (Err(_), Some(())) => HostPattern::Below(endpoint.host),
        (Err(_), None) => HostPattern::Name(endpoint.host),
    };
    Ok(HttpGrant::Origin {
        scheme,
        host,
        port: endpoint.port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{errors, parsed};

    #[test]
    fn targets_are_a_scheme_a_host_and_a_port() {
        let shown = |text: &str| origin(text).map(|grant| grant.to_string());
        for (text, want) in [
            ("https://Login.example.com", "https://login.example.com:443"),
            ("http://*.internal:8080", "http://*.internal:8080"),
            ("http://10.0.0.5", "http://10.0.0.5:80"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("https://[fd00::1]", "https://[fd00::1]:443"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(want));
        }
        for wrong in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://u@a",
            "http://a:0",
            "http://*.10.0.0.1",
            "http://*",
            "https://a:443:1",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_grant_is_read() {
        let config = parsed(
            "[plugins.a.allow]\nhttp = ['https://a.example', 'upstream://u']\nprivate-networks = ['10.0.0.0/8']\nflights = true\n\
             [upstreams.u]\nendpoints = ['127.0.0.1:1']\n",
        );
        let grants = &config.plugins[0].grants;
        assert_eq!(
            grants.shown(),
            [
                "http https://a.example:443",
                "http upstream://u",
                "private network 10.0.0.0/8",
                "flights"
            ]
        );
        assert_eq!(grants.waits(), ["http-client", "flights"]);
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        insta::assert_snapshot!(errors(
            "[plugins.a.allow]\nhttp = ['https://a.example/x', 'upstream://orders']\nsockets = true\n[upstreams.order]\nendpoints = ['127.0.0.1:1']\n"), @r#"
        error: `https://a.example/x` is not a target of requests
         --> gateway.toml:2:9
          |
        2 | http = ['https://a.example/x', 'upstream://orders']
          |         ^^^^^^^^^^^^^^^^^^^^^
          = help: grants go by scheme, host and port: leave out the path and everything else

        error: unknown upstream `orders`
         --> gateway.toml:2:32
          |
        2 | http = ['https://a.example/x', 'upstream://orders']
          |                                ^^^^^^^^^^^^^^^^^^^
          = help: did you mean `order`?

        error: unknown grant `sockets` in `plugins.a.allow`
         --> gateway.toml:3:1
          |
        3 | sockets = …
          | ^^^^^^^
          = help: possible grants: attributes, flights, http, private-networks, store
        "#);
    }
}
