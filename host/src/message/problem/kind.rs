//! Every error that the host itself answers with.
//!
//! Refuses to know the document; the list is what the documentation of errors is generated from.

use http::StatusCode;

use crate::message::decode::DecodeError;
use crate::message::host::HostError;
use crate::message::path::PathError;

/// Whose doing an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The request.
    Client,
    /// What the route forwards to.
    Upstream,
    /// A plugin of the route's pipeline.
    Plugin,
    /// The gateway itself, its configuration or its load.
    Gateway,
}

impl Origin {
    /// One lower-case word, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Plugin => "plugin",
            Self::Gateway => "gateway",
        }
    }
}

macro_rules! kinds {
    ($( $name:ident, $code:literal, $status:ident, $origin:ident, $title:literal, $meaning:literal; )*) => {
        /// An error of the host. The code is stable: clients may tell errors by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $( #[doc = $meaning] $name, )*
        }

        impl ErrorKind {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// Its name in documents, logs and metrics, kebab-case.
            pub const fn code(self) -> &'static str {
                match self { $( Self::$name => $code, )* }
            }

            /// Its HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $( Self::$name => StatusCode::$status, )* }
            }

            /// Whose doing it is.
            pub const fn origin(self) -> Origin {
                match self { $( Self::$name => Origin::$origin, )* }
            }

            /// A few words for the document's `title`.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$name => $title, )* }
            }

            /// One sentence for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$name => $meaning, )* }
            }
        }
    };
}

kinds! {
    BadRequest, "bad-request", BAD_REQUEST, Client, "Bad request",
        "The request is not valid HTTP.";
    HostMissing, "host-missing", BAD_REQUEST, Client, "Host missing",
        "The request names no host, which HTTP/1.1 demands (RFC 9112 section 3.2).";
    HostMalformed, "host-malformed", BAD_REQUEST, Client, "Host malformed",
        "The request has several Host fields, or one that is no host (RFC 9112 section 3.2).";
    PathRefused, "path-refused", BAD_REQUEST, Client, "Path refused",
        "The path has no safe normal form: a malformed escape, an encoded separator, a NUL or a control character.";
    BodyCorrupt, "body-corrupt", BAD_REQUEST, Client, "Body corrupt",
        "The request body is not what its Content-Encoding says, or it broke off.";
    HttpToTlsPort, "http-to-tls-port", BAD_REQUEST, Client, "HTTP to a TLS port",
        "The request came in clear to a port that speaks TLS.";
    NoRoute, "no-route", NOT_FOUND, Client, "No route",
        "No route matches the request.";
    RequestTimeout, "request-timeout", REQUEST_TIMEOUT, Client, "Request timeout",
        "The client took too long to send the request's head or body.";
    BodyTooLarge, "body-too-large", PAYLOAD_TOO_LARGE, Client, "Body too large",
        "The request body, as sent or when decoded, is longer than the route or one of its plugins takes.";
    UriTooLong, "uri-too-long", URI_TOO_LONG, Client, "URI too long",
        "The request target is longer than the listener takes.";
    UnsupportedContentEncoding, "unsupported-content-encoding", UNSUPPORTED_MEDIA_TYPE, Client,
        "Unsupported content encoding",
        "A plugin must see the request body, and its Content-Encoding is unknown or nested too deeply.";
    HeadersTooLarge, "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, Client, "Headers too large",
        "The request's fields are too many or too long for the listener.";
    ConnectRefused, "connect-refused", NOT_IMPLEMENTED, Client, "CONNECT refused",
        "The gateway is no forward proxy; by CONNECT it opens nothing but WebSockets, over HTTP/2.";
    TraceRefused, "trace-refused", NOT_IMPLEMENTED, Client, "TRACE refused",
        "The gateway sends no request back as its answer, for it holds what the gateway and its plugins have added.";
    UnsupportedTransferEncoding, "unsupported-transfer-encoding", NOT_IMPLEMENTED, Client,
        "Unsupported transfer encoding",
        "The request body has a transfer coding other than chunks (RFC 9112 section 6.1).";
    ExpectationFailed, "expectation-failed", EXPECTATION_FAILED, Client, "Expectation failed",
        "The request expects something other than leave to send its body (RFC 9110 section 10.1.1).";
    LoopDetected, "loop-detected", LOOP_DETECTED, Gateway, "Loop detected",
        "The request has passed this gateway too often: a route leads back to it (RFC 9110 section 7.6.3).";
    UpgradeRefused, "upgrade-refused", NOT_IMPLEMENTED, Client, "Upgrade refused",
        "The request asks for a protocol that the route does not pass on, or its upstream cannot take.";
    InternalError, "internal-error", INTERNAL_SERVER_ERROR, Gateway, "Internal error",
        "The gateway failed in a way that it should not; the log says how.";
    UpstreamConnectFailed, "upstream-connect-failed", BAD_GATEWAY, Upstream, "Upstream not reachable",
        "No connection to the upstream could be made; it has seen nothing of the request.";
    UpstreamTls, "upstream-tls", BAD_GATEWAY, Upstream, "Upstream TLS failed",
        "The TLS handshake with the upstream failed: its certificate is not trusted, it refused ours, or it does not agree on HTTP/2.";
    UpstreamReset, "upstream-reset", BAD_GATEWAY, Upstream, "Upstream connection lost",
        "The upstream closed the connection before its response was complete.";
    UpstreamMalformed, "upstream-malformed", BAD_GATEWAY, Upstream, "Upstream response malformed",
        "The upstream's response is not valid HTTP, or its fields exceed the limits.";
    UpstreamBodyTooLarge, "upstream-body-too-large", BAD_GATEWAY, Upstream, "Upstream body too large",
        "The upstream's body, as sent or when decoded, is longer than a plugin of the route takes.";
    UpstreamBodyCorrupt, "upstream-body-corrupt", BAD_GATEWAY, Upstream, "Upstream body corrupt",
        "A plugin must see the upstream's body, and it cannot be decoded by its Content-Encoding.";
    NoEndpoint, "no-endpoint", SERVICE_UNAVAILABLE, Upstream, "No endpoint",
        "No endpoint of the upstream is healthy and has room.";
    CircuitOpen, "circuit-open", SERVICE_UNAVAILABLE, Upstream, "Circuit open",
        "The upstream failed so often that its circuit breaker lets nothing through for a while; it has seen nothing of the request.";
    UpstreamOverloaded, "upstream-overloaded", SERVICE_UNAVAILABLE, Gateway, "Upstream overloaded",
        "The upstream has as many requests or connections as its limits allow; it has seen nothing of the request.";
    UpstreamConnectTimeout, "upstream-connect-timeout", GATEWAY_TIMEOUT, Upstream, "Upstream connect timeout",
        "No connection to the upstream was made in time; it has seen nothing of the request.";
    UpstreamTimeout, "upstream-timeout", GATEWAY_TIMEOUT, Upstream, "Upstream timeout",
        "The upstream did not begin its response in time.";
    UpstreamIdleTimeout, "upstream-idle-timeout", GATEWAY_TIMEOUT, Upstream, "Upstream idle timeout",
        "The upstream began its response and then stopped sending.";
    DeadlineExceeded, "deadline-exceeded", GATEWAY_TIMEOUT, Gateway, "Deadline exceeded",
        "The exchange as a whole took longer than the route allows.";
    PluginRefused, "plugin-refused", FORBIDDEN, Plugin, "Refused",
        "A plugin refused the request; status and code are the plugin's own.";
    PluginUnavailable, "plugin-unavailable", SERVICE_UNAVAILABLE, Plugin, "Plugin unavailable",
        "A plugin of the route has no version that could be loaded, or it failed so often that it is not called.";
    PluginFault, "plugin-fault", SERVICE_UNAVAILABLE, Plugin, "Plugin fault",
        "A plugin of the route trapped, used up its time or memory, or gave an answer that is none.";
    BodyFilterAborted, "body-filter-aborted", BAD_REQUEST, Plugin, "Body broken off",
        "A plugin that filters the body broke it off; of a response whose head was sent, the log alone says so.";
    PluginOverloaded, "plugin-overloaded", SERVICE_UNAVAILABLE, Plugin, "Plugin overloaded",
        "All instances of a plugin of the route were busy for too long.";
    Overloaded, "overloaded", SERVICE_UNAVAILABLE, Gateway, "Overloaded",
        "The gateway has as many exchanges as it may.";
    ShuttingDown, "shutting-down", SERVICE_UNAVAILABLE, Gateway, "Shutting down",
        "The gateway is about to end and takes no new requests.";
}

