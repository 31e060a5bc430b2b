//! `[gateway.dns]`: how names of endpoints are resolved.
//!
//! It refuses to ask a server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::model::{Dns, Family};
use super::super::reader::Reader;

/// Most servers.
const MAX_SERVERS: usize = 8;
/// The port of DNS.
const PORT: u16 = 53;

const FAMILIES: [(&str, Family); 5] = [
    ("ipv4-first", Family::V4First),
    ("ipv6-first", Family::V6First),
    ("ipv4", Family::V4),
    ("ipv6", Family::V6),
    ("both", Family::Both),
];

/// The table, or its defaults.
pub(super) fn read(mut reader: Reader<'_>) -> Dns {
    let scope = reader.scope();
    let second = Duration::from_secs(1);
    let times = || second..=24 * 3600 * second;
    let texts = reader.texts("servers", "").unwrap_or_default();
    if let Some(beyond) = texts.get(MAX_SERVERS) {
        scope.error(beyond.at(), format!("there are at most {MAX_SERVERS} servers"));
    }
    let servers = texts
        .iter()
        .filter_map(|text| scope.parse(text, "a server", server));
    let dns = Dns {
        servers: servers.collect(),
        family: reader.choice("family", &FAMILIES, Family::V4First),
        min_ttl: reader.time("min-ttl", times(), second),
        max_ttl: reader.time("max-ttl", times(), 300 * second),
    };
    reader.finish();
    dns
}

fn server(text: &str) -> Result<SocketAddr, &'static str> {
    let whole = text.parse::<SocketAddr>().ok();
    let address = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    whole.or_else(address).ok_or(
        "write an IP address, with a port where it is not 53: `10.0.0.53`, `127.0.0.1:5353`, `[::1]:53`",
    )
}

#[cfg(test)]
mod tests {
    use crate::config::tests::parsed;

    use super::*;

    #[test]
    fn a_server_has_port_53_unless_it_says_so() {
        let text =
            "[gateway.dns]\nservers = ['10.0.0.53', '[::1]:54', '::2']\nfamily = 'both'\nmin-ttl = '2s'\n";
        let dns = parsed(text).gateway.dns;
        let servers: Vec<_> = dns.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.53:53", "[::1]:54", "[::2]:53"]);
        assert_eq!(
            (dns.family, dns.min_ttl, dns.max_ttl.as_secs()),
            (Family::Both, Duration::from_secs(2), 300)
        );
        assert!(server("dns.example").is_err());
    }

    #[test]
    fn without_the_table_the_system_is_asked() {
        let dns = parsed("").gateway.dns;
        assert!(dns.servers.is_empty());
        assert_eq!((dns.family, dns.min_ttl.as_secs()), (Family::V4First, 1));
    }
}
