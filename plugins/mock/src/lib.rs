//! Plugin `mock`: fixed answers in place of an upstream, for tests, demos and interfaces that do not exist yet. Knows
//! no upstream and keeps nothing between requests.

mod canned;
mod config;
mod echo;

use portcullis::prelude::*;

use canned::Canned;
pub use config::{Config, Response, When};

/// The plugin, its answers prepared.
#[derive(Debug)]
pub struct Mock {
    answers: Vec<Canned>,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for Mock {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let prepared = config.responses.into_iter().enumerate();
        let answers = prepared
            .map(|(at, response)| Canned::new(response).map_err(|what| format!("responses[{at}]: {what}")));
        Ok(Self {
            answers: answers.collect::<Result<_, _>>()?,
        })
    }

    fn respond(&mut self, request: &Request, body: Blob) -> Result<Reply, Refusal> {
        match self.answers.iter().find(|canned| canned.fits(request)) {
            Some(canned) => Ok(canned.reply(request, &body)?),
            None => Err(Refusal::new(
                404,
                "mock-no-match",
                "no mocked response fits this request",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
