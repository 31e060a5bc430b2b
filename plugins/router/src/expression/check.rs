//! What an expression may name: known variables, functions and literal patterns. So a name that is spelled wrong is an
//! error when the plugin is made, not a rule that never fits. Evaluates nothing.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::patterns;

/// Fields of `request`.
pub(super) const REQUEST: [&str; 7] = ["method", "path", "query", "host", "headers", "cookies", "params"];
/// Variables that stand alone.
const VARIABLES: [&str; 2] = ["client_ip", "attributes"];
/// Types, as values of `type(..)`.
const TYPES: [&str; 9] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];
/// Functions, global or of a value. Operators have names that are no words.
pub(super) const FUNCTIONS: [&str; 13] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Parts of an expression: names, values, operators. It bounds the depth of an evaluation, too.
pub(super) const MAX_PARTS: usize = 500;

/// Checks all names, and that there are not too many.
///
/// # Errors
/// What is wrong.
pub(super) fn check(tree: &IdedExpr) -> Result<(), String> {
    let mut names = Names {
        scope: Vec::new(),
        parts: 0,
    };
    names.visit(tree)
}

/// Names in their scope.
struct Names<'e> {
    /// Variables of the macros around.
    scope: Vec<&'e str>,
    /// Parts so far.
    parts: usize,
}

impl<'e> Names<'e> {
    fn visit(&mut self, tree: &'e IdedExpr) -> Result<(), String> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(format!("it has more than {MAX_PARTS} parts"));
        }
        match &tree.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if name == "request" && !self.scope.contains(&"request") => {
                    field(&select.field)
                }
                _ => self.visit(&select.operand),
            },
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key)?;
                    self.visit(&entry.value)
                }
                EntryExpr::StructField(field) => self.visit(&field.value),
            }),
            Expr::Struct(of_type) => Err(format!("there is no message `{}`", of_type.type_name)),
            Expr::Comprehension(loops) => {
                self.visit(&loops.iter_range)?;
                self.visit(&loops.accu_init)?;
                let before = self.scope.len();
                self.scope.push(&loops.iter_var);
                self.scope.extend(loops.iter_var2.as_deref());
                self.scope.push(&loops.accu_var);
                self.visit(&loops.loop_cond)?;
                self.visit(&loops.loop_step)?;
                self.visit(&loops.result)?;
                self.scope.truncate(before);
                Ok(())
            }
        }
    }

    fn variable(&self, name: &str) -> Result<(), String> {
        if name.starts_with('@')
            || self.scope.contains(&name)
            || VARIABLES.contains(&name)
            || TYPES.contains(&name)
        {
            return Ok(());
        }
        Err(format!(
            "there is no variable `{name}`; there are request.{}, {}",
            REQUEST.join(", request."),
            VARIABLES.join(", ")
        ))
    }

    fn call(&mut self, call: &'e CallExpr) -> Result<(), String> {
        let name = call.func_name.as_str();
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) && !FUNCTIONS.contains(&name) {
            return Err(format!(
                "there is no function `{name}`; there are {}",
                FUNCTIONS.join(", ")
            ));
        }
        if name == "matches" {
            match call.args.last().map(|pattern| &pattern.expr) {
                Some(Expr::Literal(LiteralValue::String(pattern))) => patterns::keep(pattern.inner())?,
                _ => return Err("`matches` takes its pattern as a literal".to_owned()),
            }
        }
        if let Some(target) = &call.target {
            self.visit(target)?;
        }
        call.args.iter().try_for_each(|argument| self.visit(argument))
    }
}

fn field(name: &str) -> Result<(), String> {
    if REQUEST.contains(&name) {
        Ok(())
    } else {
        Err(format!(
            "`request` has no field `{name}`; it has {}",
            REQUEST.join(", ")
        ))
    }
}
