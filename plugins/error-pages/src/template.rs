//! Templates: compiled and tried out once, rendered with the facts of an error. Knows no configuration and no choice.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, filters};

use crate::reason;

/// What a template can name.
const VARIABLES: [&str; 9] = [
    "status",
    "reason",
    "code",
    "title",
    "detail",
    "request_id",
    "method",
    "path",
    "host",
];

/// Steps that rendering one page may take: a loop that was not meant ends here.
const FUEL: u64 = 100_000;

/// What an error says of itself and of its request.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) status: u16,
    /// Stable code, kebab-case.
    pub(crate) code: String,
    pub(crate) title: String,
    /// "" = there is none.
    pub(crate) detail: String,
    pub(crate) request_id: String,
    pub(crate) method: String,
    /// As the client sent it, without the query.
    pub(crate) path: String,
    /// As the client sent it.
    pub(crate) host: String,
}

impl Facts {
    /// In the order of [`VARIABLES`].
    fn values(&self) -> Value {
        let values = [
            Value::from(self.status),
            Value::from(reason::of(self.status)),
            Value::from(self.code.as_str()),
            Value::from(self.title.as_str()),
            Value::from(self.detail.as_str()),
            Value::from(self.request_id.as_str()),
            Value::from(self.method.as_str()),
            Value::from(self.path.as_str()),
            Value::from(self.host.as_str()),
        ];
        VARIABLES.into_iter().zip(values).collect()
    }
}

/// Compiled templates by their names. What ends in `.html` escapes what it writes.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(crate) fn new() -> Self {
        // Only what a page needs: every further filter makes the component larger.
        let mut environment = Environment::empty();
        environment.add_filter("capitalize", filters::capitalize);
        environment.add_filter("default", filters::default);
        environment.add_filter("escape", filters::escape);
        environment.add_filter("e", filters::escape);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("replace", filters::replace);
        environment.add_filter("safe", filters::safe);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("upper", filters::upper);
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        Self { environment }
    }

    /// Compiles a template and renders it for an error with a detail and one without.
    ///
    /// # Errors
    /// What is wrong with it: its syntax, a variable that there is not, or a filter that cannot work.
    pub(crate) fn add(&mut self, name: &str, source: String) -> Result<(), String> {
        self.environment
            .add_template_owned(name.to_owned(), source)
            .map_err(|error| format!("`{name}`: {error}"))?;
        let unknown = self.unknown(name)?;
        if let Some(variable) = unknown.first() {
            return Err(format!(
                "`{name}`: there is no variable `{variable}`; there are {}",
                VARIABLES.join(", ")
            ));
        }
        for detail in ["", "a detail"] {
            let facts = Facts {
                status: 503,
                detail: detail.to_owned(),
                ..Facts::default()
            };
            self.render(name, &facts)?;
        }
        Ok(())
    }

    /// # Errors
    /// Those of the template.
    pub(crate) fn render(&self, name: &str, facts: &Facts) -> Result<String, String> {
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| template.render(facts.values()));
        rendered.map_err(|error| format!("`{name}`: {error}"))
    }

    /// Variables that the template names and that are not there, by name.
    fn unknown(&self, name: &str) -> Result<Vec<String>, String> {
        let template = self
            .environment
            .get_template(name)
            .map_err(|error| format!("`{name}`: {error}"))?;
        let mut unknown: Vec<String> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|variable| !VARIABLES.contains(&variable.as_str()))
            .collect();
        unknown.sort_unstable();
        Ok(unknown)
    }
}
