//! Test guest `probe`: the conformance cases of `tests/guests/README.md`, in Rust. The request chooses the case; the
//! table there is the specification, and the guests of the other SDKs do the same.

use std::time::Duration;

use portcullis::metrics::Counter;
use portcullis::prelude::*;
use portcullis::serde_json::json;
use portcullis::{FieldEdits, WhenClientLeaves, clock, counters, random, shared};

mod case;

use case::{argument, case, name_of, or_none};

/// The guest.
#[derive(Debug)]
pub struct Probe {
    total: Counter,
}

#[portcullis::plugin(name = "probe")]
impl Plugin for Probe {
    type Config = portcullis::serde_json::Value;
    type State = String;

    fn new(_: Self::Config) -> Result<Self, String> {
        let total = Counter::new("probe_total", "Requests of the case `metric`.", &["arg"]);
        Ok(Self {
            total: total.map_err(|problem| problem.to_string())?,
        })
    }

    fn schema() -> String {
        String::new()
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action<String>, Refusal> {
        let argument = argument(request);
        let edited = match case(request).as_str() {
            "set-headers" => {
                request.set_header("x-probe", "1")?;
                request.append_header("x-twice", "a")?;
                request.append_header("x-twice", "b")?;
                request.remove_header("x-drop")
            }
            "edit-headers" => {
                let mut edits = FieldEdits::new();
                edits
                    .set("x-probe", &argument)
                    .append("x-twice", "a")
                    .append("x-twice", "b");
                request.edit_headers(&edits)
            }
            "edit-response" => request.edit_response(FieldEdits::new().set("x-probe", &argument)),
            "set-target" => request.set_target(&argument),
            "set-method" => request.set_method(&argument),
            "set-authority" => request.set_authority(&argument),
            "set-upstream" => request.set_upstream(&argument),
            "set-retry" => request.set_retry(case::MINUTE, argument.parse().unwrap_or(u8::MAX)),
            "delay" => request.delay(Duration::from_millis(argument.parse().unwrap_or(u64::MAX))),
            "capture" => {
                request.capture_body(Side::Response, case::CAPTURED, WhenClientLeaves::Finish);
                Ok(())
            }
            "state" => return Ok(Action::next_with(argument)),
            "attribute" => {
                request.set_attribute("probe.note", Some(&argument))?;
                let denied = request.set_attribute("auth.subject", Some(&argument));
                request.set_header("x-denied", name_of(&denied))
            }
            "skip-body" => {
                request.skip_body(Side::Request);
                Ok(())
            }
            "log" => {
                log::info!(arg = argument, "probe logs");
                Ok(())
            }
            "metric" => {
                self.total.increment(&[&argument]);
                Ok(())
            }
            "metric-series" => self.total.series(&[&argument]).map(|series| series.increment()),
            "refuse" => return Err(refused(&argument)),
            "error-replace" if argument == "refuse" => return Err(refused(&argument)),
            #[expect(clippy::panic, reason = "the case is a panic")]
            "panic" => panic!("the probe panics"),
            other => {
                return answer(other, &argument, request)
                    .map(|reply| reply.map_or(Action::Next, Action::Respond));
            }
        };
        Ok(match edited {
            Ok(()) => Action::Next,
            Err(_) => Action::respond(Reply::text(200, name_of(&edited))),
        })
    }

    fn on_request_body(&mut self, request: &mut Request, body: Blob) -> Result<BodyAction<String>, Refusal> {
        match case(request).as_str() {
            "body-upper" => return Ok(BodyAction::replace(body.to_vec().to_ascii_uppercase())),
            "body-len" | "skip-body" => request.set_header("x-body-len", &body.len().to_string())?,
            "body-find" => {
                let found = body
                    .find(argument(request).as_bytes(), 0)
                    .map(|offset| offset.to_string());
                request.set_header("x-body-find", &or_none(found))?;
            }
            "body-echo" => {
                return Ok(BodyAction::Respond(binary(body)));
            }
            "body-refuse" => return Err(Refusal::new(422, "probe-body-refused", "refused by the probe")),
            _ => {}
        }
        Ok(BodyAction::Next)
    }

    fn on_response(
        &mut self,
        response: &mut Response,
        state: Option<String>,
    ) -> Result<ResponseAction, Refusal> {
        let argument = argument(response.request());
        match case(response.request()).as_str() {
            "bytes" => {
                let bytes = response.request().header_bytes("x-arg").unwrap_or_default();
                response.set_header_bytes("x-bytes", &bytes)?;
                response.set_header("x-bytes-len", &bytes.len().to_string())?;
            }
            "state" | "state-none" => response.set_header("x-state", &or_none(state))?,
            "attribute" => {
                let (note, subject) = (
                    response.attribute("probe.note"),
                    response.attribute("auth.subject"),
                );
                response.set_header("x-note", &or_none(note))?;
                response.set_header("x-subject", &or_none(subject))?;
            }
            "response-status" => {
                let set = response.set_status(argument.parse().unwrap_or(0));
                if set.is_err() {
                    response.set_header("x-problem", name_of(&set))?;
                }
            }
            "response-headers" => {
                response.set_header("x-probe", "1")?;
                response.append_header("x-twice", "a")?;
                response.append_header("x-twice", "b")?;
                response.remove_header("x-drop")?;
            }
            "response-replace" => {
                let reply = Reply::text(203, "replaced").header("x-probe", "replaced");
                return Ok(ResponseAction::Replace(reply));
            }
            "response-refuse" => {
                return Err(Refusal::new(
                    502,
                    "probe-response-refused",
                    "refused by the probe",
                ));
            }
            _ => {}
        }
        Ok(ResponseAction::Next)
    }

    fn on_response_body(&mut self, response: &mut Response, body: Blob) -> ResponseBodyAction {
        match case(response.request()).as_str() {
            "response-body-prefix" => {
                let mut bytes = argument(response.request()).into_bytes();
                bytes.extend(body.to_vec());
                ResponseBodyAction::replace(bytes)
            }
            "response-body-replace-all" => {
                let reply = Reply::text(203, body.len().to_string()).header("x-probe", "replaced");
                ResponseBodyAction::ReplaceAll(reply)
            }
            _ => ResponseBodyAction::Next,
        }
    }

    fn on_error(&mut self, error: &GatewayError) -> ErrorAction {
        match case(error.request()).as_str() {
            "error-replace" => {
                let text = format!("probe saw {}", error.status());
                ErrorAction::Replace(Reply::text(503, text).header("x-error", error.kind()))
            }
            "error-retry" => ErrorAction::RetryOn(argument(error.request())),
            _ => ErrorAction::Next,
        }
    }

    fn on_finish(&mut self, finished: &Finished) -> Result<(), Problem> {
        let bytes = match case(finished.request()).as_str() {
            "finish" => {
                let outcome = finished.outcome();
                format!("{} {} {}", outcome.status, outcome.bytes_out, outcome.aborted).into_bytes()
            }
            "capture" => match finished.captured(Side::Response) {
                Some(copy) => copy.to_vec(),
                None => b"none".to_vec(),
            },
            _ => return Ok(()),
        };
        let key = finished_key(&argument(finished.request()));
        shared::put(&key, &bytes, case::FOR_EVER)
    }

    fn pick(&mut self, request: &Request, candidates: &Candidates) -> Option<usize> {
        match case(request).as_str() {
            "pick" => {
                let wanted = argument(request);
                candidates
                    .iter()
                    .position(|endpoint| endpoint.weight >= 1 && endpoint.label("name") == Some(&wanted))
            }
            "pick-beyond" => Some(candidates.len()),
            _ => None,
        }
    }

    fn respond(&mut self, request: &Request, body: Blob) -> Result<Reply, Refusal> {
        match case(request).as_str() {
            "responder-refuse" => Err(Refusal::new(404, "probe-not-found", "refused by the probe")),
            "responder-body" => Ok(binary(body)),
            _ => {
                let seen = json!({
                    "method": request.method(),
                    "path": request.path(),
                    "query": request.query(),
                    "body-length": body.len(),
                });
                Ok(Reply::json(200, &seen)?.header("x-probe", "responder"))
            }
        }
    }
}

/// The cases that answer from `on-request`; none for an unknown one.
fn answer(case: &str, argument: &str, request: &mut Request) -> Result<Option<Reply>, Refusal> {
    let text = match case {
        "echo-head" => {
            let head = json!({
                "method": request.method(),
                "path": request.path(),
                "query": request.query(),
                "authority": request.authority(),
                "client-ip": request.client_ip(),
                "route": request.route(),
            });
            return Ok(Some(Reply::json(200, &head)?));
        }
        "respond" => {
            let reply = Reply::text(202, format!("probe says {argument}")).header("x-probe", "respond");
            return Ok(Some(reply));
        }
        "property" => or_none(request.property(argument)),
        "bad-header" => {
            let name = request.set_header("bad name", "v");
            let value = request.set_header("x-ok", "a\r\nb");
            format!("{} {}", name_of(&name), name_of(&value))
        }
        "shared-count" => count().to_string(),
        "shared-absent" => match shared::put_absent(argument, b"1", case::FOR_EVER) {
            Ok(written) => written.to_string(),
            Err(problem) => name_of(&Err(problem)).to_owned(),
        },
        "counter-take" => {
            let verdict = counters::take(argument, &counters::Quota::new(3, case::HOUR), 1)?;
            format!("{} {}", verdict.allowed, verdict.remaining)
        }
        "counter-add" => counters::add(argument, 1, case::HOUR)?.to_string(),
        "random" => (random::unsigned() != random::unsigned() && random::bytes(16).len() == 16).to_string(),
        "clock" => {
            let before = clock::monotonic();
            (clock::unix_ms() > case::YEAR_2020_MS && clock::monotonic() >= before).to_string()
        }
        "finished" => {
            let entry = shared::get(&finished_key(argument));
            or_none(entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned()))
        }
        _ => return Ok(None),
    };
    Ok(Some(Reply::text(200, text)))
}

/// Raises the shared number by one, however many instances do so at the same time.
fn count() -> u64 {
    loop {
        let (number, version) = match shared::get("count") {
            Some(entry) => (
                String::from_utf8_lossy(&entry.value).parse().unwrap_or(0),
                entry.version,
            ),
            None => (0, 0),
        };
        let next: u64 = number + 1;
        if shared::put_if("count", next.to_string().as_bytes(), case::FOR_EVER, version).is_ok() {
            return next;
        }
    }
}

fn finished_key(argument: &str) -> String {
    format!("finished:{argument}")
}

fn refused(argument: &str) -> Refusal {
    Refusal::new(418, "probe-refused", "refused by the probe")
        .header("x-probe", "refuse")
        .with("arg", argument)
        .with("list", json!([1, 2]))
}

fn binary(body: Blob) -> Reply {
    Reply::new(200)
        .header("content-type", "application/octet-stream")
        .body(body)
}

#[cfg(test)]
mod tests;
