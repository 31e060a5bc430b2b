//! What all workers know together of one upstream: its settings, who its endpoints are now, and how they are. It refuses
//! to know connections and whose turn it is.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;

use super::balance::{Policy, Table};
use super::breaker::Passage;
use super::budget::Budget;
use super::care::{Care, Guard};
use super::discovery::{Lookup, Lookups, Place};
use super::failure::FailureKind;
use super::member::{Mark, Member};
use super::settings::{Endpoint, Entry, Labels, Settings, Source};

/// The heaviest seat: of SRV records, whose weights are multiplied.
const MAX_WEIGHT: u32 = 1_000_000;
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
    /// What the names among the endpoints stand for, in the order of the settings; empty = nothing is known.
    answers: Mutex<Vec<Vec<Place>>>,
    /// Successors have the same ones.
    lookups: Arc<Lookups>,
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
    /// What else is said of it.
    pub labels: Labels,
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
        let answer = |entry: &Entry| {
            before
                .and_then(|before| before.answer(&entry.source))
                .unwrap_or_default()
        };
        let answers: Vec<_> = settings.endpoints.iter().map(answer).collect();
        let arrival = if known.is_some() {
            Arrival::Later
        } else {
            Arrival::First
        };
        let seats = seats(&settings, &answers, known.as_deref(), arrival);
        let roster = Roster::new(settings.policy, seats);
        let version = before.map_or_else(Arc::default, |before| Arc::clone(&before.version));
        version.fetch_add(1, Ordering::Release);
        let care = Care::new(&settings.care, before.map(Self::care));
        Arc::new(Self {
            watch: watch(&settings),
            guard: care.guards(&settings.care),
            care,
            budget: before.map_or_else(Arc::default, |before| Arc::clone(&before.budget)),
            settings,
            answers: Mutex::new(answers),
            lookups: before.map_or_else(Arc::default, |before| Arc::clone(&before.lookups)),
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

    /// The name at `index` of the settings stands for these places now.
    pub(super) fn found(&self, index: usize, places: Vec<Place>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = answers.get_mut(index) else {
            return;
        };
        if *known == places {
            return;
        }
        let arrival = if known.is_empty() {
            Arrival::First
        } else {
            Arrival::Later
        };
        *known = places;
        let seats = seats(&self.settings, &answers, Some(&self.roster()), arrival);
        self.roster
            .store(Arc::new(Roster::new(self.settings.policy, seats)));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A lookup of one of the names ended so.
    pub(super) fn count_lookup(&self, lookup: Lookup) {
        self.lookups.of(lookup).fetch_add(1, Ordering::Relaxed);
    }

    /// How many lookups of its names ended so.
    #[must_use]
    pub fn lookups(&self, lookup: Lookup) -> u64 {
        self.lookups.of(lookup).load(Ordering::Relaxed)
    }

    /// What is known of an endpoint that is listed so.
    fn answer(&self, source: &Source) -> Option<Vec<Place>> {
        let index = self
            .settings
            .endpoints
            .iter()
            .position(|entry| entry.source == *source)?;
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(index).cloned()
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

/// When an endpoint that is not known came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// With the first that are known of their list.
    First,
    /// When there were others.
    Later,
}

/// The seats of the endpoints that are listed. A name that nothing is known of has one seat, and is resolved at every
/// connect; of SRV records that nothing is known of there is none. An address that several stand for has one seat.
fn seats(settings: &Settings, answers: &[Vec<Place>], known: Option<&Roster>, arrival: Arrival) -> Vec<Seat> {
    let mut seats = Vec::new();
    let mut taken: HashSet<String> = settings
        .endpoints
        .iter()
        .map(|entry| entry.source.to_string())
        .collect();
    for (entry, places) in settings.endpoints.iter().zip(answers) {
        let mut add = |endpoint: &Endpoint, address: Option<SocketAddr>, weight: u32| {
            seats.push(Seat {
                member: member(known, endpoint, address, arrival),
                weight: entry.weight.saturating_mul(weight).clamp(1, MAX_WEIGHT),
                zone: entry.zone.clone(),
                labels: Arc::clone(&entry.labels),
            });
        };
        match &entry.source {
            Source::Address(endpoint) if places.is_empty() => add(endpoint, None, 1),
            _ => {
                let new = |place: &&Place| taken.insert(place.address.to_string());
                for place in places.iter().filter(new) {
                    add(&place.endpoint, Some(place.address), place.weight);
                }
            }
        }
    }
    seats
}

/// The member of the roster at this endpoint and address, or a new one.
fn member(
    known: Option<&Roster>,
    endpoint: &Endpoint,
    address: Option<SocketAddr>,
    arrival: Arrival,
) -> Arc<Member> {
    let new = Member::new(endpoint.clone(), address);
    let same = |member: &Member| member.endpoint() == endpoint && member.address() == new.address();
    let found = known.and_then(|roster| roster.seats.iter().find(|seat| same(&seat.member)));
    match found {
        Some(seat) => Arc::clone(&seat.member),
        None => {
            if arrival == Arrival::Later {
                new.begin_slowly();
            }
            Arc::new(new)
        }
    }
}

#[cfg(test)]
mod tests;
