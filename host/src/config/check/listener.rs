//! `[listeners.NAME]`: address, pipeline, trusted proxies and limits.
//!
//! It refuses to open a socket.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::super::model::{EncodedSeparators, Listener, ListenerLimits, Protocols};
use super::super::reader::{Named, Reader};
use super::pipeline::Pipelines;
use super::{http2, network, tls};
use crate::tls::{HTTP_1_1, HTTP_2};

/// What a listener agrees on above TLS, the preferred protocol first (RFC 7301).
fn offered(protocols: Protocols) -> &'static [&'static [u8]] {
    match protocols {
        Protocols::Http1 => &[HTTP_1_1],
        Protocols::Http2 => &[HTTP_2],
        Protocols::Both => &[HTTP_2, HTTP_1_1],
    }
}

/// All listeners, in the order of the file. Two of them cannot have the same address.
pub(super) fn read<'a>(named: Vec<Named<'a>>, pipelines: &mut Pipelines<'a>) -> Vec<Listener> {
    let mut taken = HashMap::new();
    named
        .into_iter()
        .map(|named| read_one(named, &mut taken, pipelines))
        .collect()
}

fn read_one<'a>(
    Named { name, mut reader }: Named<'a>,
    taken: &mut HashMap<SocketAddr, &'a str>,
    pipelines: &mut Pipelines<'a>,
) -> Listener {
    let scope = reader.scope();
    let help = "the address to listen on, for example `address = \"0.0.0.0:8080\"`";
    let address = reader.required_text("address", help).and_then(|text| {
        let address = scope.parse(&text, "a socket address", network::socket_address)?;
        if address.port() != 0
            && let Some(other) = taken.insert(address, name)
        {
            scope.error(text.at(), format!("listener `{other}` has the same address"));
        }
        Some(address)
    });
    let separators = [
        ("refuse", EncodedSeparators::Refuse),
        ("keep", EncodedSeparators::Keep),
    ];
    let protocols = http2::protocols(&mut reader);
    let listener = Listener {
        name: name.into(),
        address: address.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        pipeline: pipelines.of(&mut reader, name),
        trusted_proxies: network::networks(&mut reader, "trusted-proxies", ""),
        encoded_separators: reader.choice("encoded-separators", &separators, EncodedSeparators::Refuse),
        protocols,
        http2: http2::read(reader.section("http2")),
        limits: limits(reader.section("limits")),
        tls: tls::listener(reader.section("tls"), offered(protocols)),
        origin: scope.origin(reader.at()),
    };
    reader.finish();
    listener
}

