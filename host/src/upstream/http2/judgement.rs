//! What an answer says of the endpoint: by its status or, where it answers a gRPC call, by the call's. It refuses to know
//! what follows from it.

use http::response::Parts;
use http::{HeaderMap, StatusCode};

use crate::message::grpc::{self, GrpcStatus};
use crate::upstream::shared::Outcome;

/// What the head says; none when the trailers will say it.
pub(super) fn of_head(head: &Parts) -> Option<Outcome> {
    if head.status != StatusCode::OK || !grpc::is_call(&head.headers) {
        return Some(Outcome::Answered(head.status));
    }
    let status = GrpcStatus::of(&head.headers)?;
    Some(Outcome::Answered(status.like()))
}

/// What the end of a call says. One without a status has failed in an unknown way.
pub(super) fn of_end(trailers: Option<&HeaderMap>) -> Outcome {
    let status = trailers.and_then(GrpcStatus::of);
    Outcome::Answered(status.unwrap_or(GrpcStatus::Unknown).like())
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> Option<Outcome> {
        let mut head = Response::builder().status(status);
        for (name, value) in fields {
            head = head.header(*name, *value);
        }
        of_head(&head.body(()).unwrap().into_parts().0)
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered(StatusCode::from_u16(status).unwrap())
    }

    #[test]
    fn a_call_goes_by_its_own_status_and_anything_else_by_that_of_http() {
        let call = ("content-type", "application/grpc");
        assert_eq!(head(200, &[call, ("grpc-status", "14")]), Some(answered(503)));
        assert_eq!(head(200, &[call, ("grpc-status", "0")]), Some(answered(200)));
        assert_eq!(head(200, &[call]), None);
        assert_eq!(head(503, &[call]), Some(answered(503)));
        assert_eq!(head(200, &[("grpc-status", "14")]), Some(answered(200)));
        assert_eq!(head(200, &[]), Some(answered(200)));
    }

    #[test]
    fn a_call_without_a_status_has_failed() {
        let trailers = |status: &'static str| {
            let value = http::HeaderValue::from_static(status);
            HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), value)])
        };
        assert_eq!(of_end(Some(&trailers("0"))), answered(200));
        assert_eq!(of_end(Some(&trailers("8"))), answered(429));
        assert_eq!(of_end(Some(&HeaderMap::new())), answered(500));
        assert_eq!(of_end(None), answered(500));
    }
}
