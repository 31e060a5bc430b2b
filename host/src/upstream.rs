//! An HTTP/1.1 client for the hot path, and one for HTTP/2 beside it: one [`Cluster`] per worker thread and upstream, with
//! its own pool of connections. It refuses to know plugins, routes, the configuration file and other threads, but for what
//! [`Shared`] tells of an upstream's endpoints.
//!
//! Request and response of an exchange are one state machine that runs inside the caller's task: no channel, no
//! spawned task. A connection owns one buffer in and one out, which are reused as long as it lives; the values of
//! response fields are slices of the buffer in, so a field that is kept for long keeps up to 8 KiB alive: copy
//! what is stored.

mod balance;
mod body;
mod breaker;
mod budget;
mod care;
mod cluster;
mod connect;
mod connection;
mod discovery;
mod exchange;
mod failure;
mod health;
mod http2;
mod limits;
mod lineup;
mod member;
mod outlier;
mod picker;
mod pool;
mod reply;
mod request;
mod response;
mod settings;
mod shared;
mod stream;
mod timer;
mod upgraded;
mod upload;

pub use balance::{Policy, SlowStart, hash, mix};
pub use body::ResponseBody;
pub use breaker::{
    Breaker, BreakerRules, BreakerState, Cause, Passage, Pauses, Refused, Transition, Verdict,
};
pub use budget::{Budget, BudgetRule};
pub use care::{BreakerPlan, Care, CareRules, Guard, PROBES_AT_ONCE, Scope, Ward, look_after};
pub use cluster::{Cluster, Until};
pub use discovery::{Dns, DnsError, DnsSettings, Family, Lookup, Place, follow, names};
pub use failure::{BodyLength, BoxError, Failure, FailureKind, RetrySafety};
pub use health::{Change, Checked, GrpcProbe, HealthRules, HttpProbe, Probe, Standing, Thresholds};
pub use http2::Http2Body;
pub use limits::{InUse, Limit, LimitRules, Limits, Permit};
pub use lineup::{Aim, Tried};
pub use member::{Mark, Member};
pub use outlier::{Judgement, OutlierRules, Record, Sign};
pub use picker::{Candidate, Picked, Picker};
pub use pool::EndpointStats;
pub use reply::Reply;
pub use request::RequestHead;
pub use settings::{Endpoint, Entry, Labels, Protocol, Settings, Source};
pub use shared::{Outcome, Roster, Seat, Shared, Watch};
pub use upgraded::Upgraded;

#[cfg(test)]
mod tests;
