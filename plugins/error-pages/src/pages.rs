//! Which page an error gets: of all that fit, the most specific one that has what is wanted. Knows no client.

use std::cmp::Reverse;

use crate::config::{self, Config};
use crate::status::Status;
use crate::template::{Facts, Templates};

const BUILTIN_HTML: &str = include_str!("builtin/page.html");
const BUILTIN_TEXT: &str = include_str!("builtin/page.txt");

/// The built-in page has its style in itself, loads nothing and is framed by nobody.
const BUILTIN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Html,
    Text,
}

/// All pages.
#[derive(Debug)]
pub(crate) struct Pages {
    templates: Templates,
    /// For all errors.
    html: Template,
    text: Template,
    headers: Vec<(String, String)>,
    /// For some.
    rules: Vec<Rule>,
}

/// The name of a compiled template.
#[derive(Debug)]
struct Template {
    name: String,
    policy: Option<&'static str>,
}

/// A page for some errors.
#[derive(Debug)]
struct Rule {
    statuses: Vec<Status>,
    codes: Vec<String>,
    html: Option<Template>,
    text: Option<Template>,
    headers: Vec<(String, String)>,
}

/// How specific a page is for an error: one for its code goes before one for its status, one for the status before one
/// for the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    names_code: bool,
    status: Exactness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Any,
    Class,
    Exact,
}

impl Pages {
    /// Compiles all templates.
    ///
    /// # Errors
    /// What is wrong with the configuration, with the key.
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let mut templates = Templates::new();
        let rules = config.pages.into_iter().enumerate();
        let rules = rules.map(|(at, page)| Rule::new(&mut templates, &format!("pages[{at}]"), page));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            html: match config.html {
                Some(source) => Template::new(&mut templates, "config.html", source, None)?,
                None => {
                    let source = BUILTIN_HTML.to_owned();
                    Template::new(&mut templates, "built-in.html", source, Some(BUILTIN_POLICY))?
                }
            },
            text: {
                let source = config.text.unwrap_or_else(|| BUILTIN_TEXT.to_owned());
                Template::new(&mut templates, "config.text", source, None)?
            },
            headers: config::fields(&config.headers)?,
            templates,
        })
    }

    /// Fields and body of the page for an error. Template and fields are each those of the most specific page that has
    /// some.
    ///
    /// # Errors
    /// Those of the template.
    pub(crate) fn answer(
        &self,
        medium: Medium,
        facts: &Facts,
    ) -> Result<(Vec<(String, String)>, String), String> {
        let fitting = self.fitting(facts);
        let own = fitting.iter().find_map(|rule| rule.template(medium));
        let template = own.unwrap_or(match medium {
            Medium::Html => &self.html,
            Medium::Text => &self.text,
        });
        let own = fitting.iter().find(|rule| !rule.headers.is_empty());
        let own = own.map(|rule| rule.headers.as_slice()).unwrap_or_default();
        let body = self.templates.render(&template.name, facts)?;
        Ok((self.fields(medium, template, own), body))
    }

    /// The pages for an error, the most specific first; of equals the first in the file.
    fn fitting(&self, facts: &Facts) -> Vec<&Rule> {
        let ranked = self
            .rules
            .iter()
            .filter_map(|rule| Some((rule.rank(facts)?, rule)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, _)| Reverse(*rank));
        ranked.into_iter().map(|(_, rule)| rule).collect()
    }

    /// The page's own fields, then those for all pages, then the plugin's, each name once.
    fn fields(&self, medium: Medium, template: &Template, own: &[(String, String)]) -> Vec<(String, String)> {
        let media_type = match medium {
            Medium::Html => "text/html; charset=utf-8",
            Medium::Text => "text/plain; charset=utf-8",
        };
        let mut fields = own.to_vec();
        let mut add = |name: &str, value: &str| {
            if fields.iter().all(|(other, _)| other != name) {
                fields.push((name.to_owned(), value.to_owned()));
            }
        };
        for (name, value) in &self.headers {
            add(name, value);
        }
        add("content-type", media_type);
        add("vary", "accept");
        add("x-content-type-options", "nosniff");
        if let Some(policy) = template.policy {
            add("content-security-policy", policy);
        }
        fields
    }
}

impl Template {
    fn new(
        templates: &mut Templates,
        name: &str,
        source: String,
        policy: Option<&'static str>,
    ) -> Result<Self, String> {
        templates.add(name, source)?;
        Ok(Self {
            name: name.to_owned(),
            policy,
        })
    }
}

impl Rule {
    fn new(templates: &mut Templates, place: &str, page: config::Page) -> Result<Self, String> {
        if page.status.0.is_empty() && page.code.is_empty() {
            return Err(format!("`{place}` needs `status` or `code`"));
        }
        if page.html.is_none() && page.text.is_none() && page.headers.is_empty() {
            return Err(format!("`{place}` needs `html`, `text` or `headers`"));
        }
        let mut template = |key: &str, source: Option<String>| {
            let name = format!("{place}.{key}");
            let added = source.map(|source| Template::new(templates, &name, source, None));
            added.transpose()
        };
        Ok(Self {
            html: template("html", page.html)?,
            text: template("text", page.text)?,
            headers: config::fields(&page.headers).map_err(|what| format!("`{place}`: {what}"))?,
            statuses: page.status.0,
            codes: page.code.0,
        })
    }

    fn template(&self, medium: Medium) -> Option<&Template> {
        match medium {
            Medium::Html => self.html.as_ref(),
            Medium::Text => self.text.as_ref(),
        }
    }

    /// None when the page is not for the error.
    fn rank(&self, facts: &Facts) -> Option<Rank> {
        let names_code = !self.codes.is_empty();
        if names_code && !self.codes.contains(&facts.code) {
            return None;
        }
        let fitting = self.statuses.iter().filter(|status| status.fits(facts.status));
        let exactness = fitting.map(|status| match status {
            Status::Exact(_) => Exactness::Exact,
            Status::Class(_) => Exactness::Class,
        });
        let status = match exactness.max() {
            Some(exactness) => exactness,
            None if self.statuses.is_empty() => Exactness::Any,
            None => return None,
        };
        Some(Rank { names_code, status })
    }
}
