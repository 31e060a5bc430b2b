//! The edits of a request, compiled, and what they do to one. All values are made from the request as it came to the plugin;
//! then the edits are done. Knows no redirect.

use portcullis::Request;

use crate::config::RequestEdits;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::headers::request_name;
use crate::path::Path;
use crate::query::Query;
use crate::template::{Names, Scene, Templates};
use crate::text::{Place, Text};
use crate::when::{Facts, RequestWhen};

/// Compiled edits.
#[derive(Debug)]
pub(crate) struct Edits {
    when: RequestWhen,
    method: Option<Text>,
    host: Option<Text>,
    path: Path,
    query: Fields,
    headers: Fields,
}

impl Edits {
    /// Compiles the table `request`; none when there is nothing in it to do.
    pub(crate) fn new(templates: &mut Templates, config: &RequestEdits) -> Result<Option<Self>, String> {
        let when = RequestWhen::new("request.when", &config.when)?;
        let names = Names::Request(when.pattern());
        let mut text = |place: Place, key: &str, source: &Option<String>| {
            let text = source
                .as_ref()
                .map(|source| Text::new(templates, names, place, key, source));
            text.transpose()
        };
        let method = text(Place::Method, "request.method", &config.method)?;
        let host = text(Place::Host, "request.host", &config.host)?;
        let path = Path::new(templates, names, "request.path", &config.path)?;
        let query = Fields::new(
            templates,
            names,
            Place::Parameter,
            "request.query",
            &config.query,
            |name| match name {
                "" => Err("a parameter has a name".to_owned()),
                name => Ok(name.to_owned()),
            },
        )?;
        let key = "request.headers";
        let headers = Fields::new(
            templates,
            names,
            Place::Header,
            key,
            &config.headers,
            request_name,
        )?;
        let edits = Self {
            when,
            method,
            host,
            path,
            query,
            headers,
        };
        Ok(Some(edits).filter(|edits| !edits.is_empty()))
    }

    fn is_empty(&self) -> bool {
        self.method.is_none()
            && self.host.is_none()
            && self.path.is_empty()
            && self.query.is_empty()
            && self.headers.is_empty()
    }

    /// Edits a request that meets the conditions.
    ///
    /// # Errors
    /// A value could not be made, or cannot be sent.
    pub(crate) fn apply(&self, request: &mut Request, templates: &Templates) -> Result<(), Failure> {
        let Some(met) = self.when.holds(&Facts::of(request)) else {
            return Ok(());
        };
        let scene = templates.scene(met.captures);
        let resolve = |text: &Option<Text>, key: &str| -> Result<Option<String>, Failure> {
            let Some(text) = text else { return Ok(None) };
            let text = text.resolve(&scene).map_err(|failure| failure.at(key))?;
            Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
        };
        let method = resolve(&self.method, "request.method")?;
        let host = resolve(&self.host, "request.host")?;
        let target = self.target(request, &scene)?;
        let headers = self.headers.make(&scene)?;
        if let Some(target) = target {
            request.set_target(&target)?;
        }
        if let Some(host) = host {
            request.set_authority(&host)?;
        }
        if let Some(method) = method {
            request.set_method(&method)?;
        }
        headers.apply(request)
    }

    /// Path and query, if they become others. The target `*` of OPTIONS has neither.
    fn target(&self, request: &Request, scene: &Scene<'_>) -> Result<Option<String>, Failure> {
        if self.path.is_empty() && self.query.is_empty() {
            return Ok(None);
        }
        let path = request.path();
        if !path.starts_with('/') {
            return Ok(None);
        }
        let new_path = self.path.apply(&path, scene)?;
        let query = request.query();
        let mut edited = Query::new(query.as_deref().unwrap_or_default());
        self.query.make(scene)?.apply(&mut edited)?;
        let new_query = edited.into_edited();
        if new_path.is_none() && new_query.is_none() {
            return Ok(None);
        }
        let mut target = new_path.unwrap_or(path);
        let query = match new_query {
            Some(edited) => Some(edited).filter(|query| !query.is_empty()),
            None => query,
        };
        if let Some(query) = query {
            target.push('?');
            target.push_str(&query);
        }
        Ok(Some(target))
    }
}
