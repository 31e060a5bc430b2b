//! The function `matches`: patterns are compiled when their expression is, and found by their text when it is evaluated.
//! Knows no syntax tree.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cel::common::types::{CelBool, CelString, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{Env, ExecutionError};
use regex_lite::Regex;

use crate::test::pattern;

/// Patterns that one plugin may have.
const MAX: usize = 1_000;

thread_local! {
    /// A function of CEL has no place of its own to keep something. A guest has one thread and one plugin.
    static PATTERNS: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

/// Compiles a pattern for later.
///
/// # Errors
/// What is wrong with it.
pub(super) fn keep(text: &str) -> Result<(), String> {
    PATTERNS.with_borrow_mut(|patterns| {
        if patterns.contains_key(text) {
            return Ok(());
        }
        if patterns.len() >= MAX {
            return Err(format!("there are more than {MAX} patterns"));
        }
        patterns.insert(text.to_owned(), pattern(text)?);
        Ok(())
    })
}

/// Declares `matches(text, pattern)` and `text.matches(pattern)`.
pub(super) fn declare(env: &mut Env) {
    let both = env
        .add_overload("matches", "matches", vec![STRING_TYPE, STRING_TYPE], matches)
        .and_then(|()| {
            env.add_member_overload(
                "matches",
                "matches_string",
                STRING_TYPE,
                vec![STRING_TYPE],
                matches,
            )
        });
    debug_assert!(
        both.is_ok(),
        "the standard library has no `matches` without its feature: {both:?}"
    );
}

fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let wrong = || ExecutionError::function_error("matches", "it takes two strings");
    let [value, pattern] = <[_; 2]>::try_from(arguments).map_err(|_| wrong())?;
    let text = value.downcast_ref::<CelString<'_>>().ok_or_else(wrong)?;
    let pattern = pattern.downcast_ref::<CelString<'_>>().ok_or_else(wrong)?;
    PATTERNS.with_borrow(|patterns| match patterns.get(pattern.inner()) {
        Some(pattern) => Ok(CowVal::owned(CelBool::from(pattern.is_match(text.inner())))),
        None => Err(ExecutionError::function_error(
            "matches",
            "the pattern is not compiled",
        )),
    })
}
