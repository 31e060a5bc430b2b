//! Interfaces of the contract that this version or the operator does not grant: each of their functions
//! answers `denied`, so that a plugin that could use one still runs without it.

use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem, Type};
use wasmtime::component::{Linker, Val};

use super::HostState;

/// Defines every function of the imported interface `name` as one that denies.
///
/// # Errors
/// When a function cannot say that it was denied.
pub(super) fn define(
    engine: &wasmtime::Engine,
    linker: &mut Linker<HostState>,
    name: &str,
    interface: &ComponentInstance,
) -> wasmtime::Result<()> {
    let short = name.split(['/', '@']).nth(1).unwrap_or(name).to_owned();
    let mut instance = linker.instance(name)?;
    for (function, item) in interface.exports(engine) {
        let ComponentItem::ComponentFunc(ty) = item.ty else {
            continue;
        };
        let answer = Denial::of(&ty)
            .ok_or_else(|| wasmtime::format_err!("`{short}.{function}` cannot answer that it is denied"))?;
        let text = format!("`{short}` is not granted to this plugin");
        instance.func_new(function, move |_, _, _, results| {
            if let Some(slot) = results.first_mut() {
                *slot = answer.value(&text);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// How a function says no.
#[derive(Clone, Copy)]
enum Denial {
    Problem,
    Nothing,
    Empty,
    Silent,
}

impl Denial {
    fn of(ty: &ComponentFunc) -> Option<Self> {
        match ty.results().next() {
            None => Some(Self::Silent),
            Some(Type::Option(_)) => Some(Self::Nothing),
            Some(Type::List(_)) => Some(Self::Empty),
            Some(Type::Result(result)) => match result.err() {
                Some(Type::Variant(problem)) if problem.cases().any(|case| case.name == "denied") => {
                    Some(Self::Problem)
                }
                _ => None,
            },
            Some(_) => None,
        }
    }

    fn value(self, text: &str) -> Val {
        match self {
            Self::Problem => {
                let denied = Val::Variant("denied".into(), Some(Box::new(Val::String(text.into()))));
                Val::Result(Err(Some(Box::new(denied))))
            }
            Self::Nothing => Val::Option(None),
            Self::Empty | Self::Silent => Val::List(Vec::new()),
        }
    }
}
