//! Templates by minijinja, compiled once: what they may name, what they may cost, and how a rendered text tells its own
//! words from values. Knows no header and no URL.

mod mark;
mod unicode;
mod variables;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use crate::failure::Failure;
use crate::pattern::{Captures, Pattern};
use crate::percent::{self, Keep};

pub(crate) use mark::{Origin, pieces};
pub(crate) use unicode::{decode as header_text, encode as header_value};
use variables::{Scope, Source};
pub(crate) use variables::{host, scheme};

/// Instructions of one rendering.
const FUEL: u64 = 20_000;
/// Bytes of a rendered text.
const MAX_OUTPUT: usize = 8 << 10;
/// Bytes of a template's source.
const MAX_SOURCE: usize = 16 << 10;
/// Depth of nesting in a rendering.
const MAX_DEPTH: usize = 32;
/// Functions that the engine has itself.
const FUNCTIONS: [&str; 3] = ["range", "dict", "namespace"];
/// The auto-escape mode that marks values.
const MARKING: AutoEscape = AutoEscape::Custom("url");

/// What a rendered text is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text as it is.
    Plain,
    /// A part of a URL: the text comes with marks.
    Url,
}

/// Which variables there are beside those of every template.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names<'p> {
    /// Those of a request, and the groups of the pattern that its path matched.
    Request(Option<&'p Pattern>),
    /// Those of a response.
    Response,
}

/// All compiled templates of the plugin.
#[derive(Debug)]
pub(crate) struct Templates {
    engine: Environment<'static>,
    count: usize,
}

/// One compiled template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    name: String,
    form: Form,
}

/// The templates with the exchange of the running hook.
#[derive(Debug)]
pub(crate) struct Scene<'t> {
    templates: &'t Templates,
    captures: Option<Arc<Captures>>,
    plain: OnceCell<Value>,
    url: OnceCell<Value>,
}

/// Whether a text is a template at all.
pub(crate) fn is_template(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| source.contains(open))
}

impl Templates {
    /// No templates yet.
    pub(crate) fn new() -> Self {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Lenient);
        engine.set_fuel(Some(FUEL));
        engine.set_recursion_limit(MAX_DEPTH);
        engine.set_trim_blocks(true);
        engine.set_lstrip_blocks(true);
        engine.set_auto_escape_callback(|name| match name.strip_suffix(".url") {
            Some(_) => MARKING,
            None => AutoEscape::None,
        });
        engine.set_formatter(print);
        for filter in ["escape", "e"] {
            engine.remove_filter(filter);
        }
        engine.add_filter("safe", vouch);
        engine.add_filter("urlencode", urlencode);
        engine.add_filter("urldecode", |text: &str| percent::decode(text));
        Self { engine, count: 0 }
    }

    /// Compiles a template and tries it out without an exchange; the error names its `key`.
    pub(crate) fn compile(
        &mut self,
        key: &str,
        source: &str,
        form: Form,
        names: Names<'_>,
    ) -> Result<Template, String> {
        let bad = |what: &str| Err(format!("`{key}` is no template that can be used: {what}"));
        if source.len() > MAX_SOURCE {
            return bad("it is longer than 16 KiB");
        }
        if source.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return bad("it has control characters");
        }
        self.count += 1;
        let suffix = if form == Form::Url { ".url" } else { "" };
        let name = format!("{}{suffix}", self.count);
        if let Err(error) = self
            .engine
            .add_template_owned(name.clone(), source.trim().to_owned())
        {
            return bad(&said(&error));
        }
        let template = Template { name, form };
        let named = self.names_in(&template);
        for name in &named {
            if let Err(what) = names.check(name) {
                return bad(&what);
            }
        }
        let scope = Scope {
            form,
            source: Source::Nothing,
            captures: names.pattern().map(|pattern| Arc::new(pattern.no_captures())),
        };
        match self.run(&template, scope.into_value()) {
            Err(error) if is_authors(&error) => bad(&said(&error)),
            _ => Ok(template),
        }
    }

    /// The variables that a template names, in order.
    fn names_in(&self, template: &Template) -> Vec<String> {
        let names = self
            .engine
            .get_template(&template.name)
            .map_or_else(|_| HashSet::new(), |template| template.undeclared_variables(true));
        let mut names: Vec<_> = names
            .into_iter()
            .filter(|name| !FUNCTIONS.contains(&name.as_str()))
            .collect();
        names.sort_unstable();
        names
    }

    fn run(&self, template: &Template, context: Value) -> Result<String, Error> {
        let mut out = Bounded(Vec::new());
        self.engine
            .get_template(&template.name)?
            .render_captured_to(context, &mut out)?;
        let text = String::from_utf8(out.0)
            .map_err(|_| Error::new(ErrorKind::WriteFailure, "the text is no UTF-8"))?;
        Ok(text)
    }

    /// The templates with the exchange of the running hook.
    pub(crate) fn scene(&self, captures: Option<Arc<Captures>>) -> Scene<'_> {
        Scene {
            templates: self,
            captures,
            plain: OnceCell::new(),
            url: OnceCell::new(),
        }
    }
}

