//! Plugins: from a file and an entry of the configuration to instances that hooks can be called in.
//! Loading, the pool of each worker, the warmer that fills pools off the request path, and what happens
//! after a fault. It knows the contract through `abi`, but no pipeline and no route.

mod health;
mod hook;
mod instance;
mod load;
mod pool;
mod registry;
mod remote;
mod tick;
mod unit;
mod warm;
mod watch;

pub use self::health::{Admission, Health};
pub use self::hook::{Fault, FaultKind, Hook};
pub use self::instance::{At, Called, Instance};
pub use self::load::{Compiled, LoadError, Loader, Summary};
pub use self::pool::{Lease, Pool, Unready};
pub use self::registry::{Registry, Slot};
pub use self::tick::{LastTick, TickLog, Ticker};
pub use self::unit::Unit;
pub use self::warm::Warmer;
pub use self::watch::{Watch, WatchError};
