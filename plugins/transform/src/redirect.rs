//! Redirects: which requests they are for and where they lead. Knows no edit.

use portcullis::{Reply, Request};

use crate::config;
use crate::failure::Failure;
use crate::template::{Names, Templates};
use crate::text::{Place, Text};
use crate::when::{Facts, RequestWhen};

/// A compiled redirect.
#[derive(Debug)]
pub(crate) struct Redirect {
    when: RequestWhen,
    status: u16,
    location: Text,
    keep_query: bool,
}

impl Redirect {
    /// Compiles a redirect that stands in the table `key`.
    pub(crate) fn new(
        templates: &mut Templates,
        key: &str,
        config: &config::Redirect,
    ) -> Result<Self, String> {
        if !matches!(config.status, 301 | 302 | 303 | 307 | 308) {
            return Err(format!(
                "`{key}.status` is 301, 302, 303, 307 or 308, not {}",
                config.status
            ));
        }
        let when = RequestWhen::new(&format!("{key}.when"), &config.when)?;
        let names = Names::Request(when.pattern());
        let key = format!("{key}.location");
        let location = Text::new(templates, names, Place::Location, &key, &config.location)?;
        Ok(Self {
            when,
            status: config.status,
            location,
            keep_query: config.keep_query,
        })
    }

    /// The answer to a request that it is for.
    ///
    /// # Errors
    /// As [`Text::resolve`].
    pub(crate) fn reply(
        &self,
        request: &Request,
        facts: &Facts<'_>,
        templates: &Templates,
    ) -> Result<Option<Reply>, Failure> {
        let Some(met) = self.when.holds(facts) else {
            return Ok(None);
        };
        let location = self.location.resolve(&templates.scene(met.captures));
        let mut location = location
            .map_err(|failure| failure.at("redirect.location"))?
            .into_owned();
        if location.is_empty() {
            return Err(Failure::Template(
                "`redirect.location`: there is no location".to_owned(),
            ));
        }
        if self.keep_query
            && let Some(query) = request.query()
        {
            location = with_query(location, &query);
        }
        Ok(Some(Reply::redirect(self.status, location)))
    }
}

/// The location with this query in front of its fragment, if it has none of its own.
fn with_query(location: String, query: &str) -> String {
    let (url, fragment) = match location.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (location.as_str(), None),
    };
    if url.contains('?') {
        return location;
    }
    let fragment = fragment
        .map(|fragment| format!("#{fragment}"))
        .unwrap_or_default();
    format!("{url}?{query}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_appended_where_there_is_none() {
        for (location, url) in [
            ("/a", "/a?q=1"),
            ("/a?", "/a?"),
            ("/a?b", "/a?b"),
            ("/a#b?c", "/a?q=1#b?c"),
        ] {
            assert_eq!(with_query(location.to_owned(), "q=1"), url);
        }
    }
}
