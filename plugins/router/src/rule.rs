//! One rule, ready to be asked: whether a request fits, and where it goes then. Knows no hook and edits nothing.

use portcullis::{headers, random};

use crate::config::{Rule as Written, When};
use crate::expression::{Expression, Failure, Language, Variables};
use crate::facts::Facts;
use crate::split::{Kind, Split, Target};
use crate::sticky::{By, Sticky};
use crate::test::Test;

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    /// In which hook it speaks.
    pub(crate) kind: Kind,
    when: Conditions,
    split: Split,
    sticky: Option<Sticky>,
}

/// What a rule chose.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// Name of the upstream or route.
    pub(crate) name: &'a str,
    /// What `Set-Cookie` must say so that the client comes back with the same choice.
    pub(crate) set_cookie: Option<String>,
}

impl<'a> Choice<'a> {
    /// A target, and no cookie.
    fn of(target: &'a Target) -> Self {
        Self {
            name: &target.name,
            set_cookie: None,
        }
    }
}

/// What a request must be like.
#[derive(Debug)]
struct Conditions {
    methods: Vec<String>,
    headers: Vec<(String, Test)>,
    cookies: Vec<(String, Test)>,
    parameters: Vec<(String, Test)>,
    expression: Option<Expression>,
}

impl Rule {
    /// The rule as it is written.
    ///
    /// # Errors
    /// Which key cannot be so.
    pub(crate) fn new(written: Written, language: &mut Language) -> Result<Self, String> {
        let when = Conditions::new(written.when, language)?;
        let (kind, split) = Split::new(written.to)?;
        let sticky = written.sticky.as_ref().map(Sticky::new).transpose()?;
        if kind == Kind::Route && sticky.as_ref().is_some_and(|s| matches!(s.by, By::Cookie(_))) {
            return Err(
                "`sticky.by`: a router sees no response that could set a cookie; choose an upstream, or \
                        another key"
                    .to_owned(),
            );
        }
        Ok(Self {
            kind,
            when,
            split,
            sticky,
        })
    }

    /// It has an expression, which may fail.
    pub(crate) fn has_expression(&self) -> bool {
        self.when.expression.is_some()
    }

    /// Whether the request fits.
    ///
    /// # Errors
    /// When the expression has no answer.
    pub(crate) fn fits(&self, variables: &Variables<'_>, language: &Language) -> Result<bool, Failure> {
        let facts = variables.facts;
        let Conditions {
            methods,
            headers,
            cookies,
            parameters,
            expression,
        } = &self.when;
        let plain = (methods.is_empty() || methods.iter().any(|method| method == facts.method()))
            && headers.iter().all(|(name, test)| test.passes(facts.header(name)))
            && cookies.iter().all(|(name, test)| test.passes(facts.cookie(name)))
            && parameters
                .iter()
                .all(|(name, test)| test.passes(facts.parameter(name)));
        match expression {
            Some(expression) if plain => expression.holds(language, variables),
            _ => Ok(plain),
        }
    }

    /// Where a request goes that fits.
    pub(crate) fn choose(&self, facts: &Facts<'_>) -> Option<Choice<'_>> {
        let by_chance = || self.split.by_chance(random::unsigned);
        match &self.sticky {
            None => by_chance().map(Choice::of),
            Some(Sticky {
                by: By::Cookie(cookie),
                salt,
            }) => {
                let mut known = facts
                    .cookie(&cookie.name)
                    .filter_map(|token| self.split.by_token(*salt, token));
                match known.next() {
                    Some(target) => Some(Choice::of(target)),
                    None => by_chance().map(|target| Choice {
                        set_cookie: Some(cookie.set(&target.token(*salt))),
                        ..Choice::of(target)
                    }),
                }
            }
            Some(sticky) => match sticky.key(facts) {
                Some(key) => self.split.by_key(key),
                None => by_chance(),
            }
            .map(Choice::of),
        }
    }
}

impl Conditions {
    fn new(written: When, language: &mut Language) -> Result<Self, String> {
        let methods = match written.method {
            None => Vec::new(),
            Some(methods) if methods.is_empty() => {
                return Err("`when.method` is empty: leave it out for any method".to_owned());
            }
            Some(methods) => methods.0,
        };
        if let Some(method) = methods.iter().find(|method| {
            // RFC 9110 section 9.1: case-sensitive; those in use are upper case.
            !headers::is_name(&method.to_ascii_lowercase()) || method.bytes().any(|b| b.is_ascii_lowercase())
        }) {
            return Err(format!("`when.method`: {method:?} is not a method in upper case"));
        }
        let mut fields = Vec::new();
        for (name, test) in written.header {
            let lower = name.to_ascii_lowercase();
            if !headers::is_name(&lower) {
                return Err(format!("`when.header`: {name:?} is not the name of a header"));
            }
            fields.push((lower, test_of("header", &name, test)?));
        }
        let tests = |key: &str, written: std::collections::BTreeMap<String, _>| {
            let tests = written.into_iter();
            tests
                .map(|(name, test)| {
                    let test = test_of(key, &name, test)?;
                    Ok((name, test))
                })
                .collect::<Result<Vec<_>, String>>()
        };
        Ok(Self {
            methods,
            headers: fields,
            cookies: tests("cookie", written.cookie)?,
            parameters: tests("query", written.query)?,
            expression: written
                .expression
                .map(|text| {
                    language
                        .compile(&text)
                        .map_err(|what| format!("`when.expression`: {what}"))
                })
                .transpose()?,
        })
    }
}

fn test_of(key: &str, name: &str, written: crate::config::Test) -> Result<Test, String> {
    Test::new(written).map_err(|what| format!("`when.{key}.{name}`: {what}"))
}
