//! Why the host did not do what a call asked for. Knows no hook and no HTTP answer.

/// What the host answers to a call that it cannot or may not carry out.
///
/// In a hook that returns a `Result`, `?` turns it into a refusal 500 `plugin-error` whose cause goes to the log
/// and never to the client (see [`Refusal::internal`](crate::Refusal::internal)).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An argument does not parse: a header name, a URI, a value with a control character.
    #[error("invalid: {0}")]
    Invalid(String),
    /// Not possible in this hook, such as a request header after the request was sent.
    #[error("not possible in this hook")]
    WrongPhase,
    /// A limit of the gateway or of this plugin's entry is reached.
    #[error("over the limit: {0}")]
    Limit(String),
    /// Not covered by the entry's `allow` table.
    #[error("denied: {0}")]
    Denied(String),
    /// The time for it is over.
    #[error("timed out")]
    Timeout,
    /// Anything else that went wrong outside the plugin.
    #[error("failed: {0}")]
    Failed(String),
}
