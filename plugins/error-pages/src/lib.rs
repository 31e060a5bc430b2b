//! Plugin `error-pages`: answers the gateway's errors in the form that the client accepts: the gateway's own problem
//! document, an HTML page or plain text. Knows what an error says of itself; why it happened is not its concern.

mod accept;
mod config;
mod pages;
mod reason;
mod status;
mod template;

use portcullis::prelude::*;

pub use config::{Config, Form, Page};
pub use status::{Status, Statuses};

use pages::{Medium, Pages};
use template::Facts;

/// The plugin, its templates compiled.
#[derive(Debug)]
pub struct ErrorPages {
    default: Form,
    pages: Pages,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for ErrorPages {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self {
            default: config.default,
            pages: Pages::new(config)?,
        })
    }

    fn on_error(&mut self, error: &GatewayError) -> Result<ErrorAction, String> {
        let accept = error.request().header_values("accept");
        let medium = match accept::choose(&accept, self.default) {
            Form::Problem => return Ok(ErrorAction::Next),
            Form::Html => Medium::Html,
            Form::Text => Medium::Text,
        };
        let facts = facts(error);
        let (headers, body) = self.pages.answer(medium, &facts)?;
        let mut reply = Reply::new(facts.status).body(body);
        reply.headers = headers;
        Ok(ErrorAction::Replace(reply))
    }
}

/// What a page can say. Path and host are those that the client asked for: what a plugin made of them may be an
/// internal name.
fn facts(error: &GatewayError) -> Facts {
    let property = |key| error.property(key).unwrap_or_default();
    let mut path = property("request.raw-target");
    path.truncate(path.find('?').unwrap_or(path.len()));
    let request = error.request();
    Facts {
        status: error.status(),
        code: error.kind(),
        title: property("error.title"),
        detail: property("error.detail"),
        request_id: property("request.id"),
        method: request.method(),
        path,
        host: request.header("host").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
