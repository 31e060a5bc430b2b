//! A text of the configuration that goes to one kind of place: ready when it is loaded, or a template. Knows what fits there,
//! and no edit.

use std::borrow::Cow;

use portcullis::{Request, headers};

use crate::failure::Failure;
use crate::template::{self, Form, Names, Scene, Template, Templates};
use crate::url::{self, Hosts};

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The value of a header.
    Header,
    /// The request's method.
    Method,
    /// The request's host.
    Host,
    /// A path.
    Path,
    /// The value of a query parameter, which is encoded here.
    Parameter,
    /// The target of a redirect.
    Location,
}

/// A text for a place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    place: Place,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Ready(String),
    Template(Template),
}

impl Text {
    /// Compiles a template, or checks a text that is none; the error names its `key`.
    pub(crate) fn new(
        templates: &mut Templates,
        names: Names<'_>,
        place: Place,
        key: &str,
        source: &str,
    ) -> Result<Self, String> {
        let content = if template::is_template(source) {
            Content::Template(templates.compile(key, source, place.form(), names)?)
        } else if place == Place::Path && source.contains(['?', '#']) {
            return Err(format!(
                "`{key}` is a path: it has no `?` and no `#`, the query has keys of its own"
            ));
        } else {
            let nobody = Hosts::default;
            let ready = place
                .finish(source.trim(), nobody)
                .map_err(|what| format!("`{key}`: {what}"))?;
            Content::Ready(ready)
        };
        Ok(Self { place, content })
    }

    /// The text for this exchange. A template that rendered to nothing is "", which is sent nowhere.
    ///
    /// # Errors
    /// The template failed, or what it gave does not fit its place.
    pub(crate) fn resolve(&self, scene: &Scene<'_>) -> Result<Cow<'_, str>, Failure> {
        match &self.content {
            Content::Ready(text) => Ok(Cow::Borrowed(text)),
            Content::Template(template) => {
                let rendered = scene.render(template)?;
                if rendered.is_empty() {
                    return Ok(Cow::Borrowed(""));
                }
                let finished = self.place.finish(&rendered, hosts);
                finished.map(Cow::Owned).map_err(Failure::Value)
            }
        }
    }
}

impl Place {
    fn form(self) -> Form {
        match self {
            Self::Header | Self::Method | Self::Host => Form::Plain,
            Self::Path | Self::Parameter | Self::Location => Form::Url,
        }
    }

    /// The text as it is sent.
    fn finish(self, text: &str, hosts: impl FnOnce() -> Hosts) -> Result<String, String> {
        match self {
            Self::Header => template::header_value(text)
                .ok_or_else(|| "a header's value has no control characters".to_owned()),
            Self::Method if headers::is_name(&text.to_ascii_lowercase()) && text != "CONNECT" => {
                Ok(text.to_owned())
            }
            Self::Method => Err(format!("{text:?} is no method that can be sent")),
            Self::Host if is_authority(text) => Ok(text.to_owned()),
            Self::Host => Err(format!("{text:?} is no host with or without a port")),
            Self::Path => url::path(text),
            Self::Parameter => Ok(url::query_value(text)),
            Self::Location => url::location(text, hosts),
        }
    }
}

/// The names that the request goes by, which a redirect may lead to.
fn hosts() -> Hosts {
    let authority = Request::current().authority();
    Hosts {
        host: template::host(&authority).to_owned(),
        authority,
    }
}

/// Whether a text names a host, and a port if it likes, and nobody in front of it (RFC 3986 section 3.2).
fn is_authority(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}
