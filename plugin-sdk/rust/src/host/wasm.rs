//! The gateway's functions, by the bindings of the WIT. Only converts between the contract's types and the SDK's.

use crate::bindings::portcullis::gateway as wit;
use crate::{Problem, Section, Side, WhenClientLeaves};

pub(crate) use wit::types::Blob;

impl From<wit::types::Problem> for Problem {
    fn from(problem: wit::types::Problem) -> Self {
        match problem {
            wit::types::Problem::Invalid(what) => Self::Invalid(what),
            wit::types::Problem::WrongPhase => Self::WrongPhase,
            wit::types::Problem::Limit(what) => Self::Limit(what),
            wit::types::Problem::Denied(what) => Self::Denied(what),
            wit::types::Problem::Timeout => Self::Timeout,
            wit::types::Problem::Failed(what) => Self::Failed(what),
        }
    }
}

impl From<Section> for wit::types::Section {
    fn from(section: Section) -> Self {
        match section {
            Section::Request => Self::Request,
            Section::Response => Self::Response,
            Section::RequestTrailers => Self::RequestTrailers,
            Section::ResponseTrailers => Self::ResponseTrailers,
        }
    }
}

impl From<Side> for wit::types::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Request => Self::Request,
            Side::Response => Self::Response,
        }
    }
}

pub(crate) mod exchange {
    //! `exchange`.

    use super::{Problem, Section, Side, WhenClientLeaves, wit};
    use wit::exchange::{self, WhenClientLeaves as Leaves};

    pub(crate) use exchange::{
        attribute, authority, client_ip, elapsed_us, id, method, path, property, query, remaining_us, route,
        state, status,
    };

    pub(crate) fn set_method(method: &str) -> Result<(), Problem> {
        Ok(exchange::set_method(method)?)
    }

    pub(crate) fn set_authority(authority: &str) -> Result<(), Problem> {
        Ok(exchange::set_authority(authority)?)
    }

    pub(crate) fn set_target(path_and_query: &str) -> Result<(), Problem> {
        Ok(exchange::set_target(path_and_query)?)
    }

    pub(crate) fn set_status(status: u16) -> Result<(), Problem> {
        Ok(exchange::set_status(status)?)
    }

    pub(crate) fn header(section: Section, name: &str) -> Option<String> {
        exchange::header(section.into(), name)
    }

    pub(crate) fn header_values(section: Section, name: &str) -> Vec<String> {
        exchange::header_values(section.into(), name)
    }

    pub(crate) fn header_block(section: Section) -> Vec<u8> {
        exchange::header_block(section.into())
    }

    pub(crate) fn set_header(section: Section, name: &str, value: &str) -> Result<(), Problem> {
        Ok(exchange::set_header(section.into(), name, value)?)
    }

    pub(crate) fn append_header(section: Section, name: &str, value: &str) -> Result<(), Problem> {
        Ok(exchange::append_header(section.into(), name, value)?)
    }

    pub(crate) fn remove_header(section: Section, name: &str) -> Result<(), Problem> {
        Ok(exchange::remove_header(section.into(), name)?)
    }

    pub(crate) fn edit_headers(section: Section, set: &[u8], append: &[u8]) -> Result<(), Problem> {
        Ok(exchange::edit_headers(section.into(), set, append)?)
    }

    pub(crate) fn set_state(bytes: Option<&[u8]>) -> Result<(), Problem> {
        Ok(exchange::set_state(bytes)?)
    }

    pub(crate) fn set_attribute(key: &str, value: Option<&str>) -> Result<(), Problem> {
        Ok(exchange::set_attribute(key, value)?)
    }

    pub(crate) fn set_upstream(name: &str) -> Result<(), Problem> {
        Ok(exchange::set_upstream(name)?)
    }

    pub(crate) fn set_retry(per_try_ms: u32, extra_tries: u8) -> Result<(), Problem> {
        Ok(exchange::set_retry(per_try_ms, extra_tries)?)
    }

    pub(crate) fn delay(ms: u32) -> Result<(), Problem> {
        Ok(exchange::delay(ms)?)
    }

    pub(crate) fn skip_body(side: Side) {
        exchange::skip_body(side.into());
    }

    pub(crate) fn capture_body(side: Side, max: u64, when_client_leaves: WhenClientLeaves) {
        let when = match when_client_leaves {
            WhenClientLeaves::Stop => Leaves::Stop,
            WhenClientLeaves::Finish => Leaves::Finish,
        };
        exchange::capture_body(side.into(), max, when);
    }

    pub(crate) fn captured(side: Side) -> Option<crate::Blob> {
        exchange::captured(side.into()).map(crate::Blob)
    }
}

pub(crate) mod log {
    //! `log`.

    use super::wit::log as host;
    use crate::log::Level;

    fn convert(level: Level) -> host::Level {
        match level {
            Level::Trace => host::Level::Trace,
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        }
    }

    pub(crate) fn enabled(level: Level) -> bool {
        host::enabled(convert(level))
    }

    pub(crate) fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        host::write(convert(level), message, &fields);
    }
}

pub(crate) mod metrics {
    //! `metrics`.

    use super::{Problem, wit::metrics as host};
    use crate::metrics::Kind;

    pub(crate) fn define(kind: Kind, name: &str, help: &str, labels: &[&str]) -> Result<u32, Problem> {
        let kind = match kind {
            Kind::Counter => host::Kind::Counter,
            Kind::Gauge => host::Kind::Gauge,
            Kind::Histogram => host::Kind::Histogram,
        };
        Ok(host::define(kind, name, help, &owned(labels))?)
    }

