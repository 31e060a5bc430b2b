//! One prepared answer: which requests it fits and what it sends.

use portcullis::{Blob, Problem, Reply, Request, headers, serde_json};

use crate::config::{Response, When};
use crate::echo;

/// A prepared answer.
#[derive(Debug)]
pub(crate) struct Canned {
    when: When,
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

/// What it sends.
#[derive(Debug)]
enum Body {
    Fixed(Vec<u8>),
    Echo,
}

impl Canned {
    /// Prepares an answer; the error says what is wrong with it.
    pub(crate) fn new(response: Response) -> Result<Self, String> {
        if !(200..600).contains(&response.status) {
            return Err("`status` is not from 200 to 599".to_owned());
        }
        let (body, media_type) = match (response.body, response.json, response.echo) {
            (Some(text), None, false) => (Body::Fixed(text.into_bytes()), Some("text/plain; charset=utf-8")),
            (None, Some(value), false) => (
                Body::Fixed(value.to_string().into_bytes()),
                Some("application/json"),
            ),
            (None, None, true) => (Body::Echo, Some("application/json")),
            (None, None, false) => (Body::Fixed(Vec::new()), None),
            _ => return Err("only one of `body`, `json` and `echo` can be given".to_owned()),
        };
        let mut fields = Vec::new();
        for (name, values) in &response.headers {
            let name = name.to_ascii_lowercase();
            for value in values.iter() {
                if !headers::is_name(&name) || !headers::is_value(value) {
                    return Err(format!(
                        "the header {name:?} with the value {value:?} cannot be sent"
                    ));
                }
                fields.push((name.clone(), value.clone()));
            }
        }
        if let Some(media_type) = media_type
            && fields.iter().all(|(name, _)| name != "content-type")
        {
            fields.push(("content-type".to_owned(), media_type.to_owned()));
        }
        Ok(Self {
            when: response.when,
            status: response.status,
            headers: fields,
            body,
        })
    }

    /// Whether the request meets all conditions.
    pub(crate) fn fits(&self, request: &Request) -> bool {
        let When { method, path, header } = &self.when;
        method.as_ref().is_none_or(|method| *method == request.method())
            && path.as_ref().is_none_or(|path| path_fits(path, &request.path()))
            && header
                .iter()
                .all(|(name, value)| request.header(name).as_ref() == Some(value))
    }

    /// The answer to this request.
    pub(crate) fn reply(&self, request: &Request, body: &Blob) -> Result<Reply, Problem> {
        let content = match &self.body {
            Body::Fixed(bytes) => bytes.clone(),
            Body::Echo => serde_json::to_vec(&echo::of(request, body))
                .map_err(|error| Problem::Failed(error.to_string()))?,
        };
        let mut reply = Reply::new(self.status).body(content);
        reply.headers.clone_from(&self.headers);
        Ok(reply)
    }
}

/// Whether a path is the pattern, or begins with what stands before the pattern's `*`.
fn path_fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}
