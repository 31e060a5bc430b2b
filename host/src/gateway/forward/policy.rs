//! Whether a try is followed by another, and after which pause. It refuses to send anything.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};

use crate::config::{Condition, Recourse, Retries, RetryBudget};
use crate::exchange::Tries;
use crate::message::grpc::{self, GrpcStatus};
use crate::telemetry::RetryReason;
use crate::upstream::{BudgetRule, Failure, FailureKind, RetrySafety};

/// What is said of the tries of one exchange at one upstream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy<'a> {
    retries: Option<&'a Retries>,
    /// What a hook asked for.
    asked: Tries,
    /// When a second try is sent beside the first.
    pub hedge: Option<Duration>,
    budget: RetryBudget,
}

impl<'a> Policy<'a> {
    /// What the route, the upstream and the hooks say together; none when none of them says anything.
    pub(super) fn of(
        route: Option<&'a Retries>,
        upstream: Option<&'a Recourse>,
        asked: Tries,
    ) -> Option<Self> {
        if route.is_none() && upstream.is_none() && asked == Tries::default() {
            return None;
        }
        let policy = Self {
            retries: route.or_else(|| upstream?.retries.as_ref()),
            asked,
            hedge: upstream.and_then(|upstream| upstream.hedge),
            budget: upstream.map_or_else(RetryBudget::default, |upstream| upstream.budget),
        };
        let says = policy.retries.is_some() || policy.hedge.is_some() || asked != Tries::default();
        says.then_some(policy)
    }

    /// Tries that may follow the first: what a hook asked for goes before the configuration.
    pub(super) fn attempts(&self) -> u8 {
        match self.asked.extra {
            0 => self.retries.map_or(0, |retries| retries.attempts),
            extra => extra,
        }
    }

    /// The time of one try until the head of its response.
    pub(super) fn each(&self) -> Option<Duration> {
        self.asked.each.or_else(|| self.retries?.per_try_timeout)
    }

    /// The budget of all such exchanges.
    pub(super) fn budget(&self) -> BudgetRule {
        BudgetRule {
            percent: self.budget.percent,
            min_per_second: self.budget.min_per_second,
        }
    }

    /// Whether a request with this method may be sent again although the upstream may have acted.
    pub(super) fn may_repeat(&self, method: &Method) -> bool {
        self.retries
            .map_or_else(|| method.is_idempotent(), |retries| retries.may_repeat(method))
    }

    /// Why a try that failed so is followed by another; none if it is not.
    pub(super) fn after_failure(&self, failure: &Failure, method: &Method) -> Option<RetryReason> {
        let reason = reason(failure.kind)?;
        if failure.retry != RetrySafety::Unsent && !self.may_repeat(method) {
            return None;
        }
        let wanted = |condition: &Condition| match condition {
            Condition::ConnectFailure => reason == RetryReason::Connect,
            Condition::Reset => reason == RetryReason::Reset,
            Condition::Timeout => reason == RetryReason::Timeout,
            Condition::ServerError | Condition::GatewayError => true,
            Condition::Status(_) | Condition::Call(_) => false,
        };
        // A hook asks for another try after every failure.
        let wanted = self.asked.extra > 0 || self.on().iter().any(wanted);
        wanted.then_some(reason)
    }

    /// Why a response with this head is given up for another try; none if it is not.
    pub(super) fn after_head(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        method: &Method,
    ) -> Option<RetryReason> {
        let ended = |wanted| grpc::is_call(headers) && GrpcStatus::of(headers) == Some(wanted);
        let wanted = |condition: &Condition| match condition {
            Condition::ServerError => status.is_server_error() && self.may_repeat(method),
            Condition::GatewayError => matches!(status.as_u16(), 502..=504) && self.may_repeat(method),
            Condition::Status(wanted) => status == *wanted && self.may_repeat(method),
            Condition::Call(wanted) => ended(*wanted),
            Condition::ConnectFailure | Condition::Reset | Condition::Timeout => false,
        };
        let wanted = self.on().iter().any(wanted);
        wanted.then_some(RetryReason::Status)
    }

    /// The pause before the next try, after `made` further ones. `random` is any number. None when the response asks for
    /// a longer one than is waited for.
    ///
    /// "Full jitter" (M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015).
    pub(super) fn pause(&self, made: u8, response: Option<&HeaderMap>, random: u64) -> Option<Duration> {
        let default = Retries::default();
        let retries = self.retries.unwrap_or(&default);
        let factor = 1_u32.checked_shl(u32::from(made)).unwrap_or(u32::MAX);
        let longest = retries.back_off.saturating_mul(factor).min(retries.max_back_off);
        let part = (longest.as_nanos() * u128::from(random)) >> 64;
        let pause = Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX));
        match response.and_then(retry_after) {
            Some(wait) if wait > retries.max_retry_after => None,
            Some(wait) => Some(pause.max(wait)),
            None => Some(pause),
        }
    }

    fn on(&self) -> &[Condition] {
        self.retries.map_or(&[], |retries| &retries.on)
    }
}