impl<'p> Names<'p> {
    fn pattern(self) -> Option<&'p Pattern> {
        match self {
            Self::Request(pattern) => pattern,
            Self::Response => None,
        }
    }

    /// Whether a template may name this variable.
    fn check(self, name: &str) -> Result<(), String> {
        let table = name.split('.').next().unwrap_or_default();
        match (self, table) {
            (Self::Request(None), "captures") => {
                Err("`captures` are known only where its `when` has a `path-regex`".to_owned())
            }
            (Self::Response, "captures") => Err("`captures` are not known in a response".to_owned()),
            (Self::Request(_), "response") => Err("there is no `response` yet in a request".to_owned()),
            _ => variables::check(name),
        }
    }
}

impl Scene<'_> {
    /// Renders a template. White space at the ends does not count.
    pub(crate) fn render(&self, template: &Template) -> Result<String, Failure> {
        let context = match template.form {
            Form::Plain => &self.plain,
            Form::Url => &self.url,
        };
        let context = context.get_or_init(|| {
            let scope = Scope {
                form: template.form,
                source: Source::Exchange,
                captures: self.captures.clone(),
            };
            scope.into_value()
        });
        let text = self
            .templates
            .run(template, context.clone())
            .map_err(|error| Failure::Template(said(&error)))?;
        Ok(text.trim().to_owned())
    }
}

/// Prints a value; what is not there prints nothing.
fn print(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    if state.auto_escape() != MARKING {
        return Ok(write!(out, "{value}")?);
    }
    let text = match value.as_str() {
        Some(text) if value.is_safe() => mark::remarked(text, Origin::Url),
        Some(text) => mark::marked(text, Origin::Value),
        None => mark::marked(&value.to_string(), Origin::Value),
    };
    Ok(out.write_str(&text)?)
}

/// Filter `safe`: the template vouches for the text, which counts as its own.
fn vouch(state: &State<'_, '_>, text: &str) -> Value {
    if state.auto_escape() == MARKING {
        let words: String = pieces(text).map(|(_, piece)| piece).collect();
        Value::from_safe_string(mark::marked(&words, Origin::Template))
    } else {
        text.into()
    }
}

/// Filter `urlencode`: everything but unreserved characters is encoded, once.
fn urlencode(state: &State<'_, '_>, text: &str) -> Value {
    let mut out = String::new();
    percent::encode(&mut out, text, Keep::Unreserved);
    if state.auto_escape() == MARKING {
        Value::from_safe_string(out)
    } else {
        out.into()
    }
}

/// Errors that no request can mend.
fn is_authors(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::UndefinedError
            | ErrorKind::MissingArgument
            | ErrorKind::TooManyArguments
    )
}

/// What the engine says, without the name of the template, which is a number of ours.
fn said(error: &Error) -> String {
    let line = error.line().unwrap_or(1);
    match (error.kind(), error.detail()) {
        (ErrorKind::WriteFailure, _) => "the text is longer than 8 KiB".to_owned(),
        (_, Some(detail)) => format!("{detail} (line {line})"),
        (kind, None) => format!("{kind} (line {line})"),
    }
}

/// A buffer that takes no more than [`MAX_OUTPUT`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
