//! Conditions in CEL, the Common Expression Language (cel-spec): compiled and checked when the plugin is made, evaluated
//! over one request. Knows no rule.
//!
//! What is left out of the language: optional values, messages, durations and timestamps; `matches` takes a literal only,
//! which is compiled once. An expression cannot loop but over what a request has, and its size is bounded.

mod check;
mod patterns;
mod variables;

use std::sync::Arc;

use cel::common::types::CelBool;
use cel::context::VariableResolver;
use cel::parser::{Expression as Tree, PrattParser};
use cel::{Context, Env, ExecutionError, Value};

pub(crate) use variables::Variables;

/// Bytes of an expression.
const MAX_BYTES: usize = 4 << 10;
/// Brackets within brackets.
const MAX_DEPTH: u16 = 50;

/// What all expressions of a plugin share; nothing while there are none.
#[derive(Default)]
pub(crate) struct Language(Option<Arc<Env>>);

impl std::fmt::Debug for Language {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.0.is_some() { "in use" } else { "not in use" };
        write!(formatter, "Language({state})")
    }
}

/// A condition.
#[derive(Debug)]
pub(crate) struct Expression {
    tree: Tree,
}

/// An evaluation without an answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request does not have what the expression asks for.
    Missing,
    /// A value that a function or operator cannot work on, such as a text that is no number.
    Value(String),
    /// Anything else: operands of the wrong type, a result that is not true or false.
    Type(String),
}

impl Language {
    /// No expression yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub(crate) fn compile(&mut self, text: &str) -> Result<Expression, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it has more than {MAX_BYTES} bytes"));
        }
        let parser = PrattParser::new().max_recursion_depth(MAX_DEPTH);
        let tree = parser.parse(text).map_err(|errors| match errors.errors.first() {
            Some(error) => {
                let what = error.msg.replace('\n', " ");
                format!("{what} (line {}, column {})", error.pos.0, error.pos.1)
            }
            None => "it cannot be read".to_owned(),
        })?;
        check::check(&tree)?;
        let env = self.0.get_or_insert_with(environment);
        // Types are known when it runs only: a request that has nothing finds most that are wrong.
        match evaluate(&tree, env, &variables::Blank::default()) {
            Err(Failure::Type(what)) => Err(what),
            Ok(_) | Err(Failure::Missing | Failure::Value(_)) => Ok(Expression { tree }),
        }
    }
}

impl Expression {
    /// Whether the condition holds.
    ///
    /// # Errors
    /// When it has no answer for this request.
    pub(crate) fn holds(&self, language: &Language, variables: &Variables<'_>) -> Result<bool, Failure> {
        match &language.0 {
            Some(env) => evaluate(&self.tree, env, variables),
            None => Err(Failure::Type("it was compiled elsewhere".to_owned())),
        }
    }
}

fn evaluate(tree: &Tree, env: &Arc<Env>, variables: &dyn VariableResolver) -> Result<bool, Failure> {
    let mut context = Context::with_env(Arc::clone(env));
    context.set_variable_resolver(variables);
    let value = Value::resolve_val(tree, &context).map_err(|error| match error {
        ExecutionError::NoSuchKey(_) => Failure::Missing,
        ExecutionError::FunctionError { .. }
        | ExecutionError::DivisionByZero(_)
        | ExecutionError::RemainderByZero(_)
        | ExecutionError::Overflow(..)
        | ExecutionError::IndexOutOfBounds(_) => Failure::Value(error.to_string()),
        other => Failure::Type(other.to_string()),
    })?;
    match value.downcast_ref::<CelBool>() {
        Some(holds) => Ok(*holds.inner()),
        None => Err(Failure::Type(format!(
            "it gives a value of type {}, not true or false",
            value.get_type().name()
        ))),
    }
}

/// The standard library, and `matches` over patterns that are compiled already.
fn environment() -> Arc<Env> {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    patterns::declare(&mut env);
    Arc::new(env)
}

#[cfg(test)]
mod tests;
