//! Test guest `misfit`: a plugin that would work, were its JSON Schema one. The gateway must refuse to load it.

use portcullis::prelude::*;

/// The guest.
#[derive(Debug)]
pub struct Misfit;

#[portcullis::plugin(name = "misfit")]
impl Plugin for Misfit {
    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn schema() -> String {
        r#"{ "type": "no-such-type", "properties": 1 }"#.to_owned()
    }

    fn on_request(&mut self, _: &mut Request) {}
}
