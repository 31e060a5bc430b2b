//! `tick`, `tick-cpu` and `tick-timeout` of `[plugins.NAME]`.
//!
//! It refuses to know whether the component has background work.

use std::time::Duration;

use super::super::model::TickRules;
use super::super::reader::Reader;

/// The rules of an entry.
pub(super) fn read(reader: &mut Reader<'_>) -> TickRules {
    let default = TickRules::default();
    let cpu = Duration::from_micros(10)..=Duration::from_secs(60);
    let timeout = Duration::from_millis(1)..=Duration::from_secs(3600);
    TickRules {
        every: reader.optional_time("tick", TickRules::SHORTEST..=TickRules::LONGEST),
        cpu: reader.time("tick-cpu", cpu, default.cpu),
        timeout: reader.time("tick-timeout", timeout, default.timeout),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{errors, parsed};

    use super::*;

    #[test]
    fn an_entry_says_how_often_and_how_long_and_entries_made_of_it_inherit_that() {
        let config = parsed(
            "[plugins.a]\ntick = '10s'\ntick-cpu = '1s'\n[plugins.b]\n\
             [listeners.l]\naddress = '127.0.0.1:0'\npipeline = ['b', { plugin = 'a', config = { x = 1 } }]\n",
        );
        let rules = TickRules {
            every: Some(Duration::from_secs(10)),
            cpu: Duration::from_secs(1),
            ..TickRules::default()
        };
        let found: Vec<_> = config.plugins.iter().map(|entry| &entry.tick).collect();
        assert_eq!(found, [&rules, &TickRules::default(), &rules]);
    }

    #[test]
    fn a_period_out_of_its_range_is_refused() {
        insta::assert_snapshot!(errors("[plugins.a]\ntick = '1ms'\n[plugins.b]\ntick = '25h'\n"), @"
        error: `tick` must be between 10ms and 24h
         --> gateway.toml:2:8
          |
        2 | tick = '1ms'
          |        ^^^^^

        error: `tick` must be between 10ms and 24h
         --> gateway.toml:4:8
          |
        4 | tick = '25h'
          |        ^^^^^
        ");
    }
}
