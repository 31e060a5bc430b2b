//! `upgrades` and `upgrade-idle-timeout` of a route.
//!
//! It refuses to know how an upgrade is done.

use std::time::Duration;

use super::super::model::Upgrades;
use super::super::reader::Reader;
use crate::message::upgrade;

/// Most protocols of one route.
const MAX_PROTOCOLS: usize = 16;

/// What a route's table says, or the defaults.
pub(super) fn read(reader: &mut Reader<'_>) -> Upgrades {
    let usual = Upgrades::default();
    let idle = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    let idle = reader.time("upgrade-idle-timeout", idle, usual.idle);
    let scope = reader.scope();
    let at = reader.entry("upgrades").map(|(at, _)| at);
    let Some(texts) = reader.texts("upgrades", "") else {
        return Upgrades { idle, ..usual };
    };
    if let Some(at) = at.filter(|_| texts.len() > MAX_PROTOCOLS) {
        scope.error(&at, format!("more than {MAX_PROTOCOLS} protocols"));
    }
    let protocols = texts
        .iter()
        .filter_map(|text| {
            let check = |name: &str| upgrade::check(name).map(|()| name.into());
            scope.parse(text, "a protocol to upgrade to", check)
        })
        .collect();
    Upgrades { protocols, idle }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::tests::{errors, parsed};

    fn route(keys: &str) -> String {
        format!(
            "[upstreams.u]\nendpoints = ['127.0.0.1:1']\n[[routes]]\nname = 'r'\nupstream = 'u'\n{keys}\n"
        )
    }

    #[test]
    fn websocket_is_allowed_unless_said_otherwise() {
        let of = |keys: &str| parsed(&route(keys)).routes[0].upgrades.clone();
        assert_eq!(&*of("").protocols, [Box::from("websocket")]);
        assert_eq!(of("").idle, Duration::from_secs(300));
        assert!(of("upgrades = []").protocols.is_empty());
        let both = of("upgrades = ['websocket', 'x']\nupgrade-idle-timeout = '1h'");
        assert_eq!((both.protocols.len(), both.idle), (2, Duration::from_secs(3600)));
    }

    #[test]
    fn protocols_that_would_hide_requests_are_refused() {
        for (keys, want) in [
            ("upgrades = ['h2c']", "no route has seen"),
            ("upgrades = ['TLS']", "no route has seen"),
            ("upgrades = ['a b']", "a protocol is a token"),
            ("upgrades = 'websocket'", "a list"),
            ("upgrade-idle-timeout = '0s'", "between"),
        ] {
            let text = errors(&route(keys));
            assert!(format!("{text:?}").contains(want), "{keys}: {text:?}");
        }
    }
}
