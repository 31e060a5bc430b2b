//! The registry's document, metric by metric in the order of the catalogue.
//!
//! It knows which number belongs to which name and label; the format is `exposition`'s.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::telemetry::catalogue::{self as names, Description};
use crate::telemetry::cell::seconds;
use crate::telemetry::exposition::{Exposition, Label};
use crate::telemetry::plugin_stats::{FaultKind, Hook, PluginState, PluginSum};
use crate::telemetry::process;
use crate::telemetry::registry::Telemetry;
use crate::telemetry::stats::{Handshake, ListenerSum, RetryReason, RouteSum, UpstreamFailure, UpstreamSum};
use crate::telemetry::store_stats::{StoreFailure, StoreSum};
use crate::telemetry::upstream_health::{self, UpstreamSample};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// One number of an upstream.
type OfUpstream = fn(&UpstreamSum) -> u64;

impl Telemetry {
    pub(super) fn write(&self, doc: &mut Exposition, upstreams: &[UpstreamSample]) {
        self.write_routes(doc);
        begin(doc, names::ERRORS);
        self.errors.render(None, doc);
        self.write_plugins(doc);
        self.write_upstreams(doc);
        upstream_health::write(doc, upstreams);
        self.write_stores(doc);
        self.write_listeners(doc);
        self.write_process(doc);
        self.plugin_metrics.render(doc);
    }

    /// Routes that had no exchange yet are left out.
    fn write_routes(&self, doc: &mut Exposition) {
        let mut routes = self.routes.sums(RouteSum::add);
        routes.retain(|(_, sum)| sum.used);
        begin(doc, names::ROUTE_DURATION);
        for (route, sum) in &routes {
            doc.histogram(
                names::ROUTE_DURATION.name,
                &[("http_route", route)],
                &sum.duration,
            );
        }
        begin(doc, names::ROUTE_REQUESTS);
        for (route, sum) in &routes {
            for (class, count) in CLASSES.iter().zip(sum.classes) {
                doc.count(
                    names::ROUTE_REQUESTS.name,
                    &[("route", route), ("class", class)],
                    count,
                );
            }
        }
        each(doc, names::ROUTE_BYTES_IN, "route", &routes, |sum| sum.bytes_in);
        each(doc, names::ROUTE_BYTES_OUT, "route", &routes, |sum| sum.bytes_out);
        each(doc, names::ROUTE_ABORTED, "route", &routes, |sum| sum.aborted);
    }

