//! Test guest `reach`: sends what the request header `x-do` orders, and answers with what came of it. The table is in
//! `tests/guests/README.md`.

use std::time::Duration;

use portcullis::flights::{self, Role};
use portcullis::http::{self, Answer, Call};
use portcullis::prelude::*;
use portcullis::shared;

/// The guest.
#[derive(Debug)]
pub struct Reach;

#[portcullis::plugin(name = "reach")]
impl Plugin for Reach {
    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action, Refusal> {
        let Some(order) = request.header("x-do") else {
            return Ok(Action::Next);
        };
        let words: Vec<&str> = order.split(' ').collect();
        let told = match words.as_slice() {
            ["send", method, uri] => said(Call::new(method, uri).header("x-from", "reach").send()),
            ["post", uri, body] => said(Call::post(uri, *body).send()),
            ["within", millis, uri] => said(Call::get(uri).timeout(span(millis)).send()),
            ["at-most", bytes, uri] => said(Call::get(uri).max_body(bytes.parse().unwrap_or(1)).send()),
            ["send-all", uris @ ..] => all(uris),
            ["fly", key, patience, uri] => fly(key, span(patience), uri),
            ["panic-after", uri] => {
                let told = said(Call::get(uri).send());
                #[expect(clippy::panic, reason = "this is how it is ordered to fail")]
                {
                    panic!("it said {told}")
                }
            }
            ["pass", uri] => {
                let told = said(Call::get(uri).send());
                request.set_header("x-told", &told)?;
                return Ok(Action::Next);
            }
            _ => "unknown order".to_owned(),
        };
        Ok(Action::respond(Reply::text(200, told)))
    }
}

fn span(millis: &str) -> Duration {
    Duration::from_millis(millis.parse().unwrap_or(0))
}

/// `STATUS BODY`, or the problem.
fn said(answer: Result<Answer, Problem>) -> String {
    match answer {
        Ok(answer) => format!(
            "{} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body.to_vec())
        ),
        Err(problem) => problem.to_string(),
    }
}

fn all(uris: &[&str]) -> String {
    let answers = http::send_all(uris.iter().map(|uri| Call::get(uri)).collect());
    match answers {
        Ok(answers) => answers.into_iter().map(said).collect::<Vec<_>>().join("; "),
        Err(problem) => problem.to_string(),
    }
}

/// Who leads asks `uri` and keeps the answer in `shared`; the others take it from there.
fn fly(key: &str, patience: Duration, uri: &str) -> String {
    match flights::enter(key, patience) {
        Ok(Role::Leader) => {
            let told = said(Call::get(uri).send());
            match shared::put(key, told.as_bytes(), Duration::ZERO).and_then(|()| flights::leave(key)) {
                Ok(()) => format!("led: {told}"),
                Err(problem) => problem.to_string(),
            }
        }
        Ok(Role::AfterLeader) => {
            let kept = shared::get(key).map(|entry| entry.value).unwrap_or_default();
            format!("followed: {}", String::from_utf8_lossy(&kept))
        }
        Ok(Role::TimedOut) => "timed out".to_owned(),
        Err(problem) => problem.to_string(),
    }
}
