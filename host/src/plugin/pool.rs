//! Instances of one unit on one worker: last in, first out, so that the warm one is used. Without waiting
//! imports a call never lets go of the worker, so one instance is enough; when it is lost to a fault, or
//! guests wait on fibers, the warmer makes more, one after the other, and whoever needs one waits its turn. Those that nobody
//! needed for a while are given up again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{Fault, Hook, Instance, Unit, Warmer};
use crate::abi::Outside;
use crate::telemetry::PluginStats;

/// Exchanges that may wait for an instance.
const MAX_WAITING: usize = 1_024;

/// Instances that are given up at once, each of which takes some ten microseconds.
const MAX_GIVEN_UP: usize = 32;

/// Why no instance could be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unready {
    /// Too many wait already.
    #[error("too many exchanges wait for an instance")]
    Overloaded,
    /// None came in time.
    #[error("no instance was ready in time")]
    Late,
    /// The last attempt to make one failed.
    #[error("no instance can be made: {0}")]
    Failed(Fault),
}

/// The pool of one worker for one unit.
#[derive(Debug)]
pub struct Pool {
    unit: Arc<Unit>,
    warmer: Warmer,
    outside: Option<Rc<dyn Outside>>,
    idle: RefCell<VecDeque<Box<Instance>>>,
    /// The fewest that were idle since the last sweep.
    least_idle: Cell<usize>,
    waiting: Cell<usize>,
    asked: Cell<bool>,
    live: Cell<usize>,
    failed: RefCell<Option<Fault>>,
    stats: Arc<PluginStats>,
    ready: Notify,
    /// Places of exchanges that hold an instance while their body streams.
    places: Arc<Semaphore>,
}

impl Pool {
    /// A pool that starts with `first`, or makes its first instance when it is needed.
    #[must_use]
    pub fn new(
        unit: Arc<Unit>,
        warmer: Warmer,
        outside: Option<Rc<dyn Outside>>,
        first: Option<Box<Instance>>,
        stats: Arc<PluginStats>,
    ) -> Rc<Self> {
        if first.is_some() {
            stats.instance_created();
        }
        let places = usize::try_from(unit.budget().max_leases).unwrap_or(Semaphore::MAX_PERMITS);
        Rc::new(Self {
            places: Arc::new(Semaphore::new(places)),
            unit,
            warmer,
            outside,
            live: Cell::new(usize::from(first.is_some())),
            idle: RefCell::new(first.into_iter().collect()),
            least_idle: Cell::new(0),
            waiting: Cell::new(0),
            asked: Cell::new(false),
            failed: RefCell::new(None),
            stats,
            ready: Notify::new(),
        })
    }

    /// Who does what the guests' imports wait for.
    #[must_use]
    pub fn outside(&self) -> Option<&Rc<dyn Outside>> {
        self.outside.as_ref()
    }

    /// The unit it serves.
    #[must_use]
    pub fn unit(&self) -> &Arc<Unit> {
        &self.unit
    }

    /// An instance, at once if one is idle.
    ///
    /// # Errors
    /// When none can be had before `deadline`.
    #[inline]
    pub async fn lease(self: &Rc<Self>, deadline: impl FnOnce() -> Instant) -> Result<Lease, Unready> {
        // A statement of its own: the borrow must end before the wait begins.
        let idle = self.pop();
        match idle {
            Some(instance) => Ok(Lease {
                instance: Some(instance),
                pool: Rc::clone(self),
                place: None,
            }),
            None => Box::pin(self.wait(deadline())).await,
        }
    }

    #[inline]
    fn pop(&self) -> Option<Box<Instance>> {
        let mut idle = self.idle.borrow_mut();
        let instance = idle.pop_back();
        self.least_idle.set(self.least_idle.get().min(idle.len()));
        instance
    }

    /// Gives up instances that nobody needed since the last sweep, all but one, and marks those that are too old. The worker
    /// calls it about once a second.
    pub fn sweep(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        let spare = self.least_idle.get().min(idle.len()).saturating_sub(1);
        let given_up: Vec<_> = idle.drain(..spare.min(MAX_GIVEN_UP)).collect();
        for instance in idle.iter_mut() {
            instance.grow_old(now, self.unit.budget().max_age);
        }
        self.least_idle.set(idle.len());
        drop(idle);
        self.live.set(self.live.get().saturating_sub(given_up.len()));
        given_up.iter().for_each(|_| self.stats.instance_ended());
    }

