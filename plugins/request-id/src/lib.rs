//! Plugin `request-id`: gives every request one id, for the upstream, the client and the rest of the pipeline. Knows no
//! trace; the gateway's own number of the exchange is taken as it is.

mod config;
mod id;

use portcullis::prelude::*;
use portcullis::{clock, random};

pub use config::{Accept, Config, Format};

/// The attribute that holds the id.
const ATTRIBUTE: &str = "request.id";

/// The plugin, ready to name requests.
#[derive(Debug)]
pub struct RequestId {
    header: String,
    response_header: Option<String>,
    accept: Accept,
    format: Format,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for RequestId {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let (header, response_header) = config.names()?;
        Ok(Self {
            header,
            response_header,
            accept: config.accept,
            format: config.format,
        })
    }

    fn on_request(&mut self, request: &mut Request) -> Result<(), Problem> {
        let id = self.accepted(request).unwrap_or_else(|| self.made(request));
        request.set_header(&self.header, &id)?;
        request.set_attribute(ATTRIBUTE, Some(&id))
    }

    fn on_response(&mut self, response: &mut Response) -> Result<(), Problem> {
        let Some(header) = &self.response_header else {
            return Ok(());
        };
        let id = if (self.accept, self.format) == (Accept::Never, Format::Gateway) {
            Some(id::gateway(response.id()))
        } else {
            // Any plugin of the pipeline may write it.
            response.attribute(ATTRIBUTE).filter(|id| id::is_valid(id))
        };
        match id {
            Some(id) => response.set_header(header, &id),
            None => Ok(()),
        }
    }
}

impl RequestId {
    /// The client's id, where it may choose one and there is exactly one.
    fn accepted(&self, request: &Request) -> Option<String> {
        if self.accept == Accept::Never {
            return None;
        }
        let [id] = <[String; 1]>::try_from(request.header_values(&self.header)).ok()?;
        Some(id).filter(|id| id::is_valid(id))
    }

    /// An id of this gateway.
    fn made(&self, request: &Request) -> String {
        let bits = || u128::from(random::unsigned()) << 64 | u128::from(random::unsigned());
        match self.format {
            Format::Gateway => id::gateway(request.id()),
            Format::UuidV4 => id::uuid_v4(bits()),
            Format::UuidV7 => id::uuid_v7(clock::unix_ms(), bits()),
        }
    }
}

#[cfg(test)]
mod tests;
