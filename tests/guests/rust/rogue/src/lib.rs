//! Test guest `rogue`: does, in the hook that its configuration names, one of the things a plugin must not be able to
//! hurt the gateway with. The table is in `tests/guests/README.md`.

mod fault;

use portcullis::prelude::*;

pub use fault::{Fault, Hook};

/// Configuration.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// The hook that fails.
    pub hook: Hook,
    /// How it fails.
    pub fault: Fault,
    /// Only requests with this header; all when left out.
    #[serde(default)]
    pub when: Option<String>,
    /// How long `late` computes.
    #[serde(default = "default_millis")]
    pub millis: u64,
}

/// The guest.
#[derive(Debug)]
pub struct Rogue {
    config: Config,
    leaked: Vec<Blob>,
}

#[portcullis::plugin(name = "rogue")]
impl Plugin for Rogue {
    type Config = Config;
    type State = Vec<u8>;

    fn new(config: Config) -> Result<Self, String> {
        let mut rogue = Self {
            config,
            leaked: Vec::new(),
        };
        if rogue.config.hook == Hook::Configure {
            if rogue.config.fault == Fault::Err {
                return Err("the rogue refuses its configuration".to_owned());
            }
            rogue.act();
        }
        Ok(rogue)
    }

    fn schema() -> String {
        // Any: deriving one would double the component.
        String::new()
    }

    fn route(&mut self, request: &Request) -> Result<Option<String>, Refusal> {
        if self.is_due(Hook::Router, request) {
            request.set_attribute("rogue.half-done", Some("1"))?;
            self.fail()?;
        }
        Ok(None)
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action<Vec<u8>>, Refusal> {
        if self.is_due(Hook::OnRequest, request) {
            half_done(request)?;
            return self.fail();
        }
        Ok(Action::Next)
    }

    fn on_request_body(&mut self, request: &mut Request, body: Blob) -> Result<BodyAction<Vec<u8>>, Refusal> {
        if self.is_due(Hook::OnRequestBody, request) {
            half_done(request)?;
            self.leak(body);
            return Ok(match self.fail()? {
                Action::Respond(reply) => BodyAction::Respond(reply),
                Action::Refuse(refusal) => BodyAction::Refuse(refusal),
                Action::NextWith(state) => BodyAction::NextWith(state),
                Action::Next => BodyAction::Next,
            });
        }
        Ok(BodyAction::Next)
    }

    fn on_response(&mut self, response: &mut Response) -> Result<ResponseAction, Refusal> {
        if self.is_due(Hook::OnResponse, response.request()) {
            half_done_back(response)?;
            return Ok(match self.fail()? {
                Action::Respond(reply) => ResponseAction::Replace(reply),
                Action::Refuse(refusal) => ResponseAction::Refuse(refusal),
                _ => ResponseAction::Next,
            });
        }
        Ok(ResponseAction::Next)
    }

    fn on_response_body(
        &mut self,
        response: &mut Response,
        body: Blob,
    ) -> Result<ResponseBodyAction, Refusal> {
        if self.is_due(Hook::OnResponseBody, response.request()) {
            half_done_back(response)?;
            self.leak(body);
            return Ok(match self.fail()? {
                Action::Respond(reply) => ResponseBodyAction::ReplaceAll(reply),
                Action::Refuse(refusal) => ResponseBodyAction::Refuse(refusal),
                _ => ResponseBodyAction::Next,
            });
        }
        Ok(ResponseBodyAction::Next)
    }

    fn on_error(&mut self, error: &GatewayError) -> Result<ErrorAction, Refusal> {
        if self.is_due(Hook::OnError, error.request())
            && let Action::Respond(reply) = self.fail()?
        {
            return Ok(ErrorAction::Replace(reply));
        }
        Ok(ErrorAction::Next)
    }

    fn on_finish(&mut self, finished: &Finished) -> Result<(), Refusal> {
        if self.is_due(Hook::OnFinish, finished.request()) {
            self.fail()?;
        }
        Ok(())
    }

    fn pick(&mut self, request: &Request, candidates: &Candidates) -> Result<Option<usize>, Refusal> {
        if self.is_due(Hook::Balancer, request) {
            request.set_attribute("rogue.half-done", Some("1"))?;
            self.fail()?;
            if self.config.fault == Fault::BadIndex {
                return Ok(Some(candidates.len()));
            }
        }
        Ok(None)
    }

    fn respond(&mut self, request: &Request, body: Blob) -> Result<Answer, Refusal> {
        if self.is_due(Hook::Responder, request) {
            self.leak(body);
            match self.fail()? {
                Action::Respond(reply) => return Ok(Answer::Reply(reply)),
                Action::Refuse(refusal) => return Ok(Answer::Refuse(refusal)),
                _ => {}
            }
        }
        Ok(Answer::Reply(Reply::text(200, "the rogue behaves")))
    }

    fn on_tick(&mut self) -> Result<(), Refusal> {
        if self.config.hook == Hook::OnTick {
            self.fail()?;
        }
        Ok(())
    }
}

impl Rogue {
    /// Whether this is the hook and the request for the fault.
    fn is_due(&self, hook: Hook, request: &Request) -> bool {
        self.config.hook == hook
            && self
                .config
                .when
                .as_ref()
                .is_none_or(|name| request.header(name).is_some())
    }

