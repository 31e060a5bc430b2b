//! Interface `flights`: one exchange does what others wait for.

use std::sync::Arc;
use std::time::Duration;

use super::imports::flights::{Host, Role};
use super::imports::types::Problem;
use super::{Fallible, HostState};
use crate::exchange::{Held, Release};
use crate::store::EntryStore;
use crate::store::flights::Entered;

/// Flights and places that one exchange may hold.
const MAX_HELD: usize = 32;

impl Host for HostState {
    async fn enter(&mut self, key: String, wait_ms: u32) -> Fallible<Role> {
        let (store, stage) = (Arc::clone(&self.entry.store), self.stage);
        let Some(x) = self.exchange.as_deref_mut() else {
            return Ok(Err(Problem::WrongPhase));
        };
        let held = &mut x.held;
        if held.len() >= MAX_HELD {
            return Ok(Err(Problem::Limit(format!(
                "an exchange leads at most {MAX_HELD} flights"
            ))));
        }
        let flight = match store.flights.enter(&key) {
            Ok(Entered::Leads(number)) => {
                held.push(Held {
                    stage,
                    key: Some(key.clone()),
                    release: Box::new(Led { store, key, number }),
                });
                return Ok(Ok(Role::Leader));
            }
            Ok(Entered::Follows(flight)) => flight,
            Err(error) => return Ok(Err(Problem::Limit(error.to_string()))),
        };
        let landed = tokio::time::timeout(Duration::from_millis(wait_ms.into()), flight.landed());
        Ok(match self.wait(landed).await {
            Ok(Ok(())) => Ok(Role::AfterLeader),
            Ok(Err(_)) | Err(Problem::Timeout) => Ok(Role::TimedOut),
            Err(problem) => Err(problem),
        })
    }

    async fn leave(&mut self, key: String) -> Fallible<()> {
        let stage = self.stage;
        let Some(x) = self.exchange.as_deref_mut() else {
            return Ok(Err(Problem::WrongPhase));
        };
        x.let_land(stage, Some(&key));
        Ok(Ok(()))
    }
}

/// A flight that an exchange leads.
#[derive(Debug)]
struct Led {
    store: Arc<EntryStore>,
    key: String,
    number: u64,
}

impl Release for Led {
    fn release(&mut self) {
        self.store.flights.land(&self.key, self.number);
    }
}
