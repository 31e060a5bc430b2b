//! Plugin `ip-filter`: lets clients through by their address, or not. Knows lists of ranges; whose address the
//! client's is behind proxies is the gateway's to say, and where an address lies on the map is not known here.

mod config;
mod list;
mod ranges;

use std::net::IpAddr;

use portcullis::metrics::Counter;
use portcullis::prelude::*;

pub use config::{Config, Mode, Otherwise};
use ranges::Ranges;

/// The plugin, its lists ready to be searched.
#[derive(Debug)]
pub struct IpFilter {
    allow: Ranges,
    deny: Ranges,
    otherwise: Otherwise,
    mode: Mode,
    denied: Counter,
}

#[portcullis::plugin(label(security), schema = "schema.json")]
impl Plugin for IpFilter {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let otherwise = config.otherwise()?;
        let ranges = |key: &str, texts: &Strings| {
            list::read(texts)
                .map(Ranges::new)
                .map_err(|what| format!("`{key}`: {what}"))
        };
        Ok(Self {
            allow: ranges("allow", &config.allow.unwrap_or_default())?,
            deny: ranges("deny", &config.deny)?,
            otherwise,
            mode: config.mode,
            denied: Counter::new(
                "ip_filter_denied_total",
                "Requests from addresses that are not allowed, refused or only reported.",
                &["reason"],
            )
            .map_err(|problem| problem.to_string())?,
        })
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action, Refusal> {
        let address = request.client_ip();
        let Some(reason) = self.reason(&address) else {
            return Ok(Action::Next);
        };
        self.denied.increment(&[reason]);
        match self.mode {
            Mode::Enforce => Err(Refusal::new(
                403,
                "ip-denied",
                "your address is not allowed to use this API",
            )),
            Mode::Report => {
                request.set_attribute("ip-filter.denied", Some(reason))?;
                log::debug!(
                    address = address,
                    reason = reason,
                    "this address would be refused"
                );
                Ok(Action::Next)
            }
        }
    }
}

impl IpFilter {
    /// Why this address is not allowed; none when it is. `deny` goes before `allow`, `allow` before the default. What
    /// is no address is not allowed whatever the lists say.
    fn reason(&self, address: &str) -> Option<&'static str> {
        let Ok(address) = address.parse::<IpAddr>() else {
            return Some("unknown");
        };
        if self.deny.contains(address) {
            return Some("deny");
        }
        match self.otherwise {
            Otherwise::Allow => None,
            Otherwise::Deny => (!self.allow.contains(address)).then_some("default"),
        }
    }
}

#[cfg(test)]
mod tests;
