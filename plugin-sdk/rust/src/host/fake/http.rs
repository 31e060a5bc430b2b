//! The fake `http-client`: answers that a test has laid down for URIs, and what was sent.

use super::with_world;
use crate::http::{Answer, Call};
use crate::{Blob, Problem};

/// An answer for each request to its URI.
#[derive(Debug)]
pub(crate) struct Laid {
    pub(crate) uri: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the gateway's own takes the call, too"
)]
pub(crate) fn send(call: Call) -> Result<Answer, Problem> {
    with_world(|world| {
        let found = world.answers.iter().rev().find(|laid| laid.uri == call.uri);
        let answer = match found {
            Some(laid) => Ok(Answer {
                status: laid.status,
                headers: laid.headers.clone(),
                body: Blob::from_bytes(&laid.body),
            }),
            None => Err(Problem::Denied(format!(
                "no answer is laid down for `{}`",
                call.uri
            ))),
        };
        world.sent.push(format!("{} {}", call.method, call.uri));
        answer
    })
}

#[allow(clippy::unnecessary_wraps, reason = "the gateway's own may fail as a whole")]
pub(crate) fn send_all(calls: Vec<Call>) -> Result<Vec<Result<Answer, Problem>>, Problem> {
    Ok(calls.into_iter().map(send).collect())
}
