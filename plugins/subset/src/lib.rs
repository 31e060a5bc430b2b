//! Plugin `subset`: picks the endpoints of an upstream that have the labels which a request asks for. Knows no address.

mod choice;
mod config;
mod demand;

use portcullis::prelude::*;
use portcullis::random;

pub use config::Config;

use choice::choose;
use demand::Demands;

/// The plugin, ready to pick.
#[derive(Debug)]
pub struct Subset {
    demands: Demands,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for Subset {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self {
            demands: Demands::new(config)?,
        })
    }

    fn pick(&mut self, request: &Request, candidates: &Candidates) -> Option<usize> {
        let wanted = self.demands.of(request);
        if wanted.is_empty() {
            return None;
        }
        let all = |endpoint: &Endpoint| {
            let mut wanted = wanted.iter();
            wanted.all(|(label, value)| endpoint.label(label) == Some(value))
        };
        let fallback = |endpoint: &Endpoint| {
            let mut fallback = self.demands.fallback();
            fallback.all(|(label, value)| endpoint.label(label) == Some(value))
        };
        let drawn = random::unsigned();
        choose(candidates, all, drawn).or_else(|| {
            let some = self.demands.fallback().next().is_some();
            some.then(|| choose(candidates, fallback, drawn)).flatten()
        })
    }
}

#[cfg(test)]
mod tests;
