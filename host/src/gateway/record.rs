//! What a worker writes down of a request that is over: its access line, and all there is to say of what was never a
//! request. It refuses to know how either came about.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::worker::Worker;
use crate::exchange::{Exchange, to_text};
use crate::ids::RequestId;
use crate::net::Unparsed;
use crate::telemetry::stats::End;
use crate::telemetry::{AccessRecord, Finished};

impl Worker {
    /// Writes an access line.
    pub(super) fn log_access(
        &self,
        x: &Exchange,
        status: u16,
        bytes_in: u64,
        bytes_out: u64,
        took: Duration,
        complete: bool,
    ) {
        let mut access = self.access.borrow_mut();
        let Some(lines) = access.as_mut() else { return };
        let attributes: Vec<(&str, &str)> = x.attributes.iter().collect();
        let agent = x
            .request
            .headers
            .get(http::header::USER_AGENT)
            .map(|v| to_text(v.as_bytes()));
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        lines.record(&AccessRecord {
            started_unix_ms: crate::clock::unix_ms().saturating_sub(took_ms),
            request_id: RequestId::of(x.id),
            trace: None,
            client_ip: x.client_ip,
            method: x.request.method.as_str(),
            host: x.request.authority.to_str().unwrap_or_default(),
            path: x.raw_target.as_ref().unwrap_or(&x.request.target).path(),
            query: None,
            protocol: match x.request.version {
                http::Version::HTTP_10 => "HTTP/1.0",
                http::Version::HTTP_2 => "HTTP/2.0",
                _ => "HTTP/1.1",
            },
            route: x.route.as_deref().unwrap_or_default(),
            status,
            error_code: x.error.as_ref().map_or("", |e| &e.code),
            bytes_in,
            bytes_out,
            took,
            aborted: !complete,
            upstream: x.answered_by.name.as_deref().unwrap_or_default(),
            endpoint: x.answered_by.endpoint.as_deref().unwrap_or_default(),
            upstream_took: (x.answered_by.first_byte_us > 0)
                .then(|| Duration::from_micros(x.answered_by.first_byte_us)),
            attributes: &attributes,
            user_agent: agent.as_deref().unwrap_or_default(),
        });
    }

    /// Counts a head that could not be read, and writes its access line.
    pub(super) fn note_unparsed(&self, unparsed: Unparsed, client_ip: IpAddr, since: Instant) {
        let Unparsed { id, kind } = unparsed;
        let took = since.elapsed();
        let status = kind.status().as_u16();
        let route = &self.view().closed.none.stats;
        route.record(&Finished {
            status,
            took,
            bytes_in: 0,
            bytes_out: 0,
            end: End::Complete,
        });
        self.count_error(kind.code(), kind.origin().as_str());
        let mut access = self.access.borrow_mut();
        let Some(lines) = access.as_mut() else { return };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        lines.record(&AccessRecord {
            started_unix_ms: crate::clock::unix_ms().saturating_sub(took_ms),
            request_id: id,
            trace: None,
            client_ip,
            method: "",
            host: "",
            path: "",
            query: None,
            protocol: "",
            route: "",
            status,
            error_code: kind.code(),
            bytes_in: 0,
            bytes_out: 0,
            took,
            aborted: false,
            upstream: "",
            endpoint: "",
            upstream_took: None,
            attributes: &[],
            user_agent: "",
        });
    }
}
