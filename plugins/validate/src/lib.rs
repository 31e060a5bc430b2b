//! Plugin `validate`: holds JSON bodies of requests and responses against JSON Schemas. Knows bodies and their media
//! types; parameters, header fields and API descriptions are other plugins'.

mod config;
mod fault;
mod json;
mod media;
mod rules;
mod schema;
mod source;
mod violation;

use portcullis::metrics::Counter;
use portcullis::prelude::*;

pub use config::{Config, DuplicateKeys, Mode, RequestConfig, ResponseConfig};
use fault::{Fault, Refused};
use rules::{RequestRules, ResponseRules};
pub use source::Source;

/// The plugin, its schemas compiled.
#[derive(Debug)]
pub struct Validate {
    request: Option<RequestRules>,
    response: Option<ResponseRules>,
    mode: Mode,
    expose_errors: bool,
    violations: Counter,
}

#[portcullis::plugin(label(security), schema = "schema.json")]
impl Plugin for Validate {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let reading = config.reading()?;
        if config.request.is_none() && config.response.is_none() {
            return Err("`request` and `response` are both missing: there is nothing to validate".to_owned());
        }
        let request = config.request.as_ref();
        let response = config.response.as_ref();
        Ok(Self {
            request: request
                .map(|request| RequestRules::new(request, &reading))
                .transpose()?,
            response: response
                .map(|response| ResponseRules::new(response, &reading))
                .transpose()?,
            mode: config.mode,
            expose_errors: config.expose_errors,
            violations: Counter::new(
                "validate_violations_total",
                "Bodies that were not what they have to be, refused or only reported.",
                &["side", "code"],
            )
            .map_err(|problem| problem.to_string())?,
        })
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action, Refusal> {
        let Some(rules) = &self.request else {
            request.skip_body(Side::Request);
            return Ok(Action::Next);
        };
        let Err(fault) = rules.check_head(request) else {
            return Ok(Action::Next);
        };
        request.skip_body(Side::Request);
        self.request_fault(request, &fault).map(|()| Action::Next)
    }

    fn on_request_body(&mut self, request: &mut Request, body: Blob) -> Result<BodyAction, Refusal> {
        let checked = match &self.request {
            Some(rules) => rules.check_body(request, &body),
            None => Ok(()),
        };
        match checked {
            Ok(()) => Ok(BodyAction::Next),
            Err(fault) => self.request_fault(request, &fault).map(|()| BodyAction::Next),
        }
    }

    fn on_response(&mut self, response: &mut Response) -> Result<(), Refusal> {
        let rules = self.response.as_ref();
        if !rules.is_some_and(|rules| rules.concern(response)) {
            response.skip_body(Side::Response);
            return Ok(());
        }
        match rules.map(|rules| rules.check_head(response)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(fault)) => {
                response.skip_body(Side::Response);
                self.response_fault(response, &fault)
            }
        }
    }

    fn on_response_body(&mut self, response: &mut Response, body: Blob) -> Result<(), Refusal> {
        let rules = self.response.as_ref();
        match rules.map(|rules| rules.check_body(response.status(), &body)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(fault)) => self.response_fault(response, &fault),
        }
    }
}

impl Validate {
    /// Takes note of a request that is not what it has to be, and refuses it unless faults are only reported.
    fn request_fault(&self, request: &Request, fault: &Fault) -> Result<(), Refusal> {
        self.violations.increment(&["request", fault.code()]);
        request.set_attribute("validate.request", Some(fault.code()))?;
        log::debug!(
            code = fault.code(),
            errors = fault.summary(),
            "a request body is not what it has to be"
        );
        match self.mode {
            Mode::Enforce => Err(fault.of_request()),
            Mode::Report => Ok(()),
        }
    }

    /// The same for a response.
    fn response_fault(&self, response: &Response, fault: &Fault) -> Result<(), Refusal> {
        self.violations.increment(&["response", fault.code()]);
        response.set_attribute("validate.response", Some(fault.code()))?;
        log::debug!(
            code = fault.code(),
            errors = fault.summary(),
            "a response body is not what it has to be"
        );
        match (self.mode, self.expose_errors) {
            (Mode::Enforce, true) => Err(fault.of_response(Refused::WithErrors)),
            (Mode::Enforce, false) => Err(fault.of_response(Refused::WithoutErrors)),
            (Mode::Report, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