    pub(crate) fn observe(metric: u32, labels: &[&str], value: f64) {
        host::observe(metric, &owned(labels), value);
    }

    pub(crate) use host::observe_series;

    pub(crate) fn series(metric: u32, labels: &[&str]) -> Result<u32, Problem> {
        Ok(host::series(metric, &owned(labels))?)
    }

    fn owned(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }
}

pub(crate) mod clock {
    //! `clock`.

    pub(crate) use super::wit::clock::{monotonic_ns, unix_ms};
}

pub(crate) mod random {
    //! `random`.

    pub(crate) use super::wit::random::{bytes, unsigned};
}

pub(crate) mod shared {
    //! `shared`.

    use super::{Problem, wit::shared as host};
    use crate::shared::Entry;

    pub(crate) use host::{keys, put_if, remove};

    pub(crate) fn get(key: &str) -> Option<Entry> {
        host::get(key).map(|entry| Entry {
            value: entry.value,
            version: entry.version,
        })
    }

    pub(crate) fn put(key: &str, value: &[u8], ttl_ms: u64) -> Result<(), Problem> {
        Ok(host::put(key, value, ttl_ms)?)
    }

    pub(crate) fn put_absent(key: &str, value: &[u8], ttl_ms: u64) -> Result<bool, Problem> {
        Ok(host::put_absent(key, value, ttl_ms)?)
    }

    pub(crate) fn get_blob(key: &str) -> Option<crate::Blob> {
        host::get_blob(key).map(crate::Blob)
    }

    pub(crate) fn put_blob(key: &str, value: crate::Blob, ttl_ms: u64) -> Result<(), Problem> {
        Ok(host::put_blob(key, value.0, ttl_ms)?)
    }
}

pub(crate) mod counters {
    //! `counters`.

    use super::{Problem, wit::counters as host};
    use crate::counters::Verdict;

    pub(crate) use host::Quota;

    pub(crate) fn take(key: &str, quota: &Quota, cost: u64) -> Result<Verdict, Problem> {
        Ok(host::take(key, quota, cost)?.into())
    }

    pub(crate) fn give_back(key: &str, quota: &Quota, cost: u64) -> Result<(), Problem> {
        Ok(host::give_back(key, quota, cost)?)
    }

    pub(crate) fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Problem> {
        Ok(host::add(key, delta, ttl_ms)?)
    }

    pub(crate) fn acquire(key: &str, limit: u64) -> Result<bool, Problem> {
        Ok(host::acquire(key, limit)?)
    }
}

pub(crate) mod cluster_counters {
    //! `cluster-counters`.

    use std::time::Duration;

    use super::{Problem, counters::Quota, wit::cluster_counters as host};
    use crate::counters::{Quota as Wanted, Verdict};

    impl From<host::Verdict> for Verdict {
        fn from(verdict: host::Verdict) -> Self {
            Self {
                allowed: verdict.allowed,
                remaining: verdict.remaining,
                retry_after: Duration::from_millis(verdict.retry_after_ms),
                reset_after: Duration::from_millis(verdict.reset_after_ms),
            }
        }
    }

    pub(crate) fn take(key: &str, quota: &Quota, cost: u64) -> Result<Verdict, Problem> {
        Ok(host::take(key, quota, cost)?.into())
    }

    pub(crate) fn take_all(wants: &[(&str, &Wanted, u64)]) -> Result<Vec<Verdict>, Problem> {
        let wants = wants
            .iter()
            .map(|(key, quota, cost)| ((*key).to_owned(), quota.0.clone(), *cost));
        let verdicts = host::take_all(&wants.collect::<Vec<_>>())?;
        Ok(verdicts.into_iter().map(Into::into).collect())
    }

    pub(crate) fn give_back(key: &str, quota: &Quota, cost: u64) -> Result<(), Problem> {
        Ok(host::give_back(key, quota, cost)?)
    }

    pub(crate) fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Problem> {
        Ok(host::add(key, delta, ttl_ms)?)
    }
}

pub(crate) mod http {
    //! `http-client`.

    use super::{Problem, wit::http_client as host};
    use crate::http::{Answer, Call};

    impl From<Call> for host::Call {
        fn from(call: Call) -> Self {
            Self {
                method: call.method,
                uri: call.uri,
                headers: call.headers,
                body: call.body.into(),
                timeout_ms: call.timeout_ms,
                max_body: call.max_body,
                options: Vec::new(),
            }
        }
    }

    impl From<host::Answer> for Answer {
        fn from(answer: host::Answer) -> Self {
            Self {
                status: answer.status,
                headers: answer.headers,
                body: crate::Blob(answer.body),
            }
        }
    }

    pub(crate) fn send(call: Call) -> Result<Answer, Problem> {
        Ok(host::send(call.into())?.into())
    }

    pub(crate) fn send_all(calls: Vec<Call>) -> Result<Vec<Result<Answer, Problem>>, Problem> {
        let calls = calls.into_iter().map(Into::into).collect();
        let answers = host::send_all(calls)?.into_iter();
        Ok(answers
            .map(|answer| answer.map(Into::into).map_err(Into::into))
            .collect())
    }
}

pub(crate) mod flights {
    //! `flights`.

    use super::{Problem, wit::flights as host};
    use crate::flights::Role;

    pub(crate) fn enter(key: &str, wait_ms: u32) -> Result<Role, Problem> {
        Ok(match host::enter(key, wait_ms)? {
            host::Role::Leader => Role::Leader,
            host::Role::AfterLeader => Role::AfterLeader,
            host::Role::TimedOut => Role::TimedOut,
        })
    }

    pub(crate) fn leave(key: &str) -> Result<(), Problem> {
        Ok(host::leave(key)?)
    }
}
