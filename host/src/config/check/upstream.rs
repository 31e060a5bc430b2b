//! `[upstreams.NAME]`: endpoints, timeouts and kept connections.
//!
//! It refuses to resolve or connect to an endpoint.

use std::collections::HashSet;
use std::time::Duration;

use super::super::model::{Endpoint, Upstream};
use super::super::reader::{Named, Reader};
use super::{http2, network, tls};

/// Most endpoints of one upstream.
const MAX_ENDPOINTS: usize = 1024;

/// One upstream.
pub(super) fn read(Named { name, mut reader }: Named<'_>) -> Upstream {
    let second = Duration::from_secs(1);
    let times = || Duration::from_millis(1)..=24 * 3600 * second;
    let endpoints = endpoints(&mut reader);
    let protocol = http2::upstream(&mut reader);
    let upstream = Upstream {
        name: name.into(),
        tls: tls::upstream(reader.section("tls"), &endpoints, protocol),
        endpoints,
        protocol,
        connect_timeout: reader.time("connect-timeout", times(), 5 * second),
        first_byte_timeout: reader.time("first-byte-timeout", times(), 60 * second),
        idle_timeout: reader.time("idle-timeout", times(), 60 * second),
        max_idle: reader.number("max-idle", 0..=100_000, 128),
        max_idle_time: reader.time("max-idle-time", times(), 60 * second),
        max_header_bytes: reader.length("max-header-bytes", 256..=16 << 20, 64 << 10),
        origin: reader.scope().origin(reader.at()),
    };
    reader.finish();
    upstream
}

fn endpoints(reader: &mut Reader<'_>) -> Vec<Endpoint> {
    let scope = reader.scope();
    let help = "at least one server, for example `endpoints = [\"127.0.0.1:9001\"]`";
    reader.require("endpoints", help);
    let texts = reader.texts("endpoints", help).unwrap_or_default();
    if let Some(beyond) = texts.get(MAX_ENDPOINTS) {
        scope.error(
            beyond.at(),
            format!("an upstream has at most {MAX_ENDPOINTS} endpoints"),
        );
    }
    let mut seen = HashSet::new();
    let mut endpoints = Vec::new();
    for text in texts {
        let Some(endpoint) = scope.parse(&text, "an endpoint", network::endpoint) else {
            continue;
        };
        if !seen.insert(endpoint.clone()) {
            scope.error(text.at(), format!("{} is listed twice", text.shown()));
        }
        endpoints.push(endpoint);
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use crate::config::UpstreamProtocol;
    use crate::config::tests::{errors, parsed};

    use super::*;

    #[test]
    fn everything_but_the_endpoints_has_a_default() {
        let upstream =
            &parsed("[upstreams.a]\nendpoints = ['127.0.0.1:9001', 'localhost:9002']\n").upstreams[0];
        assert_eq!(
            upstream.endpoints[1],
            Endpoint {
                host: "localhost".to_owned(),
                port: 9002
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
}