    /// Fails: does not return, or gives the bad answer.
    fn fail(&mut self) -> Result<Action<Vec<u8>>, Refusal> {
        self.act();
        match self.config.fault {
            Fault::BadStatus => Ok(Action::respond(Reply::new(99))),
            Fault::BadHeader => Ok(Action::respond(Reply::new(200).header("x-rogue", "a\r\nb: c"))),
            Fault::BadCode => Ok(Action::refuse(Refusal::new(
                400,
                "Not Kebab",
                "the code is wrong",
            ))),
            Fault::BigState => Ok(Action::next_with(vec![0; fault::BIG_STATE])),
            Fault::Err => Err(Refusal::internal("the rogue reports an error")),
            _ => Ok(Action::Next),
        }
    }

    /// The faults that are deeds, not answers.
    fn act(&mut self) {
        if self.config.fault == Fault::Leak {
            self.leaked.push(Blob::from_bytes(&[0; 64 << 10]));
        }
        fault::act(self.config.fault, self.config.millis);
    }

    /// Keeps handles of a body for ever, if that is the fault.
    fn leak(&mut self, body: Blob) {
        if self.config.fault == Fault::Leak {
            self.leaked.extend((0..10).map(|_| body.share()));
            self.leaked.push(body);
        }
    }
}

fn half_done(request: &mut Request) -> Result<(), Problem> {
    request.set_header("x-half-done", "1")?;
    request.set_attribute("rogue.half-done", Some("1"))
}

fn half_done_back(response: &mut Response) -> Result<(), Problem> {
    response.set_header("x-half-done", "1")?;
    response.set_attribute("rogue.half-done", Some("1"))
}

fn default_millis() -> u64 {
    50
}

#[cfg(test)]
mod tests {
    use portcullis::{serde_json::json, testing};

    use super::*;

    #[test]
    fn it_fails_only_where_and_when_it_is_told_to() {
        let config = json!({ "hook": "on-request", "fault": "err", "when": "x-rogue" });
        let mut rogue: Rogue = testing::configure(config).unwrap();
        assert!(testing::exchange().on_request(&mut rogue).is_next());
        let mut exchange = testing::exchange().header("x-rogue", "1");
        assert_eq!(
            exchange
                .on_request(&mut rogue)
                .refusal()
                .map(|refusal| refusal.status),
            Some(500)
        );
        assert_eq!(exchange.request_header("x-half-done"), Some("1"));
        assert!(exchange.on_request_body(&mut rogue).is_next());
    }

    #[test]
    fn a_state_over_the_limit_is_refused_by_the_host() {
        let config = json!({ "hook": "on-request", "fault": "big-state" });
        let mut rogue: Rogue = testing::configure(config).unwrap();
        let action = testing::exchange().on_request(&mut rogue);
        assert_eq!(
            action.refusal().and_then(Refusal::cause),
            Some("over the limit: state is at most 64 KiB")
        );
    }

    #[test]
    fn a_configuration_can_be_the_fault() {
        let config = json!({ "hook": "configure", "fault": "err" });
        assert!(testing::configure::<Rogue>(config).is_err());
    }
}