    /// Hooks that were never called and faults that never happened are left out.
    fn write_plugins(&self, doc: &mut Exposition) {
        let plugins = self.plugins.sums(PluginSum::add);
        let called = |sum: &PluginSum| {
            Hook::ALL
                .into_iter()
                .zip(sum.calls)
                .zip(sum.time_ns)
                .filter(|((_, n), _)| *n > 0)
        };
        begin(doc, names::PLUGIN_CALLS);
        for (plugin, sum) in &plugins {
            for ((hook, calls), _) in called(sum) {
                doc.count(
                    names::PLUGIN_CALLS.name,
                    &[("plugin", plugin), ("hook", hook.name())],
                    calls,
                );
            }
        }
        begin(doc, names::PLUGIN_TIME);
        for (plugin, sum) in &plugins {
            for ((hook, _), ns) in called(sum) {
                doc.number(
                    names::PLUGIN_TIME.name,
                    &[("plugin", plugin), ("hook", hook.name())],
                    seconds(ns),
                );
            }
        }
        begin(doc, names::PLUGIN_FAULTS);
        for (plugin, sum) in &plugins {
            for (hook, kinds) in Hook::ALL.into_iter().zip(sum.faults) {
                for (kind, count) in FaultKind::ALL
                    .into_iter()
                    .zip(kinds)
                    .filter(|(_, count)| *count > 0)
                {
                    let labels = [
                        ("plugin", &**plugin),
                        ("hook", hook.name()),
                        ("kind", kind.name()),
                    ];
                    doc.count(names::PLUGIN_FAULTS.name, &labels, count);
                }
            }
        }
        each(doc, names::PLUGIN_SKIPPED, "plugin", &plugins, |sum| sum.skipped);
        each(doc, names::PLUGIN_REJECTED, "plugin", &plugins, |sum| {
            sum.rejected
        });
        each(doc, names::PLUGIN_UNKNOWN_ROUTES, "plugin", &plugins, |sum| {
            sum.unknown_routes
        });
        each(doc, names::PLUGIN_INSTANCES, "plugin", &plugins, |sum| {
            sum.created.saturating_sub(sum.ended)
        });
        each(doc, names::PLUGIN_CREATED, "plugin", &plugins, |sum| sum.created);
        begin(doc, names::PLUGIN_STATE);
        for (plugin, state) in self
            .plugin_states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            for each in PluginState::ALL {
                let labels = [("plugin", plugin.as_str()), ("state", each.name())];
                doc.count(names::PLUGIN_STATE.name, &labels, u64::from(each == *state));
            }
        }
    }

    fn write_upstreams(&self, doc: &mut Exposition) {
        let upstreams = self.upstreams.sums(UpstreamSum::add);
        begin(doc, names::UPSTREAM_DURATION);
        for (upstream, sum) in upstreams.iter().filter(|(_, sum)| sum.requests > 0) {
            doc.histogram(
                names::UPSTREAM_DURATION.name,
                &[("upstream", upstream)],
                &sum.duration,
            );
        }
        each(doc, names::UPSTREAM_REQUESTS, "upstream", &upstreams, |sum| {
            sum.requests
        });
        begin(doc, names::UPSTREAM_RETRIES);
        for (upstream, sum) in &upstreams {
            for (reason, count) in RetryReason::ALL.into_iter().zip(sum.retries) {
                let labels = [("upstream", &**upstream), ("reason", reason.name())];
                doc.count(names::UPSTREAM_RETRIES.name, &labels, count);
            }
        }
        let counts: [(Description, OfUpstream); 6] = [
            (names::UPSTREAM_OVER_BUDGET, |sum| sum.over_budget),
            (names::UPSTREAM_HEDGES, |sum| sum.hedges),
            (names::UPSTREAM_HEDGES_WON, |sum| sum.hedges_won),
            (names::UPSTREAM_FALLBACKS, |sum| sum.fallbacks),
            (names::UPSTREAM_MIRRORED, |sum| sum.mirrored),
            (names::UPSTREAM_UNMIRRORED, |sum| sum.unmirrored),
        ];
        for (metric, count) in counts {
            each(doc, metric, "upstream", &upstreams, count);
        }
        each(doc, names::UPSTREAM_CONNECTS, "upstream", &upstreams, |sum| {
            sum.connects
        });
        begin(doc, names::UPSTREAM_FAILURES);
        for (upstream, sum) in &upstreams {
            for (kind, count) in UpstreamFailure::ALL.into_iter().zip(sum.failures) {
                let labels = [("upstream", &**upstream), ("kind", kind.name())];
                doc.count(names::UPSTREAM_FAILURES.name, &labels, count);
            }
        }
    }

    fn write_stores(&self, doc: &mut Exposition) {
        let stores = self.remote_stores.sums(StoreSum::add);
        begin(doc, names::STORE_DURATION);
        for (store, sum) in stores.iter().filter(|(_, sum)| sum.answered > 0) {
            doc.histogram(names::STORE_DURATION.name, &[("store", store)], &sum.duration);
        }
        each(doc, names::STORE_COMMANDS, "store", &stores, |sum| sum.answered);
        begin(doc, names::STORE_FAILURES);
        for (store, sum) in &stores {
            for (kind, count) in StoreFailure::ALL.into_iter().zip(sum.failures) {
                let labels = [("store", &**store), ("kind", kind.name())];
                doc.count(names::STORE_FAILURES.name, &labels, count);
            }
        }
        each(doc, names::STORE_CONNECTS, "store", &stores, |sum| sum.connects);
        each(doc, names::STORE_CONNECTED, "store", &stores, |sum| sum.connected);
    }

    fn write_listeners(&self, doc: &mut Exposition) {
        let listeners = self.listeners.sums(ListenerSum::add);
        each(doc, names::LISTENER_OPENED, "listener", &listeners, |sum| {
            sum.opened
        });
        each(doc, names::LISTENER_OPEN, "listener", &listeners, |sum| {
            sum.opened.saturating_sub(sum.closed)
        });
        each(doc, names::LISTENER_UPGRADED, "listener", &listeners, |sum| {
            sum.upgraded
        });
        each(doc, names::LISTENER_TUNNELS, "listener", &listeners, |sum| {
            sum.upgraded.saturating_sub(sum.tunnels_closed)
        });
        each(doc, names::LISTENER_REFUSED, "listener", &listeners, |sum| {
            sum.refused
        });
        begin(doc, names::LISTENER_HANDSHAKES);
        for (listener, sum) in &listeners {
            // A listener in clear has none.
            if sum.handshakes.iter().all(|count| *count == 0) {
                continue;
            }
            for (handshake, count) in Handshake::ALL.into_iter().zip(sum.handshakes) {
                let labels = [("listener", &**listener), ("result", handshake.name())];
                doc.count(names::LISTENER_HANDSHAKES.name, &labels, count);
            }
        }
    }

    fn write_process(&self, doc: &mut Exposition) {
        count(
            doc,
            names::GENERATION,
            &[],
            self.generation.load(Ordering::Relaxed),
        );
        count(
            doc,
            names::RELOADS,
            &[("result", "applied")],
            self.reloads.applied.get(),
        );
        doc.count(
            names::RELOADS.name,
            &[("result", "rejected")],
            self.reloads.rejected.get(),
        );
        if let Some((at, applied)) = self.reloads.latest() {
            count(doc, names::LAST_RELOAD_OK, &[], u64::from(applied));
            number(doc, names::LAST_RELOAD_TIME, at);
        }
        number(doc, names::UPTIME, seconds(self.uptime_ns()));
        count(doc, names::BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1);
        count(doc, names::ACCESS_LOG_DROPPED, &[], self.access_log_dropped.get());
        count(doc, names::LOG_DROPPED, &[], self.log_dropped.get());
        number(doc, names::PROCESS_START, self.started_unix_ms as f64 / 1e3);
        number(doc, names::PROCESS_CPU, process::cpu_seconds());
        if let Some(bytes) = process::resident_bytes() {
            count(doc, names::PROCESS_RESIDENT, &[], bytes);
        }
        if let Some(fds) = process::open_fds() {
            count(doc, names::PROCESS_FDS, &[], fds);
        }
    }
}