fn limits(mut reader: Reader<'_>) -> ListenerLimits {
    let second = Duration::from_secs(1);
    let times = || Duration::from_millis(1)..=24 * 3600 * second;
    let limits = ListenerLimits {
        header_bytes: reader.length("header-bytes", 256..=16 << 20, 64 << 10),
        headers: reader.number("headers", 1..=10_000, 100),
        uri_bytes: reader.length("uri-bytes", 16..=16 << 20, 8 << 10),
        body: reader.size("body", 0..=u64::MAX, 1 << 30),
        header_timeout: reader.time("header-timeout", times(), 10 * second),
        body_timeout: reader.time("body-timeout", times(), 30 * second),
        keep_alive: reader.time("keep-alive", times(), 75 * second),
        connections: reader.number("connections", 1..=1_000_000, 10_000),
    };
    reader.finish();
    limits
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{entries, errors, parsed};

    use super::*;

    #[test]
    fn limits_have_defaults() {
        let listener = &parsed("[listeners.public]\naddress = '0.0.0.0:8080'\n").listeners[0];
        assert_eq!(&*listener.name, "public");
        assert_eq!(listener.address, ([0, 0, 0, 0], 8080).into());
        assert_eq!(listener.encoded_separators, EncodedSeparators::Refuse);
        assert!(listener.pipeline.is_empty() && listener.trusted_proxies.is_empty());
        assert_eq!(listener.limits.header_bytes, 65_536);
        assert_eq!(listener.limits.headers, 100);
        assert_eq!(listener.limits.uri_bytes, 8_192);
        assert_eq!(listener.limits.body, 1 << 30);
        assert_eq!(listener.limits.header_timeout, Duration::from_secs(10));
        assert_eq!(listener.limits.body_timeout, Duration::from_secs(30));
        assert_eq!(listener.limits.keep_alive, Duration::from_secs(75));
        assert_eq!(listener.limits.connections, 10_000);
        assert_eq!(listener.origin.to_string(), "conf/gateway.toml:1:12");
    }

    #[test]
    fn every_key_is_read() {
        let config = parsed(
            "[plugins.a]\n[listeners.public]\naddress = '[::1]:80'\npipeline = ['a']\n\
             trusted-proxies = ['10.0.0.0/8', '::1']\nencoded-separators = 'keep'\n[listeners.public.limits]\n\
             header-bytes = '1KiB'\nheaders = 5\nuri-bytes = '64B'\nbody = '0B'\nheader-timeout = '1s'\n\
             body-timeout = '2s'\nkeep-alive = '3s'\nconnections = 6\n",
        );
        let listener = &config.listeners[0];
        assert_eq!(entries(&listener.pipeline), [0]);
        assert_eq!(listener.trusted_proxies.len(), 2);
        assert_eq!(listener.encoded_separators, EncodedSeparators::Keep);
        assert_eq!(
            listener.limits,
            ListenerLimits {
                header_bytes: 1024,
                headers: 5,
                uri_bytes: 64,
                body: 0,
                header_timeout: Duration::from_secs(1),
                body_timeout: Duration::from_secs(2),
                keep_alive: Duration::from_secs(3),
                connections: 6,
            }
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_known_ones() {
        insta::assert_snapshot!(errors("[listeners.public]\naddress = '127.0.0.1:0'\npipline = []\n"), @"
        error: unknown key `pipline` in `listeners.public`
         --> gateway.toml:3:1
          |
        3 | pipline = []
          | ^^^^^^^
          = help: did you mean `pipeline`? possible keys: address, encoded-separators, http2, limits, pipeline, protocols, tls, trusted-proxies
        ");
    }

    #[test]
    fn the_address_must_be_there() {
        insta::assert_snapshot!(errors("[listeners.public]\npipeline = []\n"), @r#"
        error: missing key `address` in `listeners.public`
         --> gateway.toml:1:12
          |
        1 | [listeners.public]
          |            ^^^^^^
          = help: the address to listen on, for example `address = "0.0.0.0:8080"`
        "#);
    }

    #[test]
    fn two_listeners_cannot_share_an_address() {
        let text = "listeners.a.address = '127.0.0.1:80'\nlisteners.b.address = '127.0.0.1:80'\n";
        insta::assert_snapshot!(errors(text), @"
        error: listener `a` has the same address
         --> gateway.toml:2:23
          |
        2 | listeners.b.address = '127.0.0.1:80'
          |                       ^^^^^^^^^^^^^^
        ");
        parsed("listeners.a.address = '127.0.0.1:0'\nlisteners.b.address = '127.0.0.1:0'\n");
    }

    #[test]
    fn a_bad_network_and_a_bad_duration_are_both_reported() {
        let text = "[listeners.a]\naddress = '127.0.0.1:0'\ntrusted-proxies = ['10.0.0.0/40']\n\
                    limits.keep-alive = '1.5s'\nlimits.header-bytes = '64KB'\n";
        insta::assert_snapshot!(errors(text), @"
        error: `10.0.0.0/40` is not a network
         --> gateway.toml:3:20
          |
        3 | trusted-proxies = ['10.0.0.0/40']
          |                    ^^^^^^^^^^^^^
          = help: write an address with a prefix length: `10.0.0.0/8`, or `fd00::/8` for IPv6

        error: `1.5s` is not a duration
         --> gateway.toml:4:21
          |
        4 | limits.keep-alive = '1.5s'
          |                     ^^^^^^
          = help: fractions are not understood: write a whole number of a smaller unit, for example `1500ms` for `1.5s`

        error: `64KB` is not a size
         --> gateway.toml:5:23
          |
        5 | limits.header-bytes = '64KB'
          |                       ^^^^^^
          = help: `KB` is not a unit: did you mean `KiB`?
        ");
    }
}
