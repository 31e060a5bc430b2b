//! What a hook returns: one type per hook that can decide something, and the conversions that let a hook return
//! less (nothing, a reply) or more (a `Result`). Knows nothing of how a verdict reaches the host.

use crate::{Content, Refusal, Reply, log};

/// What [`route`](crate::hooks::Route) decides: the name of a route, or none for the next router and at last the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice(pub Option<String>);

/// What [`pick`](crate::hooks::Pick) decides: the index of a candidate, or none for no preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preference(pub Option<usize>);

/// What [`on_request`](crate::hooks::OnRequest) decides. `S` is the plugin's `State`.
#[derive(Debug)]
pub enum Action<S = ()> {
    /// On to the next stage.
    Next,
    /// On to the next stage; the later hooks of this plugin get the state.
    NextWith(S),
    /// Answer now; the stages after this one do not run.
    Respond(Reply),
    /// Answer with an error now.
    Refuse(Refusal),
}

/// What [`on_request_body`](crate::hooks::OnRequestBody) decides.
#[derive(Debug)]
pub enum BodyAction<S = ()> {
    /// On to the next stage with the same body.
    Next,
    /// On to the next stage; the later hooks of this plugin get the state.
    NextWith(S),
    /// On to the next stage with this body.
    Replace(Content),
    /// Answer now.
    Respond(Reply),
    /// Answer with an error now.
    Refuse(Refusal),
}

/// What [`on_response`](crate::hooks::OnResponse) decides.
#[derive(Debug)]
pub enum ResponseAction {
    /// On to the next stage.
    Next,
    /// Send this in place of the response; what is left of the old body is discarded.
    Replace(Reply),
    /// Send an error in place of the response.
    Refuse(Refusal),
}

/// What [`on_response_body`](crate::hooks::OnResponseBody) decides.
#[derive(Debug)]
pub enum ResponseBodyAction {
    /// On to the next stage with the same body.
    Next,
    /// On to the next stage with this body, status and headers as they are.
    Replace(Content),
    /// Send this in place of the whole response.
    ReplaceAll(Reply),
    /// Send an error in place of the response.
    Refuse(Refusal),
}

/// What [`on_error`](crate::hooks::OnError) decides.
#[derive(Debug)]
pub enum ErrorAction {
    /// Leave the error to the next stage, at the end to the gateway.
    Next,
    /// Send this in place of the error.
    Replace(Reply),
    /// Try this named upstream; the host bounds how often.
    RetryOn(String),
}

/// What [`respond`](crate::hooks::Respond) answers.
#[derive(Debug)]
pub enum Answer {
    /// The answer.
    Reply(Reply),
    /// An error in place of it.
    Refuse(Refusal),
}

impl<S> Action<S> {
    /// Answers now.
    #[must_use]
    pub fn respond(reply: Reply) -> Self {
        Self::Respond(reply)
    }

    /// Answers with an error now.
    #[must_use]
    pub fn refuse(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }

    /// Goes on and keeps `state` in the host for the later hooks of this exchange.
    #[must_use]
    pub fn next_with(state: S) -> Self {
        Self::NextWith(state)
    }
}

impl<S> BodyAction<S> {
    /// Goes on with another body.
    #[must_use]
    pub fn replace(body: impl Into<Content>) -> Self {
        Self::Replace(body.into())
    }
}

impl ResponseBodyAction {
    /// Goes on with another body.
    #[must_use]
    pub fn replace(body: impl Into<Content>) -> Self {
        Self::Replace(body.into())
    }
}

/// Turns what a hook returned into that hook's verdict: the verdict itself, `()` for "go on", a [`Reply`] or a
/// [`Refusal`], and a `Result` of any of them whose error becomes a refusal.
pub trait IntoVerdict<V> {
    /// The verdict.
    fn into_verdict(self) -> V;
}

impl<V, T: IntoVerdict<V>, E: Into<Refusal>> IntoVerdict<V> for Result<T, E>
where
    V: From<Refusal>,
{
    fn into_verdict(self) -> V {
        match self {
            Ok(verdict) => verdict.into_verdict(),
            Err(error) => V::from(error.into()),
        }
    }
}

