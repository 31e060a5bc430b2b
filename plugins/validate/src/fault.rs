//! Why a body is not taken, and the refusals that say so. Knows no rule.

use portcullis::Refusal;
use portcullis::serde_json::Value;

use crate::json::Unreadable;
use crate::violation::Violation;

/// Errors that a line of the log has.
const MAX_LOGGED: usize = 3;

/// Why a body is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is none.
    Missing,
    /// Its media type is not one that is taken.
    MediaType,
    /// Only its first bytes are here.
    Incomplete,
    /// It cannot be read.
    Unreadable(Unreadable),
    /// It does not fit the schema.
    Invalid(Vec<Violation>),
}

/// What a client learns of a response that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// What is wrong with it.
    WithErrors,
    /// That it is wrong.
    WithoutErrors,
}

impl Fault {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "body-missing",
            Self::MediaType => "media-type-unsupported",
            Self::Incomplete => "body-incomplete",
            Self::Unreadable(Unreadable::Syntax(_)) => "body-not-json",
            Self::Unreadable(Unreadable::Duplicate(..)) => "body-ambiguous",
            Self::Unreadable(Unreadable::Deep(_) | Unreadable::Many(_)) => "body-too-complex",
            Self::Invalid(_) => "validation-failed",
        }
    }

    /// The refusal of a request.
    pub(crate) fn of_request(&self) -> Refusal {
        let status = match self {
            Self::MediaType => 415,
            Self::Incomplete => 413,
            Self::Missing | Self::Unreadable(_) | Self::Invalid(_) => 400,
        };
        self.with_errors(Refusal::new(status, self.code(), self.detail("request")))
    }

    /// The refusal of a response.
    pub(crate) fn of_response(&self, refused: Refused) -> Refusal {
        match refused {
            Refused::WithErrors => {
                let refusal = Refusal::new(502, "response-invalid", self.detail("response"));
                self.with_errors(refusal.with("reason", self.code()))
            }
            Refused::WithoutErrors => Refusal::new(
                502,
                "response-invalid",
                "the response of the upstream is not what it has to be",
            ),
        }
    }

    /// What a line of the log says of it.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Invalid(violations) => {
                let shown: Vec<String> = violations
                    .iter()
                    .take(MAX_LOGGED)
                    .map(ToString::to_string)
                    .collect();
                shown.join("; ")
            }
            _ => self.detail("message"),
        }
    }

    fn detail(&self, of: &str) -> String {
        match self {
            Self::Missing => format!("the {of} has no body"),
            Self::MediaType => format!("the media type of the {of} body is not one that is taken here"),
            Self::Incomplete => format!("the {of} body is too long to be checked"),
            Self::Unreadable(why) => format!("the {of} body is refused: {why}"),
            Self::Invalid(_) => format!("the {of} body does not fit its schema"),
        }
    }

    fn with_errors(&self, refusal: Refusal) -> Refusal {
        match self {
            Self::Invalid(violations) => {
                let errors: Vec<Value> = violations.iter().map(Violation::to_json).collect();
                refusal.with("errors", errors)
            }
            _ => refusal,
        }
    }
}
