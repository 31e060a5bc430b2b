//! Addresses in the file: where to listen, networks, `host:port`.
//!
//! It refuses to resolve names.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::super::model::Endpoint;
use super::super::reader::Reader;

/// Longest host name, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

/// An IP address with a port.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address and a port: `127.0.0.1:8080`, or `[::1]:8080` for IPv6")
}

/// A list of networks; an address without a prefix length is a network of its own.
pub(super) fn networks(reader: &mut Reader<'_>, key: &'static str, empty: &str) -> Vec<IpNet> {
    let scope = reader.scope();
    let texts = reader.texts(key, empty).unwrap_or_default();
    texts
        .iter()
        .filter_map(|text| scope.parse(text, "a network", network))
        .collect()
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let net = text.parse::<IpNet>().ok();
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    net.or_else(alone)
        .map(|net| net.trunc())
        .ok_or("write an address with a prefix length: `10.0.0.0/8`, or `fd00::/8` for IPv6")
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, &'static str> {
    if text.contains("://") {
        return Err("write it without a scheme: `127.0.0.1:9001`");
    }
    let form = "write a host and a port: `127.0.0.1:9001`, `orders.internal:80`, or `[::1]:9001` for IPv6";
    let (host, port) = text.rsplit_once(':').ok_or(form)?;
    let port = match port.parse::<u16>() {
        Ok(0) => return Err("port 0 is not a port to connect to"),
        Ok(number) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => return Err(form),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bracketed {
        Some(address) => {
            let address: std::net::Ipv6Addr = address.parse().map_err(|_| form)?;
            address.to_string()
        }
        None if is_host(host) => host.to_ascii_lowercase(),
        None => return Err(form),
    };
    Ok(Endpoint { host, port })
}

/// The name of SRV records, lower case.
pub(super) fn service(text: &str) -> Result<String, &'static str> {
    if is_host(text) && text.contains('.') {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("write a name such as `_http._tcp.orders.example`")
    }
}

/// A host name with the letters that DNS names and IPv4 addresses have, `_` included, since it is in use.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && label.bytes().all(allowed)
    };
    host.len() <= MAX_HOST && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn endpoints_are_a_host_and_a_port() {
        let display = |text: &str| endpoint(text).map(|endpoint| endpoint.to_string());
        assert_eq!(display("127.0.0.1:9001").unwrap(), "127.0.0.1:9001");
        assert_eq!(display("Orders.Internal:80").unwrap(), "orders.internal:80");
        assert_eq!(display("my_service:80").unwrap(), "my_service:80");
        assert_eq!(display("[0:0::1]:80").unwrap(), "[::1]:80");
        assert_eq!(endpoint("[::1]:80").unwrap().host, "::1");
        for wrong in [
            "",
            "host",
            ":80",
            "host:",
            "host:+80",
            "host:65536",
            "host:0",
            "::1:80",
            "[::1:80",
            "a b:80",
            "http://a:80",
            "a..b:80",
            "user@host:80",
            "[host]:80",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_may_be_one_address() {
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        assert!(network("10.0.0.0/33").is_err());
        assert!(network("ten").is_err());
    }

    proptest! {
        #[test]
        fn what_an_endpoint_displays_is_the_same_endpoint(text in "[a-zA-Z0-9.:\\[\\]_-]{0,20}:[0-9]{1,5}") {
            if let Ok(parsed) = endpoint(&text) {
                prop_assert_eq!(endpoint(&parsed.to_string()), Ok(parsed));
            }
        }
    }
}