fn begin(doc: &mut Exposition, metric: Description) {
    doc.metric(metric.name, metric.kind, metric.help);
}

fn count(doc: &mut Exposition, metric: Description, labels: &[Label<'_>], value: u64) {
    begin(doc, metric);
    doc.count(metric.name, labels, value);
}

fn number(doc: &mut Exposition, metric: Description, value: f64) {
    begin(doc, metric);
    doc.number(metric.name, &[], value);
}

/// A metric with one label and one number per name.
fn each<T>(
    doc: &mut Exposition,
    metric: Description,
    label: &str,
    sums: &[(Box<str>, T)],
    value: impl Fn(&T) -> u64,
) {
    begin(doc, metric);
    for (name, sum) in sums {
        doc.count(metric.name, &[(label, name)], value(sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::stats::{End, Finished};
    use std::collections::HashSet;
    use std::time::Duration;

    fn busy() -> Telemetry {
        let telemetry = Telemetry::new(2);
        for worker in 0..2 {
            telemetry.route(worker, "orders").record(&Finished {
                status: 200,
                took: Duration::from_millis(30),
                bytes_in: 5,
                bytes_out: 7,
                end: End::Complete,
            });
            telemetry
                .plugin(worker, "jwt")
                .call(Hook::OnRequest, Duration::from_micros(250));
            telemetry.upstream(worker, "orders").request();
            telemetry
                .upstream(worker, "orders")
                .failure(UpstreamFailure::Timeout);
            telemetry.listener(worker, "public").opened();
        }
        let _unused = telemetry.route(0, "never-asked");
        telemetry.plugin(0, "jwt").instance_created();
        telemetry.plugin_fault("jwt", Hook::OnRequest, FaultKind::Cpu);
        telemetry.set_plugin_state("jwt", PluginState::LastGood);
        telemetry.error("jwt-expired", "plugin");
        telemetry.reloads.rejected();
        telemetry
    }

    #[test]
    fn workers_are_summed_under_one_name() {
        let text = busy().render();
        for line in [
            "http_server_request_duration_seconds_count{http_route=\"orders\"} 2",
            "http_server_request_duration_seconds_bucket{http_route=\"orders\",le=\"0.05\"} 2",
            "portcullis_http_requests_total{route=\"orders\",class=\"2xx\"} 2",
            "portcullis_http_requests_total{route=\"orders\",class=\"5xx\"} 0",
            "portcullis_http_response_bytes_total{route=\"orders\"} 14",
            "portcullis_http_errors_total{code=\"jwt-expired\",origin=\"plugin\"} 1",
            "portcullis_plugin_calls_total{plugin=\"jwt\",hook=\"on-request\"} 2",
            "portcullis_plugin_duration_seconds_total{plugin=\"jwt\",hook=\"on-request\"} 0.0005",
            "portcullis_plugin_faults_total{plugin=\"jwt\",hook=\"on-request\",kind=\"cpu\"} 1",
            "portcullis_plugin_instances{plugin=\"jwt\"} 1",
            "portcullis_plugin_state{plugin=\"jwt\",state=\"active\"} 0",
            "portcullis_plugin_state{plugin=\"jwt\",state=\"last-good\"} 1",
            "portcullis_upstream_failures_total{upstream=\"orders\",kind=\"timeout\"} 2",
            "portcullis_listener_connections{listener=\"public\"} 2",
            "portcullis_reloads_total{result=\"rejected\"} 1",
            "portcullis_last_reload_success 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("never-asked"));
    }

    #[test]
    fn every_metric_is_described_once_before_its_samples() {
        let text = busy().render();
        let mut described = HashSet::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = rest.split(' ').next().unwrap().to_owned();
                assert!(described.insert(current.clone()), "{current} twice");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(name.starts_with(&current), "{line} under {current}");
            }
        }
        let known: HashSet<String> = names::ALL.iter().map(|m| m.name.to_owned()).collect();
        assert_eq!(described, known);
    }

    #[test]
    fn the_document_is_the_same_each_time() {
        let telemetry = busy();
        let stable = |text: String| -> Vec<String> {
            let moving = |line: &&str| line.starts_with("process_") || line.starts_with("portcullis_uptime");
            text.lines()
                .filter(|line| !moving(line))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(stable(telemetry.render()), stable(telemetry.render()));
    }

    #[test]
    fn ten_thousand_unused_routes_are_affordable() {
        let telemetry = Telemetry::new(64);
        for n in 0..10_000 {
            let _made = telemetry.route(0, &n.to_string());
        }
        assert!(telemetry.render().len() < 10_000);
    }
}
