//! The listening sockets of the gateway: opens those of listeners that are new or have moved, and knows where each
//! listener listens. It serves none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::Listener;
use crate::net::{BindError, Socket, bind, bind_beside};
use crate::telemetry::Telemetry;
use crate::telemetry::events::ListenerStarted;

/// Sockets that one worker is to serve, by the name of their listener.
pub(super) type Opened = Vec<(Arc<str>, Socket)>;

/// Where each listener listens.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    bound: BTreeMap<Arc<str>, SocketAddr>,
}

impl Sockets {
    /// Opens sockets for `workers` where `now` differs from `before`, the listeners so far. Those that are no longer
    /// needed are closed by the workers.
    ///
    /// # Errors
    /// When an address cannot be listened on; nothing has changed then.
    pub(super) fn open(
        &mut self,
        before: &[Listener],
        now: &[Listener],
        workers: usize,
    ) -> Result<Vec<Opened>, BindError> {
        let stays = |name: &str| {
            let address = |listeners: &[Listener]| {
                let named = listeners.iter().find(|listener| &*listener.name == name);
                named.map(|listener| listener.address)
            };
            address(now).is_some() && address(now) == address(before)
        };
        let mut opened: Vec<Opened> = (0..workers).map(|_| Opened::new()).collect();
        let mut fresh = BTreeMap::new();
        for listener in now.iter().filter(|listener| !stays(&listener.name)) {
            let mut bound = self.bound.iter();
            let given_up = bound.any(|(name, address)| *address == listener.address && !stays(name));
            let open = if given_up { bind_beside } else { bind };
            let (address, sockets) = open(listener.address, workers)?;
            fresh.insert(Arc::clone(&listener.name), address);
            for (worker, socket) in opened.iter_mut().zip(sockets) {
                worker.push((Arc::clone(&listener.name), socket));
            }
        }
        self.bound
            .retain(|name, _| now.iter().any(|listener| listener.name == *name));
        self.bound.extend(fresh);
        Ok(opened)
    }

    /// Every listener with its address, by name.
    #[must_use]
    pub(super) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let bound = self.bound.iter();
        bound
            .map(|(name, address)| (Arc::clone(name), *address))
            .collect()
    }

    /// Logs those whose sockets have just been opened.
    pub(super) fn announce(&self, opened: &[Opened], listeners: &[Listener], telemetry: &Telemetry) {
        for (listener, _) in opened.first().into_iter().flatten() {
            let tls = listeners.iter().any(|l| l.name == *listener && l.tls.is_some());
            if let Some(address) = self.bound.get(listener) {
                ListenerStarted {
                    listener,
                    address: *address,
                    protocol: if tls { "https" } else { "http" },
                }
                .emit(telemetry);
            }
        }
    }
}
