//! The rounds of an upstream: checks its endpoints' health, and ends what ends by itself, ejections and open breakers. One
//! task per upstream for the whole process, on the control thread. It refuses to know workers.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::health::probe::{Prober, Why};
use super::super::health::{Change, Checked, HealthRules, Standing};
use super::super::member::{Mark, Member};
use super::super::shared::{Roster, Shared};
use super::{Judged, clock_ms};
use crate::ids;
use crate::telemetry::events::{EndpointLost, EndpointRecovered, EndpointReturned};

/// Health checks of the whole process that may be under way at once.
pub const PROBES_AT_ONCE: usize = 64;

/// The longest time until a change of the endpoints is noticed.
const LOOK: Duration = Duration::from_secs(1);

/// Looks after an upstream for ever; none if nothing in it needs that. `probes` bounds the checks under way.
pub fn look_after(
    shared: &Arc<Shared>,
    probes: &Rc<Semaphore>,
) -> Option<impl Future<Output = ()> + 'static> {
    let needed = shared.care().judged == Judged::Maybe;
    needed.then(|| rounds(Arc::clone(shared), Rc::clone(probes)))
}

async fn rounds(shared: Arc<Shared>, probes: Rc<Semaphore>) {
    let mut checks = Checks {
        tasks: JoinSet::new(),
        members: HashMap::new(),
    };
    let stirred = Arc::clone(&shared.care().stirred);
    loop {
        let roster = shared.roster();
        if let Some(rules) = &shared.settings().care.health {
            checks.follow(&shared, &roster, rules, &probes);
        }
        let next = shared.end_what_is_over(&roster);
        drop(roster);
        tokio::select! {
            () = stirred.notified() => {}
            () = sleep(next.min(LOOK)) => {}
        }
    }
}

/// The tasks that check the members' health, one for each. They end with it.
struct Checks {
    tasks: JoinSet<()>,
    /// By the member's address in memory: as long as the task runs, it keeps the member alive.
    members: HashMap<usize, AbortHandle>,
}

impl Checks {
    /// Begins the checks of members that came, and ends those of members that went.
    fn follow(&mut self, shared: &Arc<Shared>, roster: &Roster, rules: &HealthRules, probes: &Rc<Semaphore>) {
        let key = |member: &Arc<Member>| Arc::as_ptr(member).addr();
        let here = |at: usize| roster.seats.iter().any(|seat| key(&seat.member) == at);
        self.members.retain(|at, task| {
            let stays = here(*at);
            if !stays {
                task.abort();
            }
            stays
        });
        while self.tasks.try_join_next().is_some() {}
        for seat in &roster.seats {
            let tasks = &mut self.tasks;
            self.members.entry(key(&seat.member)).or_insert_with(|| {
                let check = Check {
                    shared: Arc::clone(shared),
                    member: Arc::clone(&seat.member),
                    prober: Prober::new(shared.settings(), &seat.member, rules),
                    rules: rules.clone(),
                };
                tasks.spawn_local(check.go_on(Rc::clone(probes)))
            });
        }
    }
}

/// The checks of one member.
struct Check {
    shared: Arc<Shared>,
    member: Arc<Member>,
    prober: Prober,
    rules: HealthRules,
}

impl Check {
    async fn go_on(self, probes: Rc<Semaphore>) {
        // What an earlier configuration found out stays until the first check.
        sleep(self.rules.first_pause(ids::new_span_id())).await;
        loop {
            let result = {
                // The semaphore is never closed.
                let _one = probes.acquire().await;
                self.prober.probe().await
            };
            self.judge(result);
            sleep(self.rules.pause(ids::new_span_id())).await;
        }
    }

    fn judge(&self, result: Result<(), Why>) {
        let checked = match result {
            Ok(()) => Checked::Passed,
            Err(_) => Checked::Failed,
        };
        let (before, change) = self.member.ward().checked(checked, &self.rules.thresholds);
        let (upstream, endpoint) = (&*self.shared.settings().name, &**self.member.label());
        match (change, result) {
            (Some(Change::Lost), Err(why)) => {
                self.shared.mark(&self.member, Mark::Unhealthy);
                let reason = why.to_string();
                EndpointLost {
                    upstream,
                    endpoint,
                    reason: &reason,
                }
                .emit();
            }
            (Some(Change::Recovered), _) => {
                self.shared.clear(&self.member, Mark::Unhealthy);
                if before != Standing::Unknown {
                    EndpointRecovered { upstream, endpoint }.emit();
                }
            }
            (_, Err(why)) => {
                tracing::debug!(upstream, endpoint, %why, "a health check failed");
            }
            _ => {}
        }
    }
}

impl Shared {
    /// Ends ejections and open breakers whose time is over; gives the time until the next.
    fn end_what_is_over(&self, roster: &Roster) -> Duration {
        let now = clock_ms();
        let mut next = Duration::MAX;
        for seat in &roster.seats {
            let member = &*seat.member;
            for mark in member.marks() {
                let left = match mark {
                    Mark::Unhealthy if self.settings().care.health.is_some() => continue,
                    Mark::Unhealthy => {
                        member.ward().forget_checks();
                        None
                    }
                    Mark::Ejected => self.ejection_left(member, now),
                    Mark::Open => self.opening_left(member, now),
                };
                match left {
                    Some(left) => next = next.min(left),
                    None => {
                        self.clear(member, mark);
                    }
                }
            }
        }
        next
    }

    fn ejection_left(&self, member: &Member, now_ms: u64) -> Option<Duration> {
        let record = &member.ward().record;
        let left = record.until_ms().saturating_sub(now_ms);
        if left > 0 && self.settings().care.outlier.is_some() {
            return Some(Duration::from_millis(left));
        }
        record.come_back();
        EndpointReturned {
            upstream: &self.settings().name,
            endpoint: member.label(),
        }
        .emit();
        None
    }

    fn opening_left(&self, member: &Member, now_ms: u64) -> Option<Duration> {
        let plan = self.settings().care.endpoint_breaker()?;
        let refused = member.ward().breaker.ask(&plan.rules, || now_ms).err()?;
        Some(refused.retry_after)
    }
}
