//! What all workers know together of one upstream: its settings, who its endpoints are now, and how they are. It refuses
//! to know connections and whose turn it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;

use super::balance::{Policy, Table};
use super::breaker::Passage;
use super::budget::Budget;
use super::care::{Care, Guard};
use super::failure::FailureKind;
use super::member::{Mark, Member};
use super::settings::{Endpoint, Settings};

/// What an exchange that failed is taken to have lasted, at least.
const FAILED: Duration = Duration::from_secs(1);

/// One upstream in this process. A reload that changes its settings makes a successor, which takes the members over.
#[derive(Debug)]
pub struct Shared {
    settings: Arc<Settings>,
    roster: ArcSwap<Roster>,
    /// Grows with every change of the roster or of a mark. Successors have the same one: an exchange that began before a
    /// reload may be what marks a member.
    version: Arc<AtomicU64>,
    watch: Watch,
    guard: Guard,
    care: Care,
    /// Successors have the same one.
    budget: Arc<Budget>,
}

/// The endpoints at one moment.
#[derive(Debug, Default)]
pub struct Roster {
    /// In the order of the settings; those of one name in the order of their addresses.
    pub seats: Vec<Seat>,
    /// Where keys are looked up; none for a policy without keys.
    pub(super) table: Option<Table>,
}

impl Roster {
    fn new(policy: Policy, seats: Vec<Seat>) -> Self {
        let named: Vec<_> = seats
            .iter()
            .map(|seat| (&**seat.member.label(), seat.weight))
            .collect();
        Self {
            table: Table::new(policy, &named),
            seats,
        }
    }
}

/// An endpoint's place in an upstream.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The endpoint.
    pub member: Arc<Member>,
    /// Its share of the exchanges, at least 1.
    pub weight: u32,
    /// Where it is.
    pub zone: Option<Arc<str>>,
}

/// Whether exchanges report to the members that they use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Nobody wants to know: an exchange costs nothing more.
    Off,
    /// Each exchange reports its beginning, its outcome and its end.
    On,
}

/// How an exchange with an endpoint went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The head of a response came.
    Answered(StatusCode),
    /// It failed, before or after the head.
    Failed(FailureKind),
    /// It was given up before there was a head; the endpoint is not to blame.
    Abandoned,
}

impl Shared {
    /// The upstream that `settings` describe. What `before`, the same upstream in the configuration before, knows of
    /// endpoints that are listed again is kept.
    #[must_use]
    pub fn new(settings: Arc<Settings>, before: Option<&Self>) -> Arc<Self> {
        let known = before.map(Self::roster);
        let seats = settings.endpoints.iter().map(|entry| Seat {
            member: member(known.as_deref(), &entry.endpoint, None),
            weight: entry.weight,
            zone: entry.zone.clone(),
        });
        let roster = Roster::new(settings.policy, seats.collect());
        let version = before.map_or_else(Arc::default, |before| Arc::clone(&before.version));
        version.fetch_add(1, Ordering::Release);
        let care = Care::new(&settings.care, before.map(Self::care));
        Arc::new(Self {
            watch: watch(&settings),
            guard: care.guards(&settings.care),
            care,
            budget: before.map_or_else(Arc::default, |before| Arc::clone(&before.budget)),
            settings,
            roster: ArcSwap::from_pointee(roster),
            version,
        })
    }

    /// What the upstream was told.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What is known of its health.
    #[must_use]
    pub fn care(&self) -> &Care {
        &self.care
    }

    /// Whether exchanges ask before they begin.
    #[must_use]
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// The retries of all workers.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The endpoints now.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        self.roster.load_full()
    }

    /// Another number after every change of the roster or of a mark.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether exchanges report.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch
    }

    /// Sets a mark on one of the members; whether it was not set before.
    pub fn mark(&self, member: &Member, mark: Mark) -> bool {
        let new = member.mark(mark);
        if new {
            self.version.fetch_add(1, Ordering::Release);
        }
        new
    }

    /// Clears a mark of one of the members; whether it was set. A member without marks begins its slow start.
    pub fn clear(&self, member: &Member, mark: Mark) -> bool {
        let was = member.clear(mark);
        if was {
            self.version.fetch_add(1, Ordering::Release);
        }
        was
    }

    /// An exchange begins to use `member`. Only called where exchanges are watched, as the two below.
    pub(super) fn begun(&self, member: &Member) {
        member.enter();
    }

    /// An exchange with `member`, which it was let through to by `passage`, went this way, `took` after it began. It may
    /// be told twice: a head came, and the body failed.
    pub(super) fn heard(&self, member: &Member, passage: Passage, outcome: Outcome, took: Duration) {
        self.care.heard(self, member, passage, outcome, took);
        // A failure is not a fast answer: it would draw more exchanges to what fails.
        match outcome {
            Outcome::Answered(_) => member.took(took, self.settings.policy),
            Outcome::Failed(kind) if kind.is_upstreams() => {
                member.took(took.max(FAILED), self.settings.policy);
            }
            Outcome::Failed(_) | Outcome::Abandoned => {}
        }
    }

    /// An exchange no longer uses `member`.
    pub(super) fn ended(&self, member: &Member) {
        member.leave();
    }
}

/// Whether something in the settings needs to hear of exchanges.
fn watch(settings: &Settings) -> Watch {
    if settings.policy.watches() || settings.care.watches_members() {
        Watch::On
    } else {
        Watch::Off
    }
}

/// The member of the roster at this endpoint and address, or a new one.
fn member(known: Option<&Roster>, endpoint: &Endpoint, address: Option<SocketAddr>) -> Arc<Member> {
    let fits =
        |member: &Member| member.endpoint() == endpoint && (address.is_none() || member.address() == address);
    let found = known.and_then(|roster| roster.seats.iter().find(|seat| fits(&seat.member)));
    match found {
        Some(seat) => Arc::clone(&seat.member),
        None => {
            let new = Member::new(endpoint.clone(), address);
            if known.is_some() {
                new.begin_slowly();
            }
            Arc::new(new)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[test]
    fn a_successor_keeps_what_is_known_of_endpoints_that_stay() {
        let before = Shared::new(Arc::new(settings(&[1, 2])), None);
        let roster = before.roster();
        assert!(before.mark(&roster.seats[1].member, Mark::Unhealthy));
        let after = Shared::new(Arc::new(settings(&[2, 3])), Some(&before));
        let marks = |seat: &Seat| seat.member.marks().count();
        let now = after.roster();
        assert_eq!(now.seats.iter().map(marks).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(now.seats[0].member.since_ns(), 0);
        assert!(now.seats[1].member.since_ns() > 0);
    }

    #[test]
    fn a_mark_that_an_old_exchange_sets_is_seen_by_the_successor() {
        let before = Shared::new(Arc::new(settings(&[1])), None);
        let after = Shared::new(Arc::new(settings(&[1])), Some(&before));
        let version = after.version();
        assert!(before.mark(&before.roster().seats[0].member, Mark::Ejected));
        assert_ne!(after.version(), version);
        assert!(!after.roster().seats[0].member.is_available());
    }
}
