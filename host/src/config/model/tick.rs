//! How often an entry's background work runs, and what it may use.
//!
//! It refuses to know what the work is, and whether the component has any.

use std::time::Duration;

/// `tick`, `tick-cpu` and `tick-timeout` of a plugin entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TickRules {
    /// `tick`: from the beginning of one call to that of the next; none where the plugin's own period holds.
    pub every: Option<Duration>,
    /// `tick-cpu`: CPU time of one call, default 100 ms.
    pub cpu: Duration,
    /// `tick-timeout`: wall time of one call, waiting included, default 10 s.
    pub timeout: Duration,
}

impl TickRules {
    /// Shortest period.
    pub const SHORTEST: Duration = Duration::from_millis(10);
    /// Longest period.
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// The period of a plugin whose own is `default_ms`, 0 for none; within the bounds. None where nothing says one.
    #[must_use]
    pub fn period(&self, default_ms: u32) -> Option<Duration> {
        let own = Some(Duration::from_millis(default_ms.into())).filter(|own| !own.is_zero());
        let period = self.every.or(own)?;
        Some(period.clamp(Self::SHORTEST, Self::LONGEST))
    }
}

impl Default for TickRules {
    fn default() -> Self {
        Self {
            every: None,
            cpu: Duration::from_millis(100),
            timeout: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_period_goes_before_the_plugins_own_which_is_kept_within_bounds() {
        let none = TickRules::default();
        assert_eq!(none.period(0), None);
        assert_eq!(none.period(1), Some(TickRules::SHORTEST));
        assert_eq!(none.period(1_500), Some(Duration::from_millis(1_500)));
        assert_eq!(none.period(u32::MAX), Some(TickRules::LONGEST));
        let every = Some(Duration::from_secs(2));
        assert_eq!(TickRules { every, ..none }.period(1_500), every);
    }
}
