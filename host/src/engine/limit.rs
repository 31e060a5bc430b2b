//! What one instance may use: linear memory and tables (checked when they grow) and CPU time (looked at
//! when an epoch ends, so that an innocent plugin beside a busy core does not fail by the clock).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
use tokio::time::Instant;
use wasmtime::ResourceLimiter;

use super::TICK;

/// Table elements that one instance may hold in all (Python 3.14 needs 5,738).
const MAX_TABLE: usize = 40_000;

/// A budget that a guest used up. It is the source of the error that ends the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// CPU time of one hook.
    #[error("used more than its CPU time of {0:?}")]
    Cpu(Duration),
    /// Wall time of one hook.
    #[error("ran longer than its timeout of {0:?}")]
    Wall(Duration),
    /// Linear memory.
    #[error("asked for {asked} bytes of memory; max-memory is {limit}")]
    Memory {
        /// Size that the memory would have had.
        asked: u64,
        /// The entry's `max-memory`.
        limit: u64,
    },
    /// Table elements.
    #[error("asked for a table of {0} elements; at most {MAX_TABLE} are given")]
    Table(usize),
}

/// Bounds the memory of one store and remembers its peak.
#[derive(Debug)]
pub struct MemoryMeter {
    limit: u64,
    used: u64,
}

impl MemoryMeter {
    /// `limit` bytes for all memories of the store together.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    /// Bytes of linear memory in use (memories never shrink).
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.used + desired.saturating_sub(current) as u64;
        if asked > self.limit {
            // An error ends the guest at once with this text; `false` would let it limp on to an abort.
            return Err(OverBudget::Memory {
                asked,
                limit: self.limit,
            }
            .into());
        }
        self.used = asked;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > MAX_TABLE {
            Err(OverBudget::Table(desired).into())
        } else {
            Ok(true)
        }
    }
}

/// Watches the time of one call. Nothing is read before the first epoch has passed, so a short call pays
/// nothing; in exchange a budget is exact to one tick.
#[derive(Debug)]
pub struct CpuMeter {
    cpu: Duration,
    wall: Duration,
    /// CPU time of the call up to `mark`.
    used: Duration,
    /// The thread's CPU time when it was looked at last.
    mark: Option<Duration>,
    began: Option<Instant>,
    /// The thread's CPU time when the guest went on after it had given the thread away.
    back: Back,
}

/// Where it is noted that a guest goes on: nanoseconds of its thread's CPU time, 0 = it did not give the thread away.
#[derive(Debug, Clone, Default)]
pub struct Back(Arc<AtomicU64>);

impl Back {
    /// The guest goes on now, on this thread.
    pub fn note(&self) {
        let nanos = u64::try_from(thread_cpu_time().as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos.max(1), Ordering::Relaxed);
    }
}

impl CpuMeter {
    /// A meter that allows `cpu` of CPU time and `wall` of time per call.
    #[must_use]
    pub fn new(cpu: Duration, wall: Duration) -> Self {
        Self {
            cpu,
            wall,
            used: Duration::ZERO,
            mark: None,
            began: None,
            back: Back::default(),
        }
    }

    /// The CPU time that a call may use.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.cpu
    }

    /// The time that a call may take.
    #[must_use]
    pub fn wall(&self) -> Duration {
        self.wall
    }

    /// Begins a new call.
    pub fn start(&mut self) {
        self.used = Duration::ZERO;
        self.mark = None;
        self.began = None;
        if self.back.0.load(Ordering::Relaxed) != 0 {
            self.back.0.store(0, Ordering::Relaxed);
        }
    }

    /// The guest is about to wait, and others use the thread.
    pub fn pause(&mut self) {
        if let Some(since) = self.since() {
            self.used += thread_cpu_time().saturating_sub(since);
        }
        self.mark = None;
    }

    /// The thread's CPU time since when the guest has run without a look at it.
    fn since(&mut self) -> Option<Duration> {
        match self.back.0.swap(0, Ordering::Relaxed) {
            0 => self.mark,
            back => Some(Duration::from_nanos(back)),
        }
    }

    /// The guest goes on, on this thread.
    pub fn resume(&mut self) {
        self.mark = Some(thread_cpu_time());
    }

    /// Where to note that the guest goes on after it gave the thread away in a look at its time.
    #[must_use]
    pub fn back(&self) -> Back {
        self.back.clone()
    }

    /// Called when an epoch ends within the call.
    ///
    /// # Errors
    /// When one of the budgets is used up.
    pub fn check(&mut self) -> Result<(), OverBudget> {
        let (cpu, now) = (thread_cpu_time(), Instant::now());
        let since = self.since().unwrap_or(cpu);
        self.used += cpu.saturating_sub(since);
        self.mark = Some(cpu);
        let began = *self.began.get_or_insert(now);
        // The first look comes up to one tick after the call began.
        if self.used + TICK > self.cpu {
            return Err(OverBudget::Cpu(self.cpu));
        }
        if now.duration_since(began) + TICK > self.wall {
            return Err(OverBudget::Wall(self.wall));
        }
        Ok(())
    }
}

/// CPU time that the calling thread has used.
fn thread_cpu_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(tv_sec).unwrap_or(0),
        u32::try_from(tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories_and_capped() {
        let mut meter = MemoryMeter::new(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert_eq!(meter.used(), 100);
        let error = meter.memory_growing(60, 61, None).unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&OverBudget::Memory {
                asked: 101,
                limit: 100
            })
        );
    }

    #[test]
    fn a_thread_that_sleeps_uses_no_cpu_budget_but_its_wall_time() {
        let mut meter = CpuMeter::new(Duration::from_millis(20), Duration::from_secs(3600));
        meter.start();
        assert_eq!(meter.check(), Ok(()));
        let start = thread_cpu_time();
        let mut n = 0_u64;
        while thread_cpu_time() - start < Duration::from_millis(25) {
            n = std::hint::black_box(n + 1);
        }
        assert_eq!(meter.check(), Err(OverBudget::Cpu(Duration::from_millis(20))));
        meter.start();
        assert_eq!(meter.check(), Ok(()), "a new call has the whole budget");
    }

    #[test]
    fn what_others_use_while_a_guest_waits_is_not_its_own() {
        let mut meter = CpuMeter::new(Duration::from_millis(20), Duration::from_secs(3600));
        let burn = || {
            let start = thread_cpu_time();
            while thread_cpu_time() - start < Duration::from_millis(15) {
                std::hint::spin_loop();
            }
        };
        meter.start();
        assert_eq!(meter.check(), Ok(()));
        meter.pause();
        burn();
        meter.resume();
        assert_eq!(meter.check(), Ok(()), "it waited");
        burn();
        meter.back().note();
        assert_eq!(meter.check(), Ok(()), "it gave the thread away");
        burn();
        meter.pause();
        burn();
        meter.resume();
        burn();
        assert_eq!(
            meter.check(),
            Err(OverBudget::Cpu(Duration::from_millis(20))),
            "its own time adds up over its waits"
        );
        meter.start();
        meter.back().note();
        meter.pause();
        burn();
        burn();
        meter.resume();
        assert_eq!(meter.check(), Ok(()), "it gave the thread away, then waited");
    }
}
