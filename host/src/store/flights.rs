//! Single flight: of those that want the same work done, one does it and the others wait for it (as in Go's
//! `singleflight`). It refuses to know what the work is, and how long anybody waits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Bytes of a key.
const MAX_KEY: usize = 1 << 10;
/// Flights under way.
const MAX_FLIGHTS: usize = 65_536;

/// The flights of one entry, in all workers.
#[derive(Debug, Default)]
pub struct Flights(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_key: HashMap<String, (u64, watch::Sender<()>)>,
    next: u64,
}

/// What somebody is who entered a flight.
#[derive(Debug)]
pub enum Entered {
    /// The one that does the work, under this number.
    Leads(u64),
    /// One of those that wait.
    Follows(Flight),
}

/// A flight that somebody else leads.
#[derive(Debug)]
pub struct Flight(watch::Receiver<()>);

/// Why a flight cannot be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlightError {
    /// Its key is too long.
    #[error("a key has at most {MAX_KEY} bytes")]
    Key,
    /// There are too many.
    #[error("there are {MAX_FLIGHTS} flights already")]
    Full,
}

impl Flights {
    /// Enters the flight of `key`, and begins it if nobody leads it.
    ///
    /// # Errors
    /// When the key is too long, or there are too many flights.
    pub fn enter(&self, key: &str) -> Result<Entered, FlightError> {
        if key.len() > MAX_KEY {
            return Err(FlightError::Key);
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { by_key, next } = &mut *state;
        if let Some((_, flight)) = by_key.get(key) {
            return Ok(Entered::Follows(Flight(flight.subscribe())));
        }
        if by_key.len() >= MAX_FLIGHTS {
            return Err(FlightError::Full);
        }
        *next += 1;
        by_key.insert(key.to_owned(), (*next, watch::Sender::new(())));
        Ok(Entered::Leads(*next))
    }

    /// Ends the flight of `key`, if it is still that with this number: who waits for it goes on.
    pub fn land(&self, key: &str, number: u64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(flight) = state.by_key.entry(key.to_owned())
            && flight.get().0 == number
        {
            flight.remove();
        }
    }

    /// Flights under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_key.len()
    }

    /// Nobody leads a flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Flight {
    /// Comes back when the flight has ended, in whatever way.
    pub async fn landed(mut self) {
        // Nothing is ever sent: the sender is dropped when the flight ends.
        while self.0.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_leads_and_the_others_wait_until_it_lands() {
        let flights = Flights::default();
        let Entered::Leads(number) = flights.enter("k").unwrap() else {
            panic!("the first leads")
        };
        let Entered::Follows(second) = flights.enter("k").unwrap() else {
            panic!("the second follows")
        };
        let mut second = Box::pin(second.landed());
        let early = tokio::select! { biased; () = &mut second => true, () = std::future::ready(()) => false };
        assert!(!early, "the leader is under way");
        flights.land("k", number + 1);
        assert_eq!(flights.len(), 1, "another's number ends nothing");
        flights.land("k", number);
        second.await;
        assert!(flights.is_empty());
        assert!(matches!(flights.enter("k"), Ok(Entered::Leads(_))));
    }

    #[test]
    fn keys_and_flights_are_bounded() {
        let flights = Flights::default();
        assert_eq!(
            flights.enter(&"k".repeat(MAX_KEY + 1)).unwrap_err(),
            FlightError::Key
        );
        for n in 0..MAX_FLIGHTS {
            flights.enter(&n.to_string()).unwrap();
        }
        assert_eq!(flights.enter("one more").unwrap_err(), FlightError::Full);
    }
}
