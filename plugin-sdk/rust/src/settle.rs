//! The step between a hook's verdict and the host: a state goes to the host, and what is left has none.

use std::any::TypeId;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Action, BodyAction, Problem, Refusal, state};

/// Keeps the state of `NextWith`; a state that cannot be kept refuses the request.
pub(crate) fn action<S: Serialize + DeserializeOwned + 'static>(verdict: Action<S>) -> Action {
    match verdict {
        Action::Next => Action::Next,
        Action::NextWith(_) if is_stateless::<S>() => Action::Next,
        Action::NextWith(value) => match keep(&value) {
            Ok(()) => Action::Next,
            Err(problem) => Action::Refuse(problem.into()),
        },
        Action::Respond(reply) => Action::Respond(reply),
        Action::Refuse(refusal) => Action::Refuse(refusal),
    }
}

/// The same for a body hook.
pub(crate) fn body_action<S: Serialize + DeserializeOwned + 'static>(verdict: BodyAction<S>) -> BodyAction {
    match verdict {
        BodyAction::Next => BodyAction::Next,
        BodyAction::NextWith(_) if is_stateless::<S>() => BodyAction::Next,
        BodyAction::NextWith(value) => match keep(&value) {
            Ok(()) => BodyAction::Next,
            Err(problem) => BodyAction::Refuse(Refusal::from(problem)),
        },
        BodyAction::Replace(content) => BodyAction::Replace(content),
        BodyAction::Respond(reply) => BodyAction::Respond(reply),
        BodyAction::Refuse(refusal) => BodyAction::Refuse(refusal),
    }
}

/// Known when compiling, so that a plugin without state does not import what it never calls.
fn is_stateless<S: 'static>() -> bool {
    TypeId::of::<S>() == TypeId::of::<()>()
}

#[cfg(target_arch = "wasm32")]
fn keep<S: Serialize + DeserializeOwned + 'static>(value: &S) -> Result<(), Problem> {
    state::keep(value)
}

/// In a test the state must also come back as it was: a type that postcard writes but cannot read shows here rather
/// than as a state that is missing later.
#[cfg(not(target_arch = "wasm32"))]
fn keep<S: Serialize + DeserializeOwned + 'static>(value: &S) -> Result<(), Problem> {
    let written = state::encode(value)?;
    let back = state::decode::<S>(&written).and_then(|value| state::encode(&value).ok());
    assert!(
        back.as_ref() == Some(&written),
        "this State does not survive its encoding: see portcullis::state"
    );
    state::keep(value)
}
