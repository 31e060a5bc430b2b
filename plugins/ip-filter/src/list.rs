//! Lists of addresses as people write them. Knows how they are written, not what they are for.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Entries of one list, at most.
const MAX_ENTRIES: usize = 250_000;
/// Characters of a wrong entry that are shown.
const MAX_SHOWN: usize = 64;

/// The ranges of these texts: one address or range (CIDR, RFC 4632 section 3.1) a line, comments behind `#` or `;`.
///
/// # Errors
/// The first entry that is none, with its line where the text has several.
pub(crate) fn read(texts: &[String]) -> Result<Vec<IpNet>, String> {
    let mut nets = Vec::new();
    for text in texts {
        for (at, line) in text.lines().enumerate() {
            let entry = line.split(['#', ';']).next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            if nets.len() == MAX_ENTRIES {
                return Err(format!("more than {MAX_ENTRIES} entries"));
            }
            nets.push(net(entry).map_err(|what| match text.contains('\n') {
                true => format!("line {}: {what}", at.saturating_add(1)),
                false => what,
            })?);
        }
    }
    Ok(nets)
}

/// One entry. IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 that it stands for.
fn net(entry: &str) -> Result<IpNet, String> {
    let shown = || entry.chars().take(MAX_SHOWN).collect::<String>();
    let parsed = match entry.contains('/') {
        true => entry.parse().ok(),
        false => entry.parse::<IpAddr>().ok().map(IpNet::from),
    };
    let net: IpNet = parsed.ok_or_else(|| {
        format!(
            "`{}` is not an address or range; expected the like of `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/32`",
            shown()
        )
    })?;
    if net.trunc() != net {
        return Err(format!(
            "`{}` has bits behind its prefix; the range is `{}`, the address `{}`",
            shown(),
            net.trunc(),
            net.addr()
        ));
    }
    Ok(unmapped(net))
}

fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return net };
    let v4 = (mapped.prefix_len() >= 96)
        .then(|| mapped.addr().to_ipv4_mapped())
        .flatten()
        .and_then(|address| Ipv4Net::new(address, mapped.prefix_len().saturating_sub(96)).ok());
    v4.map_or(net, IpNet::V4)
}

/// The address without its mapping.
pub(crate) fn unmapped_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => Ipv6Addr::to_ipv4_mapped(&v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<String>, String> {
        let nets = read(&[text.to_owned()])?;
        Ok(nets.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_text_has_one_entry_a_line_and_comments() {
        let text = "# office\n10.0.0.0/8\n\n  192.0.2.7 ; SBL1 \r\n2001:db8::/32 # lab\n";
        assert_eq!(
            shown(text).unwrap(),
            ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]
        );
        assert_eq!(shown("").unwrap(), [""; 0]);
        assert_eq!(
            shown("0.0.0.0/0\n::/0\n::1").unwrap(),
            ["0.0.0.0/0", "::/0", "::1/128"]
        );
    }

    #[test]
    fn mapped_ipv6_is_ipv4() {
        assert_eq!(shown("::ffff:192.0.2.7").unwrap(), ["192.0.2.7/32"]);
        assert_eq!(shown("::ffff:10.0.0.0/104").unwrap(), ["10.0.0.0/8"]);
        assert_eq!(shown("::ffff:0:0/96").unwrap(), ["0.0.0.0/0"]);
        assert_eq!(
            shown("::/95").unwrap(),
            ["::/95"],
            "no mapped address is in it, or all of them are"
        );
    }

    #[test]
    fn what_is_no_entry_is_shown_with_its_line() {
        for bad in [
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.1-10.0.0.9",
            "example.com",
            "010.0.0.1",
            "::1%eth0",
            "10.0.0.0/8/8",
            "10.0.0.0 /8",
        ] {
            let error = shown(bad).unwrap_err();
            assert!(
                error.starts_with(&format!("`{bad}` is not an address or range")),
                "{error}"
            );
        }
        let error = shown("10.0.0.0/8\n# x\nnope\n").unwrap_err();
        assert!(error.starts_with("line 3: `nope`"), "{error}");
        assert!(shown(&"x".repeat(10_000)).unwrap_err().len() < 300);
    }

    #[test]
    fn bits_behind_the_prefix_are_refused_with_what_may_be_meant() {
        let error = shown("10.0.0.5/8").unwrap_err();
        assert!(
            error.contains("the range is `10.0.0.0/8`, the address `10.0.0.5`"),
            "{error}"
        );
    }

    #[test]
    fn a_list_has_a_bound() {
        let text = "10.0.0.1\n".repeat(MAX_ENTRIES);
        assert_eq!(read(std::slice::from_ref(&text)).unwrap().len(), MAX_ENTRIES);
        assert_eq!(
            read(&[text, "10.0.0.1".to_owned()]).unwrap_err(),
            "more than 250000 entries"
        );
    }
}
