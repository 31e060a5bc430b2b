//! The budget keys, which stand in `[gateway.plugin-defaults]`, in a plugin entry and in an entry with overrides.
//!
//! It refuses to know which of the three it reads: what is absent comes from the budget it inherits.

use std::time::Duration;

use super::super::model::{BodyOverflow, Budget, OnFault};
use super::super::reader::Reader;

/// All keys that [`read`] asks for.
pub(super) const KEYS: [&str; 13] = [
    "max-memory",
    "cpu",
    "timeout",
    "on-fault",
    "max-body",
    "body-overflow",
    "max-decoded-ratio",
    "shared",
    "max-calls",
    "max-outbound",
    "max-instances",
    "max-age",
    "max-leases",
];

/// Largest linear memory of a 32-bit component.
const MAX_MEMORY: u64 = 4 << 30;
const MAX_BODY: u64 = 4 << 30;
const MAX_SHARED: u64 = 64 << 30;

/// The budget of a table: its own keys, the rest from `inherited`.
pub(super) fn read(reader: &mut Reader<'_>, inherited: &Budget) -> Budget {
    let faults = [("reject", OnFault::Reject), ("skip", OnFault::Skip)];
    let overflows = [
        ("reject", BodyOverflow::Reject),
        ("skip", BodyOverflow::Skip),
        ("prefix", BodyOverflow::Prefix),
    ];
    let cpu = Duration::from_micros(10)..=Duration::from_secs(60);
    let timeout = Duration::from_millis(1)..=Duration::from_secs(3600);
    let age = Duration::ZERO..=Duration::from_secs(365 * 86_400);
    Budget {
        max_memory: reader.size("max-memory", 64 << 10..=MAX_MEMORY, inherited.max_memory),
        cpu: reader.time("cpu", cpu, inherited.cpu),
        timeout: reader.time("timeout", timeout, inherited.timeout),
        on_fault: reader.choice("on-fault", &faults, inherited.on_fault),
        max_body: reader.size("max-body", 0..=MAX_BODY, inherited.max_body),
        body_overflow: reader.choice("body-overflow", &overflows, inherited.body_overflow),
        max_decoded_ratio: reader.number("max-decoded-ratio", 1..=1_000_000, inherited.max_decoded_ratio),
        shared: reader.size("shared", 0..=MAX_SHARED, inherited.shared),
        max_outbound: reader.number("max-outbound", 0..=10_000, inherited.max_outbound),
        max_instances: reader.number("max-instances", 1..=1_000, inherited.max_instances),
        max_age: reader.time("max-age", age, inherited.max_age),
        max_calls: reader.number("max-calls", 0..=u64::from(u32::MAX), inherited.max_calls),
        max_leases: reader.number("max-leases", 1..=10_000, inherited.max_leases),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{errors, parsed};

    use super::*;

    #[test]
    fn a_budget_comes_from_the_entry_then_the_defaults() {
        let config = parsed(
            "[gateway.plugin-defaults]\ncpu = '7ms'\nmax-memory = '1MiB'\n[plugins.a]\ncpu = '250us'\non-fault = 'skip'\nmax-calls = 9\n[plugins.b]\n",
        );
        let defaults = Budget {
            cpu: Duration::from_millis(7),
            max_memory: 1 << 20,
            ..Budget::default()
        };
        assert_eq!(config.gateway.plugin_defaults, defaults);
        assert_eq!(config.plugins[1].budget, defaults);
        assert_eq!(
            config.plugins[0].budget,
            Budget {
                cpu: Duration::from_micros(250),
                on_fault: OnFault::Skip,
                max_calls: 9,
                ..defaults
            }
        );
    }

    #[test]
    fn every_key_is_known_in_every_place() {
        let all = "max-memory = '1MiB', cpu = '1ms', timeout = '1s', on-fault = 'skip', max-body = '1KiB', \
                   body-overflow = 'prefix', max-decoded-ratio = 10, shared = '1KiB', max-calls = 1, max-outbound = 3, max-instances = 2, max-age = '1h', max-leases = 1";
        assert!(KEYS.iter().all(|key| all.contains(key)));
        let config = parsed(&format!(
            "gateway.plugin-defaults = {{ {all} }}\nplugins.a = {{ {all} }}\n\
             listeners.l = {{ address = '127.0.0.1:0', pipeline = [{{ plugin = 'a', {all} }}] }}\n"
        ));
        assert_eq!(config.plugins[1].budget, config.gateway.plugin_defaults);
    }

    #[test]
    fn a_value_out_of_its_range_is_refused() {
        insta::assert_snapshot!(errors("[plugins.a]\ncpu = '1h'\nmax-memory = '1KiB'\nmax-decoded-ratio = 0\n"), @"
        error: `cpu` must be between 10us and 1m
         --> gateway.toml:2:7
          |
        2 | cpu = '1h'
          |       ^^^^

        error: `max-memory` must be between 64KiB and 4GiB
         --> gateway.toml:3:14
          |
        3 | max-memory = '1KiB'
          |              ^^^^^^

        error: `max-decoded-ratio` must be between 1 and 1000000
         --> gateway.toml:4:21
          |
        4 | max-decoded-ratio = 0
          |                     ^
        ");
    }

    #[test]
    fn a_word_that_is_no_choice_is_refused() {
        insta::assert_snapshot!(errors("[plugins.a]\non-fault = 'skipp'\nbody-overflow = 'cut'\n"), @"
        error: `skipp` is not a possible value of `on-fault`
         --> gateway.toml:2:12
          |
        2 | on-fault = 'skipp'
          |            ^^^^^^^
          = help: did you mean `skip`? possible values: `reject`, `skip`

        error: `cut` is not a possible value of `body-overflow`
         --> gateway.toml:3:17
          |
        3 | body-overflow = 'cut'
          |                 ^^^^^
          = help: possible values: `reject`, `skip`, `prefix`
        ");
    }
}