/// The sort of a failure that another try may mend.
fn reason(kind: FailureKind) -> Option<RetryReason> {
    match kind {
        FailureKind::Connect | FailureKind::ConnectTimeout | FailureKind::Tls | FailureKind::Resolve => {
            Some(RetryReason::Connect)
        }
        FailureKind::Reset | FailureKind::Truncated => Some(RetryReason::Reset),
        FailureKind::FirstByteTimeout | FailureKind::IdleTimeout => Some(RetryReason::Timeout),
        FailureKind::Malformed(_) | FailureKind::HeadTooLarge => Some(RetryReason::Protocol),
        FailureKind::NoEndpoint
        | FailureKind::Unpicked
        | FailureKind::CircuitOpen { .. }
        | FailureKind::Overloaded(_)
        | FailureKind::Deadline
        | FailureKind::RequestBody
        | FailureKind::Cut
        | FailureKind::RequestStalled
        | FailureKind::NoTunnel
        | FailureKind::Unsendable(_) => None,
    }
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3). A date is as long as can be: the clocks may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    Some(seconds.map_or(Duration::MAX, Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failure(kind: FailureKind, retry: RetrySafety) -> Failure {
        Failure {
            kind,
            endpoint: None,
            retry,
            source: None,
        }
    }

    fn retries(on: &[Condition]) -> Retries {
        Retries {
            on: on.to_vec(),
            ..Retries::default()
        }
    }

    fn policy(retries: &Retries) -> Policy<'_> {
        Policy::of(Some(retries), None, Tries::default()).unwrap()
    }

    #[test]
    fn every_condition_wants_what_its_name_says() {
        use Condition::{ConnectFailure, GatewayError, Reset, ServerError, Timeout};
        let any = &[ConnectFailure, Reset, Timeout, ServerError, GatewayError];
        for (kind, wanting) in [
            (
                FailureKind::Connect,
                &[ConnectFailure, ServerError, GatewayError][..],
            ),
            (
                FailureKind::ConnectTimeout,
                &[ConnectFailure, ServerError, GatewayError],
            ),
            (FailureKind::Tls, &[ConnectFailure, ServerError, GatewayError]),
            (FailureKind::Resolve, &[ConnectFailure, ServerError, GatewayError]),
            (FailureKind::Reset, &[Reset, ServerError, GatewayError]),
            (FailureKind::Truncated, &[Reset, ServerError, GatewayError]),
            (
                FailureKind::FirstByteTimeout,
                &[Timeout, ServerError, GatewayError],
            ),
            (FailureKind::IdleTimeout, &[Timeout, ServerError, GatewayError]),
            (FailureKind::Malformed("x"), &[ServerError, GatewayError]),
            (FailureKind::HeadTooLarge, &[ServerError, GatewayError]),
            (FailureKind::Deadline, &[]),
            (FailureKind::NoEndpoint, &[]),
            (FailureKind::RequestBody, &[]),
            (FailureKind::RequestStalled, &[]),
            (FailureKind::NoTunnel, &[]),
            (FailureKind::Unsendable("x"), &[]),
        ] {
            for condition in any {
                let retries = retries(&[*condition]);
                let found = policy(&retries).after_failure(&failure(kind, RetrySafety::Unsent), &Method::GET);
                assert_eq!(
                    found.is_some(),
                    wanting.contains(condition),
                    "{kind:?} {condition:?}"
                );
            }
        }
        for (status, wanting) in [
            (500, &[ServerError][..]),
            (503, &[ServerError, GatewayError]),
            (429, &[]),
            (200, &[]),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            for condition in any {
                let retries = retries(&[*condition]);
                let found = policy(&retries).after_head(status, &HeaderMap::new(), &Method::GET);
                assert_eq!(
                    found.is_some(),
                    wanting.contains(condition),
                    "{status} {condition:?}"
                );
            }
            let exactly = retries(&[Condition::Status(status)]);
            assert!(
                policy(&exactly)
                    .after_head(status, &HeaderMap::new(), &Method::GET)
                    .is_some()
            );
        }
    }

    #[test]
    fn a_request_that_may_have_done_something_is_repeated_only_with_the_methods_that_may_be() {
        let idempotent = Retries::default();
        let post_too = Retries {
            methods: Some(vec![Method::POST]),
            ..Retries::default()
        };
        let after = |retries, safety, method| {
            let failure = failure(FailureKind::Reset, safety);
            policy(retries).after_failure(&failure, &method).is_some()
        };
        assert!(after(&idempotent, RetrySafety::Idempotent, Method::DELETE));
        assert!(!after(&idempotent, RetrySafety::Unsafe, Method::POST));
        assert!(after(&idempotent, RetrySafety::Unsent, Method::POST));
        assert!(after(&post_too, RetrySafety::Unsafe, Method::POST));
        assert!(!after(&post_too, RetrySafety::Idempotent, Method::GET));
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert!(
            policy(&idempotent)
                .after_head(unavailable, &HeaderMap::new(), &Method::POST)
                .is_none()
        );
        assert!(
            policy(&post_too)
                .after_head(unavailable, &HeaderMap::new(), &Method::POST)
                .is_some()
        );
    }

    #[test]
    fn a_call_is_made_again_when_its_head_says_a_status_that_is_named() {
        let fields = |pairs: &[(&'static str, &'static str)]| {
            let field = |(name, value): &(&'static str, &'static str)| {
                let name = http::HeaderName::from_static(name);
                (name, http::HeaderValue::from_static(value))
            };
            pairs.iter().map(field).collect::<HeaderMap>()
        };
        let named = retries(&[Condition::Call(GrpcStatus::Unavailable)]);
        let after = |headers: &HeaderMap| {
            policy(&named)
                .after_head(StatusCode::OK, headers, &Method::POST)
                .is_some()
        };
        let call = ("content-type", "application/grpc+proto");
        assert!(after(&fields(&[call, ("grpc-status", "14")])));
        assert!(!after(&fields(&[call, ("grpc-status", "13")])));
        assert!(!after(&fields(&[call])));
        assert!(!after(&fields(&[("grpc-status", "14")])));
        assert!(named.may_repeat_calls() && !Retries::default().may_repeat_calls());
    }

    #[test]
    fn what_a_hook_asks_for_goes_before_the_configuration() {
        let configured = Retries {
            per_try_timeout: Some(Duration::from_secs(1)),
            ..retries(&[Condition::ConnectFailure])
        };
        let asked = Tries {
            each: Some(Duration::from_secs(2)),
            extra: 7,
        };
        let both = Policy::of(Some(&configured), None, asked).unwrap();
        assert_eq!((both.attempts(), both.each()), (7, Some(Duration::from_secs(2))));
        let reset = failure(FailureKind::Reset, RetrySafety::Idempotent);
        assert!(both.after_failure(&reset, &Method::GET).is_some());
        let alone = policy(&configured);
        assert_eq!(
            (alone.attempts(), alone.each()),
            (2, Some(Duration::from_secs(1)))
        );
        assert!(alone.after_failure(&reset, &Method::GET).is_none());
        assert!(Policy::of(None, Some(&Recourse::default()), Tries::default()).is_none());
    }

    #[test]
    fn a_routes_retries_take_the_place_of_the_upstreams() {
        let (route, upstream) = (
            Retries {
                attempts: 5,
                ..Retries::default()
            },
            Recourse {
                retries: Some(Retries::default()),
                ..Recourse::default()
            },
        );
        let attempts =
            |route| Policy::of(route, Some(&upstream), Tries::default()).map(|policy| policy.attempts());
        assert_eq!((attempts(Some(&route)), attempts(None)), (Some(5), Some(2)));
    }

    #[test]
    fn retry_after_is_waited_for_up_to_its_bound() {
        let retries = Retries::default();
        let pause = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, http::HeaderValue::from_static(value))]);
            policy(&retries).pause(0, Some(&headers), u64::MAX)
        };
        assert_eq!(pause("1"), Some(Duration::from_secs(1)));
        assert!(pause("0").unwrap() > Duration::from_millis(24));
        assert_eq!((pause("2"), pause("Fri, 31 Dec 1999 23:59:59 GMT")), (None, None));
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_doubling_bound(made in 0_u8..=10, random: u64, base in 0_u64..1_000, max in 0_u64..1_000) {
            let retries = Retries {
                back_off: Duration::from_millis(base),
                max_back_off: Duration::from_millis(max),
                ..Retries::default()
            };
            let bound = Duration::from_millis((base << made).min(max));
            let pause = policy(&retries).pause(made, None, random).unwrap();
            prop_assert!(pause <= bound);
            // Random over the whole of it.
            prop_assert_eq!(policy(&retries).pause(made, None, 0), Some(Duration::ZERO));
            let longest = policy(&retries).pause(made, None, u64::MAX).unwrap();
            prop_assert!(bound - longest <= Duration::from_nanos(1));
        }
    }
}