impl ErrorKind {
    /// The kind for a request body that cannot be decoded.
    pub const fn of_request_decoding(error: &DecodeError) -> Self {
        match error {
            DecodeError::Unknown(_) | DecodeError::TooMany => Self::UnsupportedContentEncoding,
            DecodeError::TooLarge { .. } => Self::BodyTooLarge,
            DecodeError::Corrupt(_) => Self::BodyCorrupt,
        }
    }

    /// The kind for a response body that cannot be decoded.
    pub const fn of_response_decoding(error: &DecodeError) -> Self {
        match error {
            DecodeError::TooLarge { .. } => Self::UpstreamBodyTooLarge,
            DecodeError::Unknown(_) | DecodeError::TooMany | DecodeError::Corrupt(_) => {
                Self::UpstreamBodyCorrupt
            }
        }
    }
}

impl From<PathError> for ErrorKind {
    fn from(_: PathError) -> Self {
        Self::PathRefused
    }
}

impl From<HostError> for ErrorKind {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Missing => Self::HostMissing,
            HostError::Several | HostError::Malformed => Self::HostMalformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_kebab_case() {
        let codes: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
        for code in codes {
            assert!(
                code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{code}"
            );
        }
    }

    #[test]
    fn every_kind_is_an_error_with_one_sentence() {
        for kind in ErrorKind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
            assert!(
                kind.meaning().ends_with('.') && !kind.meaning().contains(". "),
                "{kind:?}"
            );
            assert!(!kind.title().ends_with('.'));
        }
    }

    #[test]
    fn a_clients_error_is_never_the_servers_fault() {
        for kind in ErrorKind::ALL {
            if kind.origin() == Origin::Client {
                assert!(kind.status().is_client_error() || kind.status() == StatusCode::NOT_IMPLEMENTED);
            }
        }
    }
}
