//! Test guest `guard`: labels itself `security`, and panics at requests with the header `x-rogue`. The gateway must not
//! let them pass, whatever `on-fault` says.

use portcullis::prelude::*;

/// The guest.
#[derive(Debug)]
pub struct Guard;

#[portcullis::plugin(name = "guard", label(security))]
impl Plugin for Guard {
    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_request(&mut self, request: &mut Request) {
        #[expect(clippy::panic, reason = "the fault is a panic")]
        if request.header("x-rogue").is_some() {
            panic!("the guard panics");
        }
    }
}
