//! What the gateway would do with a request, without doing it: the same intake and the same route table, and why.
//! It runs no plugin, so what a router or an `on-request` would change is not in it.

use std::net::IpAddr;

use http::request;

use super::generation::Generation;
use super::intake::{Door, intake};
use crate::message::forwarded::{Peer, Scheme};
use crate::message::problem::ErrorKind;
use crate::route::{Passed, ServerName, Stand};

/// How a request is taken in and routed.
#[derive(Debug)]
pub struct Explained {
    /// Lower case, without port.
    pub host: String,
    /// Normalised.
    pub path: String,
    /// The client's address by the rules of trusted proxies.
    pub client_ip: IpAddr,
    /// The name that the client's handshake asked for; none in clear.
    pub sni: Option<String>,
    /// Why there is no route: the request was refused before, or none matches.
    pub refused: Option<ErrorKind>,
    /// The route that the table finds.
    pub matched: Option<Matched>,
    /// Every other route of the listener, by its index in the configuration, and why it was not taken; the nearest first.
    pub passed: Vec<(usize, Passed)>,
}

/// The route of a request.
#[derive(Debug)]
pub struct Matched {
    /// Its index in the configuration.
    pub route: usize,
    /// By which of its patterns.
    pub stand: Stand,
}

impl Generation {
    /// Explains a request to a listener, which is an index into the configuration's, from a client at `peer`. With TLS its
    /// handshake has asked for `sni`, or else, as clients do, for the host. None when there is no such listener.
    #[must_use]
    pub fn explain(
        &self,
        listener: usize,
        peer: IpAddr,
        sni: Option<&str>,
        request: request::Parts,
    ) -> Option<Explained> {
        let door = Door::of(self.config.listeners.get(listener)?, None);
        let routing = self.tables.get(listener)?;
        let listener = self.config.listeners.get(listener)?;
        let scheme = match listener.tls {
            None => Scheme::Http,
            Some(_) => Scheme::Https,
        };
        let taken = intake(request, &door, &Peer::new(peer, &door.trusted), scheme);
        let sni = listener.tls.as_ref().and_then(|_| {
            let name = sni.unwrap_or_else(|| taken.host()).to_ascii_lowercase();
            let is_name = ServerName::parse(&name).is_ok();
            is_name.then_some(name)
        });
        let mut explained = Explained {
            host: taken.host().to_owned(),
            path: taken.head.target.path().to_owned(),
            client_ip: taken.client_ip,
            sni,
            refused: taken.refused,
            matched: None,
            passed: Vec::new(),
        };
        if explained.refused.is_some() {
            return Some(explained);
        }
        let count = u32::try_from(routing.routes.len()).unwrap_or(u32::MAX);
        let explanation = routing
            .table
            .explain(&taken.lookup(explained.sni.as_deref()), count);
        let route = |place: u32| routing.routes.get(usize::try_from(place).ok()?).copied();
        explained.matched = explanation.found.and_then(|(place, stand)| {
            let route = route(place)?;
            Some(Matched { route, stand })
        });
        if explained.matched.is_none() {
            explained.refused = Some(ErrorKind::NoRoute);
        }
        let passed = explanation.passed.into_iter();
        explained.passed = passed
            .filter_map(|(place, passed)| Some((route(place)?, passed)))
            .collect();
        Some(explained)
    }
}
