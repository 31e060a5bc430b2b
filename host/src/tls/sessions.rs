//! What is kept for clients that come back: keys of tickets, and sessions of TLS 1.2, per listener and for the whole
//! process, so that any worker and any later configuration can continue a session. It refuses to keep them once other
//! clients are let in than before.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use rustls::crypto::ring::Ticketer;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

use super::server::{Acceptor, Resumption, Server};

/// Sessions of clients without tickets (RFC 5077) that a listener keeps.
const KEPT: usize = 1024;

/// Sessions of all listeners.
#[derive(Default)]
pub struct Sessions {
    kept: Mutex<HashMap<Box<str>, Kept>>,
}

#[derive(Clone)]
struct Kept {
    admission: [u8; 32],
    tickets: Arc<dyn ProducesTickets>,
    cache: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    /// TLS of this listener, with the sessions of its clients so far. Keys of tickets change every six hours and are
    /// taken for twelve.
    #[must_use]
    pub fn acceptor(&self, listener: &str, server: &Server) -> Acceptor {
        let mut config = server.config.clone();
        if server.resumption == Resumption::On
            && let Some(kept) = self.of(listener, server)
        {
            config.ticketer = kept.tickets;
            config.session_storage = kept.cache;
        }
        Acceptor::new(config, server)
    }

    /// Forgets listeners that are no more.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|name, _| keep(name));
    }

    fn of(&self, listener: &str, server: &Server) -> Option<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get(listener)
            && kept.admission == *server.admission()
        {
            return Some(kept.clone());
        }
        let tickets = Ticketer::new().map_err(
            |error| tracing::error!(listener, %error, "no keys for tickets: sessions are not resumed"),
        );
        let fresh = Kept {
            admission: *server.admission(),
            tickets: tickets.ok()?,
            cache: ServerSessionMemoryCache::new(KEPT),
        };
        kept.insert(listener.into(), fresh.clone());
        Some(fresh)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Trust;
    use super::super::identity::tests::{identity, pem_for};
    use super::super::server::{ClientAuth, MinVersion, ServerSettings, UnknownName};
    use super::*;

    fn server(client_auth: ClientAuth, resumption: Resumption) -> Server {
        Server::new(&ServerSettings {
            identities: vec![identity(&["a.example"])],
            unknown: UnknownName::First,
            min_version: MinVersion::Tls12,
            client_auth,
            resumption,
            protocols: Vec::new(),
        })
        .unwrap()
    }

    #[test]
    fn sessions_outlive_a_reload_but_not_a_change_of_who_is_let_in() {
        let sessions = Sessions::default();
        let tickets = |listener: &str, server: &Server| {
            let acceptor = sessions.acceptor(listener, server);
            Arc::clone(&acceptor.config().ticketer)
        };
        let (open, renewed) = (
            server(ClientAuth::Off, Resumption::On),
            server(ClientAuth::Off, Resumption::On),
        );
        let first = tickets("a", &open);
        assert!(first.enabled());
        assert!(Arc::ptr_eq(&first, &tickets("a", &renewed)));
        assert!(!Arc::ptr_eq(&first, &tickets("b", &renewed)));
        let (authority, _) = pem_for(&["ca.example"], [2020, 2060]);
        let trust = Trust::from_pem(&authority).unwrap();
        let closed = server(ClientAuth::Required(trust.clone()), Resumption::On);
        assert!(!Arc::ptr_eq(&first, &tickets("a", &closed)));
        assert_ne!(open.admission(), closed.admission());
        assert_ne!(
            closed.admission(),
            server(ClientAuth::Optional(trust), Resumption::On).admission()
        );
        let before = tickets("b", &open);
        sessions.retain(|name| name == "a");
        assert!(!Arc::ptr_eq(&before, &tickets("b", &open)));
        assert!(!tickets("a", &server(ClientAuth::Off, Resumption::Off)).enabled());
    }
}