/// Reading a verdict in tests, and the conversions into it.
macro_rules! verdict {
    ($name:ident $(<$state:ident>)?, reply: $($reply:ident)|+) => {
        impl$(<$state>)? $name$(<$state>)? {
            /// The reply, if that is the verdict.
            #[must_use]
            pub fn reply(&self) -> Option<&Reply> {
                match self {
                    $(Self::$reply(reply) => Some(reply),)+
                    _ => None,
                }
            }
        }

        impl$(<$state>)? IntoVerdict<Self> for $name$(<$state>)? {
            fn into_verdict(self) -> Self {
                self
            }
        }
    };
    ($name:ident $(<$state:ident>)?, reply: $($reply:ident)|+, refusal) => {
        verdict!($name $(<$state>)?, reply: $($reply)|+);

        impl$(<$state>)? $name$(<$state>)? {
            /// The refusal, if that is the verdict.
            #[must_use]
            pub fn refusal(&self) -> Option<&Refusal> {
                match self {
                    Self::Refuse(refusal) => Some(refusal),
                    _ => None,
                }
            }
        }

        impl$(<$state>)? From<Refusal> for $name$(<$state>)? {
            fn from(refusal: Refusal) -> Self {
                Self::Refuse(refusal)
            }
        }
    };
}

verdict!(Action<S>, reply: Respond, refusal);
verdict!(BodyAction<S>, reply: Respond, refusal);
verdict!(ResponseAction, reply: Replace, refusal);
verdict!(ResponseBodyAction, reply: ReplaceAll, refusal);
verdict!(ErrorAction, reply: Replace);
verdict!(Answer, reply: Reply, refusal);

/// "Go on" for the verdicts that know it, as the unit type and as a question.
macro_rules! next {
    ($($name:ident $(<$state:ident>)?),+) => {$(
        impl$(<$state>)? $name$(<$state>)? {
            /// Whether the exchange goes on unchanged by the verdict.
            #[must_use]
            pub fn is_next(&self) -> bool {
                matches!(self, Self::Next)
            }
        }

        impl$(<$state>)? IntoVerdict<$name$(<$state>)?> for () {
            fn into_verdict(self) -> $name$(<$state>)? {
                $name::Next
            }
        }
    )+};
}

next!(
    Action<S>,
    BodyAction<S>,
    ResponseAction,
    ResponseBodyAction,
    ErrorAction
);

impl IntoVerdict<Answer> for Reply {
    fn into_verdict(self) -> Answer {
        Answer::Reply(self)
    }
}

impl IntoVerdict<Answer> for Refusal {
    fn into_verdict(self) -> Answer {
        Answer::Refuse(self)
    }
}

/// An error of an error hook cannot become another error answer: it is logged, and the first error stands.
impl From<Refusal> for ErrorAction {
    fn from(refusal: Refusal) -> Self {
        let cause = refusal.cause().unwrap_or(&refusal.detail);
        log::write(log::Level::Error, "the error hook failed", &[("cause", cause)]);
        Self::Next
    }
}

impl IntoVerdict<Self> for Choice {
    fn into_verdict(self) -> Self {
        self
    }
}

impl IntoVerdict<Choice> for Option<String> {
    fn into_verdict(self) -> Choice {
        Choice(self)
    }
}

impl IntoVerdict<Choice> for Option<&str> {
    fn into_verdict(self) -> Choice {
        Choice(self.map(str::to_owned))
    }
}

/// A router has no answer for an error: it is logged, and the next router is asked.
impl From<Refusal> for Choice {
    fn from(refusal: Refusal) -> Self {
        let cause = refusal.cause().unwrap_or(&refusal.detail);
        log::write(log::Level::Error, "the router failed", &[("cause", cause)]);
        Self(None)
    }
}

impl IntoVerdict<Self> for Preference {
    fn into_verdict(self) -> Self {
        self
    }
}

impl IntoVerdict<Preference> for Option<usize> {
    fn into_verdict(self) -> Preference {
        Preference(self)
    }
}

/// A balancer has no answer for an error: it is logged, and the gateway chooses.
impl From<Refusal> for Preference {
    fn from(refusal: Refusal) -> Self {
        let cause = refusal.cause().unwrap_or(&refusal.detail);
        log::write(log::Level::Error, "the balancer failed", &[("cause", cause)]);
        Self(None)
    }
}

/// The verdict of a hook that decides nothing; an error that it returns is logged.
#[derive(Debug)]
pub struct Done;

impl From<Refusal> for Done {
    fn from(refusal: Refusal) -> Self {
        let cause = refusal.cause().unwrap_or(&refusal.detail);
        log::write(log::Level::Error, "the hook failed", &[("cause", cause)]);
        Self
    }
}

impl IntoVerdict<Done> for () {
    fn into_verdict(self) -> Done {
        Done
    }
}
