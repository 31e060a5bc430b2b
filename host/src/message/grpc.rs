//! How a gRPC call ended, as its fields say, and which HTTP status that is like. Refuses to know messages of calls.
//!
//! *gRPC over HTTP2* (PROTOCOL-HTTP2.md of grpc/grpc): the status stands in the trailers, or in the head of an answer that
//! consists of nothing else ("Trailers-Only"). The numbers and their HTTP statuses are those of `google/rpc/code.proto`.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrpcStatus {
    /// 0: well.
    Ok,
    /// 1: the caller gave it up.
    Cancelled,
    /// 2: nobody knows; also what has a number that is not defined.
    Unknown,
    /// 3.
    InvalidArgument,
    /// 4: its time was over.
    DeadlineExceeded,
    /// 5.
    NotFound,
    /// 6.
    AlreadyExists,
    /// 7.
    PermissionDenied,
    /// 8: a quota, or the server's memory.
    ResourceExhausted,
    /// 9.
    FailedPrecondition,
    /// 10.
    Aborted,
    /// 11.
    OutOfRange,
    /// 12.
    Unimplemented,
    /// 13: the server broke an invariant.
    Internal,
    /// 14: the server cannot serve at the moment.
    Unavailable,
    /// 15.
    DataLoss,
    /// 16.
    Unauthenticated,
}

impl GrpcStatus {
    /// All of them, each at its number.
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// What a head or a trailer section says; none when it says nothing.
    #[must_use]
    pub fn of(fields: &HeaderMap) -> Option<Self> {
        let value = fields.get(GRPC_STATUS)?;
        let number = value.to_str().ok().and_then(|text| text.parse::<usize>().ok());
        let known = number.and_then(|number| Self::ALL.get(number).copied());
        Some(known.unwrap_or(Self::Unknown))
    }

    /// Its name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub fn like(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            // nginx's for a client that left; it is in no RFC.
            Self::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Unknown | Self::Internal | Self::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => StatusCode::BAD_REQUEST,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::Aborted => StatusCode::CONFLICT,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }
}

/// Whether a message belongs to a call: its media type is `application/grpc`, with a format behind `+` or without.
/// gRPC-Web is something else: its trailers are content.
#[must_use]
pub fn is_call(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let rest = value.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fields(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_status_is_a_number_and_another_number_is_unknown() {
        for (text, want) in [
            ("0", GrpcStatus::Ok),
            ("14", GrpcStatus::Unavailable),
            ("16", GrpcStatus::Unauthenticated),
            ("17", GrpcStatus::Unknown),
            ("-1", GrpcStatus::Unknown),
            ("", GrpcStatus::Unknown),
        ] {
            assert_eq!(GrpcStatus::of(&fields(GRPC_STATUS, text)), Some(want), "{text:?}");
        }
        assert_eq!(GrpcStatus::of(&HeaderMap::new()), None);
    }

    #[test]
    fn what_a_server_is_to_blame_for_is_like_a_server_error() {
        let blamed: Vec<_> = GrpcStatus::ALL
            .into_iter()
            .filter(|status| status.like().is_server_error())
            .collect();
        assert_eq!(
            blamed,
            [
                GrpcStatus::Unknown,
                GrpcStatus::DeadlineExceeded,
                GrpcStatus::Unimplemented,
                GrpcStatus::Internal,
                GrpcStatus::Unavailable,
                GrpcStatus::DataLoss,
            ]
        );
    }

    #[test]
    fn a_call_has_the_media_type_of_grpc() {
        for (text, want) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            assert_eq!(is_call(&fields(CONTENT_TYPE, text)), want, "{text}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }
}
