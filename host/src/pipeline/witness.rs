//! What the calls of one exchange came to, for those who watch it: rehearsals. It refuses to know what a verdict does.

use super::run::Run;
use crate::abi::{Answer, BodyAction, ErrorAction, RequestAction, ResponseAction, ResponseBodyAction};
use crate::plugin::{Fault, Hook};

/// What one call came to.
#[derive(Debug, Clone)]
pub struct Told {
    /// The hook.
    pub hook: Hook,
    /// Its verdict, by its name in the contract; `fault` where it failed.
    pub verdict: &'static str,
    /// Why it failed.
    pub fault: Option<Fault>,
}

impl Told {
    pub(super) fn of<T: Verdict>(hook: Hook, answer: &Result<T, Fault>) -> Self {
        Self {
            hook,
            verdict: answer.as_ref().map_or("fault", Verdict::name),
            fault: answer.as_ref().err().cloned(),
        }
    }
}

impl Run {
    /// Keeps what every call comes to from now on.
    pub fn watch(&mut self) {
        self.told.get_or_insert_default();
    }

    /// What the calls since then came to; none are left.
    pub fn told(&mut self) -> Vec<Told> {
        self.told.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// The answer of a hook.
pub(crate) trait Verdict {
    /// What it is called in the contract.
    fn name(&self) -> &'static str;
}

impl Verdict for RequestAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Respond(_) => "respond",
            Self::Refuse(_) => "refuse",
        }
    }
}

impl Verdict for BodyAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Replace(_) => "replace",
            Self::Respond(_) => "respond",
            Self::Refuse(_) => "refuse",
        }
    }
}

impl Verdict for ResponseAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Replace(_) => "replace",
            Self::Refuse(_) => "refuse",
        }
    }
}

impl Verdict for ResponseBodyAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Replace(_) => "replace",
            Self::ReplaceAll(_) => "replace-all",
            Self::Refuse(_) => "refuse",
        }
    }
}

impl Verdict for ErrorAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Replace(_) => "replace",
            Self::RetryOn(_) => "retry-on",
        }
    }
}

impl Verdict for Answer {
    fn name(&self) -> &'static str {
        match self {
            Self::Reply(_) => "reply",
            Self::Refuse(_) => "refuse",
        }
    }
}

/// The route of a router.
impl Verdict for Option<String> {
    fn name(&self) -> &'static str {
        self.as_ref().map_or("none", |_| "route")
    }
}

/// The choice of a balancer.
impl Verdict for Option<usize> {
    fn name(&self) -> &'static str {
        self.map_or("none", |_| "pick")
    }
}

/// `on-finish` has none.
/// Whether a body is filtered.
impl Verdict for bool {
    fn name(&self) -> &'static str {
        if *self { "open" } else { "none" }
    }
}

impl Verdict for () {
    fn name(&self) -> &'static str {
        "done"
    }
}
