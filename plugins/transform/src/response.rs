//! The edits of a response, compiled, and what they do to one. All values are made before the edits are done. Knows no body.

use portcullis::Response;

use crate::config::ResponseEdits;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::headers::response_name;
use crate::template::{Names, Templates};
use crate::text::Place;
use crate::when::ResponseWhen;

/// Compiled edits.
#[derive(Debug)]
pub(crate) struct Edits {
    when: ResponseWhen,
    status: Option<u16>,
    headers: Fields,
}

impl Edits {
    /// Compiles the table `response`; none when there is nothing in it to do.
    pub(crate) fn new(templates: &mut Templates, config: &ResponseEdits) -> Result<Option<Self>, String> {
        if let Some(status) = config.status.filter(|status| !(200..600).contains(status)) {
            return Err(format!("`response.status` is from 200 to 599, not {status}"));
        }
        let when = ResponseWhen::new("response.when", &config.when)?;
        let key = "response.headers";
        let headers = Fields::new(
            templates,
            Names::Response,
            Place::Header,
            key,
            &config.headers,
            response_name,
        )?;
        let edits = Self {
            when,
            status: config.status,
            headers,
        };
        Ok(Some(edits).filter(|edits| edits.status.is_some() || !edits.headers.is_empty()))
    }

    /// Edits a response that meets the conditions.
    ///
    /// # Errors
    /// A value could not be made, or cannot be sent.
    pub(crate) fn apply(&self, response: &mut Response, templates: &Templates) -> Result<(), Failure> {
        if !self.when.holds(response) {
            return Ok(());
        }
        let headers = self.headers.make(&templates.scene(None))?;
        if let Some(status) = self.status {
            response.set_status(status)?;
        }
        headers.apply(response)
    }
}
