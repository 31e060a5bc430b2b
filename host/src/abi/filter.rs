//! Interface `body-filter`: what a filter makes of a piece. It refuses to know where pieces come from.

use bytes::Bytes;

use super::verdict::{Accept, BadAnswer};
use super::{HostState, exports, imports};
use crate::exchange::Side;

/// What a filter makes of a piece, or of the end of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Filtered {
    /// It goes on as it is.
    Same,
    /// These bytes go on in its place; may be none.
    Bytes(Bytes),
    /// The body is broken off; the text says why.
    Abort(String),
}

impl Accept for exports::body_filter::Output {
    type Into = Filtered;
    fn accept(self, _: &mut HostState) -> Result<Filtered, BadAnswer> {
        Ok(match self {
            Self::Same => Filtered::Same,
            Self::Bytes(bytes) => Filtered::Bytes(bytes.into()),
            Self::Abort(why) => Filtered::Abort(why),
        })
    }
}

impl From<Side> for imports::types::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Request => Self::Request,
            Side::Response => Self::Response,
        }
    }
}