    /// An instance that may be held while a body streams, when one of the entry's `max-leases` places is free.
    ///
    /// # Errors
    /// When none can be had before `deadline`.
    pub async fn hold(self: &Rc<Self>, deadline: Instant) -> Result<Lease, Unready> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) if self.waiting.get() >= MAX_WAITING => return Err(Unready::Overloaded),
            Err(_) => {
                let _waiting = Waiting::enter(&self.waiting);
                let place = Arc::clone(&self.places).acquire_owned();
                match tokio::time::timeout_at(deadline, place).await {
                    Ok(Ok(place)) => place,
                    Ok(Err(_)) | Err(_) => return Err(Unready::Late),
                }
            }
        };
        let mut lease = self.lease(|| deadline).await?;
        lease.place = Some(place);
        Ok(lease)
    }

    async fn wait(self: &Rc<Self>, deadline: Instant) -> Result<Lease, Unready> {
        if self.waiting.get() >= MAX_WAITING {
            return Err(Unready::Overloaded);
        }
        let _waiting = Waiting::enter(&self.waiting);
        loop {
            if let Some(instance) = self.pop() {
                return Ok(Lease {
                    instance: Some(instance),
                    pool: Rc::clone(self),
                    place: None,
                });
            }
            let notified = self.ready.notified();
            self.ask();
            if tokio::time::timeout_at(deadline, notified).await.is_err() {
                return Err(Unready::Late);
            }
            if let Some(fault) = self.failed.borrow_mut().take() {
                return Err(Unready::Failed(fault));
            }
        }
    }

    /// Instances that may live at once: those that filters hold take none from other calls.
    fn most(&self) -> usize {
        let budget = self.unit.budget();
        let held = if self.unit.has(Hook::BodyFilter) {
            budget.max_leases
        } else {
            0
        };
        budget
            .max_instances
            .saturating_add(usize::try_from(held).unwrap_or(usize::MAX))
    }

    /// Asks the warmer for one more, unless that is under way or there are as many as may be.
    fn ask(self: &Rc<Self>) {
        if self.asked.get() || self.live.get() >= self.most() {
            return;
        }
        let Some(made) = self.warmer.request(&self.unit) else {
            return;
        };
        self.asked.set(true);
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let made = made.await;
            pool.asked.set(false);
            let more = matches!(made, Ok(Ok(_)));
            match made {
                Ok(Ok(instance)) => {
                    pool.live.set(pool.live.get() + 1);
                    pool.stats.instance_created();
                    pool.idle.borrow_mut().push_back(instance);
                }
                // Where others live, it may be that there is no room for one more: they serve on.
                Ok(Err(_)) if pool.live.get() > 0 => {}
                Ok(Err(fault)) => *pool.failed.borrow_mut() = Some(fault),
                Err(_) => {}
            }
            pool.ready.notify_one();
            // Of those that wait one has been told.
            if more && pool.waiting.get() > 1 {
                pool.ask();
            }
        });
    }

    fn give_back(self: &Rc<Self>, instance: Box<Instance>) {
        let worn = instance.is_worn(self.unit.budget());
        let spare = self.idle.borrow().len();
        if !instance.is_usable() || (worn && spare > 0) {
            self.live.set(self.live.get().saturating_sub(1));
            self.stats.instance_ended();
            drop(instance);
            // The next exchange should find one.
            if spare == 0 {
                self.ask();
            }
            return;
        }
        if worn {
            // Replaced before it is retired: it serves on until the new one is here.
            self.ask();
        }
        let mut idle = self.idle.borrow_mut();
        if worn {
            idle.push_front(instance);
        } else {
            idle.push_back(instance);
        }
        drop(idle);
        if self.waiting.get() > 0 {
            self.ready.notify_one();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        (0..self.live.get()).for_each(|_| self.stats.instance_ended());
    }
}

/// Counts an exchange that waits, also when it is abandoned.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn enter(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// An instance on loan; it goes back to its pool when dropped, unless it died.
#[derive(Debug)]
pub struct Lease {
    instance: Option<Box<Instance>>,
    pool: Rc<Pool>,
    /// Free again when the instance is back.
    place: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// The exchange keeps the instance for long: others need another.
    pub fn keep(&self) {
        if self.pool.idle.borrow().is_empty() {
            self.pool.ask();
        }
    }

    /// The pool that it goes back to.
    #[must_use]
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// The instance.
    #[expect(clippy::expect_used, reason = "taken only by drop")]
    pub fn instance(&mut self) -> &mut Instance {
        self.instance
            .as_mut()
            .expect("a lease holds its instance until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.pool.give_back(instance);
        }
    }
}
