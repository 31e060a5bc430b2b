//! Plugin `transform`: redirects, and edits of what goes to the upstream and comes back: method, host, path, query, headers,
//! status. Knows no body.

mod config;
mod failure;
mod fields;
mod headers;
mod path;
mod pattern;
mod percent;
mod query;
mod redirect;
mod replacement;
mod request;
mod response;
mod template;
mod text;
mod url;
mod when;

use portcullis::prelude::*;

pub use config::{
    Config, FieldEdits, PathEdits, Redirect, Replace, RequestEdits, RequestWhen, ResponseEdits, ResponseWhen,
};
use failure::{During, Failure};
use template::Templates;
use when::Facts;

/// The plugin, its patterns and templates compiled.
#[derive(Debug)]
pub struct Transform {
    templates: Templates,
    redirects: Vec<redirect::Redirect>,
    request: Option<request::Edits>,
    response: Option<response::Edits>,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for Transform {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let mut templates = Templates::new();
        let redirects = config.redirect.iter().enumerate();
        let redirects = redirects
            .map(|(at, config)| redirect::Redirect::new(&mut templates, &format!("redirect[{at}]"), config));
        Ok(Self {
            redirects: redirects.collect::<Result<_, _>>()?,
            request: request::Edits::new(&mut templates, &config.request)?,
            response: response::Edits::new(&mut templates, &config.response)?,
            templates,
        })
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action, Refusal> {
        let done = self
            .redirect(request)
            .and_then(|reply| match (reply, &self.request) {
                (Some(reply), _) => Ok(Action::Respond(reply)),
                (None, Some(edits)) => edits.apply(request, &self.templates).map(|()| Action::Next),
                (None, None) => Ok(Action::Next),
            });
        done.map_err(|failure| failure.into_refusal(During::Request))
    }

    fn on_response(&mut self, response: &mut Response) -> Result<(), Refusal> {
        let Some(edits) = &self.response else {
            return Ok(());
        };
        let done = edits.apply(response, &self.templates);
        done.map_err(|failure| failure.into_refusal(During::Response))
    }
}

impl Transform {
    /// The redirect of a request that one is for.
    fn redirect(&self, request: &Request) -> Result<Option<Reply>, Failure> {
        let facts = Facts::of(request);
        for redirect in &self.redirects {
            if let Some(reply) = redirect.reply(request, &facts, &self.templates)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
