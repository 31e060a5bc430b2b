//! Interface `http-client`: requests of plugins, checked before anybody sends them.

use http::{HeaderMap, Method};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::imports::http_client::{Answer, Call, Host};
use super::imports::types::{BodySource, Problem};
use super::verdict::fields;
use super::waits::{HttpAnswer, HttpCall, HttpError};
use super::{Fallible, HostState};
use crate::exchange::to_text;

/// Calls of one `send-all`.
const MAX_AT_ONCE: usize = 64;

impl Host for HostState {
    async fn send(&mut self, call: Call) -> Fallible<Answer> {
        let mut answers = match self.calls(vec![call]).await? {
            Ok(answers) => answers,
            Err(problem) => return Ok(Err(problem)),
        };
        Ok(answers.pop().unwrap_or(Err(Problem::Timeout)))
    }

    async fn send_all(&mut self, calls: Vec<Call>) -> Fallible<Vec<Result<Answer, Problem>>> {
        self.calls(calls).await
    }
}

impl HostState {
    async fn calls(&mut self, calls: Vec<Call>) -> Fallible<Vec<Result<Answer, Problem>>> {
        if calls.len() > MAX_AT_ONCE {
            return Ok(Err(Problem::Limit(format!(
                "at most {MAX_AT_ONCE} calls at once"
            ))));
        }
        // Requests that are none are answered here, at their places.
        let mut places: Vec<Option<Problem>> = Vec::with_capacity(calls.len());
        let mut sendable = Vec::with_capacity(calls.len());
        for call in calls {
            match self.checked(call)? {
                Ok(call) => {
                    sendable.push(call);
                    places.push(None);
                }
                Err(problem) => places.push(Some(problem)),
            }
        }
        let most = self.entry.max_outbound;
        if let Some(x) = self.exchange.as_deref_mut() {
            let after = x
                .sent_out
                .saturating_add(u32::try_from(sendable.len()).unwrap_or(u32::MAX));
            if after > most {
                return Ok(Err(Problem::Limit(format!(
                    "plugins may send {most} requests for an exchange (`max-outbound`)"
                ))));
            }
            x.sent_out = after;
        }
        let entry = Arc::clone(&self.entry);
        let sent = self.have_done(move |outside, until| outside.send_all(entry, sendable, until));
        let mut answers = match sent.await {
            Ok(answers) => answers.into_iter(),
            Err(problem) => return Ok(Err(problem)),
        };
        let mut all = Vec::with_capacity(places.len());
        for place in places {
            all.push(match place {
                Some(problem) => Err(problem),
                None => match answers.next().unwrap_or(Err(HttpError::Timeout)) {
                    Ok(answer) => Ok(self.answer(answer)?),
                    Err(error) => Err(error.into()),
                },
            });
        }
        Ok(Ok(all))
    }

    fn checked(&mut self, call: Call) -> Fallible<HttpCall> {
        let body = match call.body {
            BodySource::Empty => bytes::Bytes::new(),
            BodySource::Bytes(bytes) => bytes.into(),
            BodySource::Blob(blob) => self.take(blob)?,
        };
        let Ok(method) = Method::from_bytes(call.method.as_bytes()) else {
            return Ok(Err(Problem::Invalid("this is no method".to_owned())));
        };
        let headers: HeaderMap = match fields(&call.headers) {
            Ok(headers) => headers,
            Err(error) => return Ok(Err(Problem::Invalid(error.to_string()))),
        };
        let own = Duration::from_millis(call.timeout_ms.into());
        let most = self.entry.max_body;
        Ok(Ok(HttpCall {
            method,
            uri: call.uri,
            headers,
            body,
            until: Some(own)
                .filter(|own| !own.is_zero())
                .and_then(|own| Instant::now().checked_add(own)),
            max_body: if call.max_body == 0 {
                most
            } else {
                call.max_body.min(most)
            },
        }))
    }

    fn answer(&mut self, answer: HttpAnswer) -> wasmtime::Result<Answer> {
        let headers = answer.headers.iter();
        Ok(Answer {
            status: answer.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), to_text(value.as_bytes())))
                .collect(),
            body: self.lend(answer.body)?,
        })
    }
}
