//! A set of addresses that is searched in logarithmic time. Knows no list and no request.
//!
//! Ranges are sorted and merged when the set is made, so that a search is one binary search over ranges that do not
//! touch each other: 17 steps for 100,000 of them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::list::unmapped_address;

/// A set of addresses of both families. IPv4-mapped IPv6 addresses are IPv4; no other IPv6 range has an IPv4 address.
#[derive(Debug)]
pub(crate) struct Ranges {
    v4: Spans<u32>,
    v6: Spans<u128>,
}

impl Ranges {
    /// The union of these ranges.
    pub(crate) fn new(nets: Vec<IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match net {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self {
            v4: Spans::new(v4, |last| last.checked_add(1)),
            v6: Spans::new(v6, |last| last.checked_add(1)),
        }
    }

    /// Whether the address is in one of the ranges.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match unmapped_address(address) {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }
}

/// First and last of each range, in order; none touches the next.
#[derive(Debug)]
struct Spans<T>(Vec<(T, T)>);

impl<T: Copy + Ord> Spans<T> {
    fn new(mut spans: Vec<(T, T)>, next: fn(T) -> Option<T>) -> Self {
        spans.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::new();
        for (first, last) in spans {
            match merged.last_mut() {
                Some((_, end)) if next(*end).is_none_or(|next| first <= next) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        merged.shrink_to_fit();
        Self(merged)
    }

    fn contains(&self, address: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= address);
        let before = after.checked_sub(1).and_then(|at| self.0.get(at));
        before.is_some_and(|(_, last)| address <= *last)
    }
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;

    fn set(nets: &[&str]) -> Ranges {
        Ranges::new(nets.iter().map(|net| net.parse().unwrap()).collect())
    }

    fn has(set: &Ranges, address: &str) -> bool {
        set.contains(address.parse().unwrap())
    }

    #[test]
    fn an_empty_set_has_no_address() {
        assert!(!has(&set(&[]), "0.0.0.0"));
        assert!(!has(&set(&[]), "::"));
    }

    #[test]
    fn a_range_ends_where_it_ends() {
        let set = set(&["192.0.2.0/25", "2001:db8::/127"]);
        for (address, expected) in [
            ("192.0.1.255", false),
            ("192.0.2.0", true),
            ("192.0.2.127", true),
            ("192.0.2.128", false),
            ("2001:db7:ffff::", false),
            ("2001:db8::", true),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(has(&set, address), expected, "{address}");
        }
    }

    #[test]
    fn families_are_apart_but_for_mapped_addresses() {
        let set = set(&["0.0.0.0/0"]);
        assert!(has(&set, "255.255.255.255") && has(&set, "::ffff:192.0.2.1"));
        assert!(!has(&set, "::1") && !has(&set, "::192.0.2.1"));
        let set = self::set(&["::/0"]);
        assert!(has(&set, "ffff::") && has(&set, "::"));
        assert!(!has(&set, "192.0.2.1") && !has(&set, "::ffff:192.0.2.1"));
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let set = set(&[
            "10.0.1.0/24",
            "10.0.0.0/24",
            "10.0.0.7/32",
            "10.0.3.0/24",
            "255.255.255.255/32",
            "255.255.255.254/32",
        ]);
        assert_eq!(set.v4.0.len(), 3);
    }

    /// Ranges that often nest, touch and repeat: few distinct addresses, all prefixes.
    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        let v4 = (
            prop_oneof![0_u32..64, u32::MAX - 64..=u32::MAX, any::<u32>()],
            0_u8..=32,
        )
            .prop_map(|(bits, prefix)| IpNet::V4(Ipv4Net::new(bits.into(), prefix).unwrap()));
        let v6 = (
            prop_oneof![0_u128..64, u128::MAX - 64..=u128::MAX, any::<u128>()],
            0_u8..=128,
        )
            .prop_map(|(bits, prefix)| IpNet::V6(Ipv6Net::new(bits.into(), prefix).unwrap()));
        proptest::collection::vec(prop_oneof![v4, v6], 0..40)
    }

    proptest! {
        #[test]
        fn the_set_agrees_with_a_scan_of_its_ranges(
            nets in nets(),
            others in proptest::collection::vec(any::<u128>(), 0..20),
        ) {
            let set = Ranges::new(nets.clone());
            // The ends of every range and their neighbours, where mistakes would be, and any others.
            let ends = nets.iter().flat_map(|net| match net {
                IpNet::V4(net) => [net.network(), net.broadcast()]
                    .map(|end| end.to_bits())
                    .into_iter()
                    .flat_map(|end| [end.wrapping_sub(1), end, end.wrapping_add(1)])
                    .map(|bits| IpAddr::V4(bits.into()))
                    .collect::<Vec<_>>(),
                IpNet::V6(net) => [net.network(), net.broadcast()]
                    .map(|end| end.to_bits())
                    .into_iter()
                    .flat_map(|end| [end.wrapping_sub(1), end, end.wrapping_add(1)])
                    .map(|bits| IpAddr::V6(bits.into()))
                    .collect(),
            });
            for address in ends.chain(others.iter().map(|bits| IpAddr::V6((*bits).into()))) {
                let address = unmapped_address(address);
                let scanned = nets.iter().any(|net| net.contains(&address));
                prop_assert_eq!(set.contains(address), scanned, "{}", address);
            }
            for spans in set.v4.0.windows(2) {
                prop_assert!(spans[0].1.checked_add(1).is_some_and(|next| next < spans[1].0));
            }
        }
    }
}
