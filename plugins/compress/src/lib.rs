//! Plugin `compress`: puts response bodies into a content coding that the client accepts. Knows media types, codings and
//! the fields that depend on them; what the bodies mean is not its concern.

mod accept;
mod coding;
mod config;
mod encode;
mod head;
mod media;
mod size;

use portcullis::prelude::*;
use portcullis::{Blob, Side};

pub use coding::Coding;
pub use config::Config;
pub use media::MediaType;
pub use size::Size;

use accept::Accepted;
use encode::Levels;
use head::Head;

/// The plugin, its lists checked.
#[derive(Debug)]
pub struct Compress {
    codings: Vec<Coding>,
    types: Vec<MediaType>,
    min_size: u64,
    levels: Levels,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for Compress {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self {
            levels: config.levels(),
            codings: config.codings,
            types: config.types,
            min_size: config.min_size.0,
        })
    }

    fn on_response(&mut self, response: &mut Response) -> Result<(), Problem> {
        if !self.wants_body(response)? {
            response.skip_body(Side::Response);
        }
        Ok(())
    }

    fn on_response_body(
        &mut self,
        response: &mut Response,
        body: Blob,
    ) -> Result<ResponseBodyAction, Problem> {
        let accepted = Accepted::of(&response.request().headers(), &self.codings);
        let (Some(coding), size) = (accepted.coding, body.len()) else {
            return Ok(ResponseBodyAction::Next);
        };
        if size == 0 || (size < self.min_size && accepted.identity) {
            return Ok(ResponseBodyAction::Next);
        }
        let coded = match encode::encode(coding, &body.to_vec(), &self.levels) {
            Ok(coded) => coded,
            Err(error) => {
                // The body goes out as it is: that is what a client without this coding gets, too.
                log::warn!(
                    coding = coding.name(),
                    error = error,
                    "the body could not be compressed"
                );
                return Ok(ResponseBodyAction::Next);
            }
        };
        if coded.len() as u64 >= size && accepted.identity {
            return Ok(ResponseBodyAction::Next);
        }
        head::dress(response, coding)?;
        Ok(ResponseBodyAction::replace(coded))
    }
}

impl Compress {
    /// Whether the body is to be compressed, as far as the heads tell; says in `Vary` that it depends on the request.
    fn wants_body(&self, response: &mut Response) -> Result<bool, Problem> {
        let head = Head::of(response);
        if head.is_unchanged() {
            head.confirm(response)?;
            return Ok(false);
        }
        if !head.is_free() || !self.types.iter().any(|one| one.fits(&head.media_type)) {
            return Ok(false);
        }
        if !head.varies {
            response.append_header("vary", "accept-encoding")?;
        }
        if !head.has_whole_body() || response.request().method() == "HEAD" {
            return Ok(false);
        }
        let accepted = Accepted::of(&response.request().headers(), &self.codings);
        let is_small = head.length.is_some_and(|length| length < self.min_size);
        Ok(accepted.coding.is_some() && !(is_small && accepted.identity))
    }
}

#[cfg(test)]
mod tests;
