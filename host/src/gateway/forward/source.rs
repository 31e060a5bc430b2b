//! The body of a request that may have to be sent again. It refuses to know when.

use crate::net::{Kept, RequestBody};

/// What is kept of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing: it is sent once.
    Nothing,
    /// What is at hand. A body that still comes from the client is sent once.
    AtHand,
    /// What comes from the client, too, up to so many bytes.
    UpTo(u64),
}

/// A body to send again.
#[derive(Debug)]
pub(super) struct Source(Option<RequestBody>);

impl Source {
    /// The body for the first try, and what is kept of it.
    pub(super) fn of(body: RequestBody, keep: Keep) -> (RequestBody, Self) {
        let body = match (keep, body) {
            (Keep::Nothing, body) => return (body, Self(None)),
            // A filtered body is kept as it was filtered: filters see it once.
            (
                Keep::UpTo(max),
                body @ (RequestBody::Stream(_) | RequestBody::Chained(..) | RequestBody::Changed(_)),
            ) => RequestBody::Kept(Kept::new(body, max)),
            (Keep::AtHand, body @ RequestBody::Changed(_)) => RequestBody::Kept(Kept::new(body, 0)),
            (_, body) => body,
        };
        match body.replay() {
            Some(first) => (first, Self(Some(body))),
            None => (body, Self(None)),
        }
    }

    /// The same body again; none when it is gone.
    pub(super) fn again(&self) -> Option<RequestBody> {
        self.0.as_ref()?.replay()
    }
}
