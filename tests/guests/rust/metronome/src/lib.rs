//! Test guest `metronome`: counts its ticks in `shared`, and tells requests how many there were and which version ticked last.

use std::time::Duration;

use portcullis::prelude::*;
use portcullis::{clock, shared};

/// Configuration.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Stands beside the count.
    #[serde(default)]
    pub mark: String,
    /// What a tick does beside counting.
    #[serde(default)]
    pub deed: Deed,
    /// How long it computes, in ms.
    #[serde(default)]
    pub millis: u64,
}

/// What a tick does beside counting.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deed {
    /// Nothing.
    #[default]
    None,
    /// Asks for the exchange, which there is none of.
    Exchange,
}

/// The guest.
#[derive(Debug)]
pub struct Metronome {
    config: Config,
    /// Ticks of this instance.
    own: u64,
}

#[portcullis::plugin(name = "metronome", tick_ms = 50)]
impl Plugin for Metronome {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self { config, own: 0 })
    }

    fn schema() -> String {
        String::new()
    }

    fn on_tick(&mut self) -> Result<(), Problem> {
        if shared::get("running").is_some() {
            shared::put("overlap", b"1", Duration::ZERO)?;
        }
        shared::put("running", b"1", Duration::ZERO)?;
        let end = clock::monotonic() + Duration::from_millis(self.config.millis);
        while clock::monotonic() < end {}
        self.own += 1;
        let all = count() + 1;
        let line = format!("{all} {} {}", self.own, self.config.mark);
        shared::put("ticks", line.as_bytes(), Duration::ZERO)?;
        shared::remove("running");
        if self.config.deed == Deed::Exchange {
            // The host ends the guest here.
            log::info!("{}", Request::current().method());
        }
        Ok(())
    }

    fn on_request(&mut self, _: &mut Request) -> Result<Action, Problem> {
        let overlap = shared::get("overlap").map_or("", |_| " overlap");
        let ticks = text("ticks").unwrap_or_else(|| "0".to_owned());
        Ok(Action::respond(Reply::text(200, format!("{ticks}{overlap}"))))
    }
}

/// Ticks of all instances and versions.
fn count() -> u64 {
    let line = text("ticks").unwrap_or_default();
    line.split(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

fn text(key: &str) -> Option<String> {
    shared::get(key).map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
}

#[cfg(test)]
mod tests {
    use portcullis::serde_json::json;
    use portcullis::testing::FakeHost;

    use super::*;

    #[test]
    fn what_ticks_count_is_told_to_requests() {
        let host = FakeHost::new();
        let mut plugin: Metronome = host.configure(json!({ "mark": "a" })).unwrap();
        host.tick(&mut plugin);
        host.tick(&mut plugin);
        let mut other: Metronome = host.configure(json!({ "mark": "b" })).unwrap();
        host.tick(&mut other);
        assert_eq!(host.shared("ticks").as_deref(), Some(&b"3 1 b"[..]));
        let action = host.exchange().on_request(&mut plugin);
        assert_eq!(action.reply().map(|reply| reply.status), Some(200));
    }
}
