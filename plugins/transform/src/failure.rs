//! Why a message could not be transformed, and the refusal that it becomes. Knows no edit.

use portcullis::{Problem, Refusal, log};

/// Why a message could not be transformed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What came out cannot be sent at that place.
    Value(String),
    /// A template could not be rendered.
    Template(String),
    /// The gateway did not do what was asked.
    Gateway(Problem),
}

/// The message that was transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum During {
    Request,
    Response,
}

impl Failure {
    /// The same with the place at which it happened.
    pub(crate) fn at(self, key: &str) -> Self {
        match self {
            Self::Value(what) => Self::Value(format!("`{key}`: {what}")),
            Self::Template(what) => Self::Template(format!("`{key}`: {what}")),
            Self::Gateway(problem) => Self::Gateway(problem),
        }
    }

    /// The refusal. A value that the request brought and that fits nowhere is the client's doing.
    pub(crate) fn into_refusal(self, during: During) -> Refusal {
        match (self, during) {
            (Self::Value(cause), During::Request) => {
                log::debug!(cause = cause, "a value of the request cannot be sent on");
                let detail = "a value of the request cannot be sent on";
                Refusal::new(400, "transform-invalid", detail)
            }
            (Self::Value(cause) | Self::Template(cause), during) => {
                log::warn!(cause = cause, "the {} could not be transformed", during.name());
                Refusal::new(
                    500,
                    "transform-failed",
                    "the gateway could not transform this message",
                )
            }
            (Self::Gateway(problem), _) => problem.into(),
        }
    }
}

impl During {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Invalid(what) => Self::Value(what),
            other => Self::Gateway(other),
        }
    }
}
