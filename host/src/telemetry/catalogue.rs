//! Names, kinds and help texts of the host's own metrics, in the order of the document.
//!
//! It knows no values. `docs/metrics.md` lists the same metrics for people; a test compares the two.

/// One metric of the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal, $help:literal;)*) => {
        $(pub(super) const $constant: Description =
            Description { name: $name, kind: stringify!($kind), help: $help };)*

        /// All of them.
        #[cfg(test)]
        pub(super) const ALL: &[Description] = &[$($constant),*];
    };
}

catalogue! {
    ROUTE_DURATION = histogram "http_server_request_duration_seconds",
        "Time from the first byte of a request to the last byte of its response.";
    ROUTE_REQUESTS = counter "portcullis_http_requests_total", "Exchanges by class of the status sent.";
    ROUTE_BYTES_IN = counter "portcullis_http_request_bytes_total", "Body bytes received from clients.";
    ROUTE_BYTES_OUT = counter "portcullis_http_response_bytes_total", "Body bytes sent to clients.";
    ROUTE_ABORTED = counter "portcullis_http_aborted_total", "Exchanges that did not come to their end.";
    ERRORS = counter "portcullis_http_errors_total", "Error answers by stable code and by origin.";
    PLUGIN_CALLS = counter "portcullis_plugin_calls_total", "Calls of a plugin's hooks.";
    PLUGIN_TIME = counter "portcullis_plugin_duration_seconds_total", "Time spent in a plugin's hooks.";
    PLUGIN_FAULTS = counter "portcullis_plugin_faults_total", "Calls that failed, by kind.";
    PLUGIN_SKIPPED = counter "portcullis_plugin_skipped_total", "Exchanges that went on without the plugin.";
    PLUGIN_REJECTED = counter "portcullis_plugin_rejected_total", "Exchanges answered 503 because of the plugin.";
    PLUGIN_UNKNOWN_ROUTES = counter "portcullis_plugin_unknown_routes_total",
        "Routes that the plugin named as a router and that its listener does not have.";
    PLUGIN_INSTANCES = gauge "portcullis_plugin_instances", "Instances alive.";
    PLUGIN_CREATED = counter "portcullis_plugin_instances_created_total", "Instances made.";
    PLUGIN_STATE = gauge "portcullis_plugin_state", "1 for the state that the plugin entry is in, else 0.";
    UPSTREAM_DURATION = histogram "portcullis_upstream_duration_seconds",
        "Time from the sending of a try to its response head.";
    UPSTREAM_REQUESTS = counter "portcullis_upstream_requests_total", "Tries sent to an upstream.";
    UPSTREAM_RETRIES = counter "portcullis_upstream_retries_total", "Tries that were not the first of their exchange.";
    UPSTREAM_OVER_BUDGET = counter "portcullis_upstream_retry_budget_exhausted_total",
        "Further tries that the retry budget did not allow.";
    UPSTREAM_HEDGES = counter "portcullis_upstream_hedges_total", "Second tries beside a slow first one.";
    UPSTREAM_HEDGES_WON = counter "portcullis_upstream_hedges_won_total", "Second tries whose response was taken.";
    UPSTREAM_FALLBACKS = counter "portcullis_upstream_fallbacks_total", "Exchanges that the upstream's fallback took over.";
    UPSTREAM_MIRRORED = counter "portcullis_upstream_mirrored_total", "Copies of requests sent to the upstream.";
    UPSTREAM_UNMIRRORED = counter "portcullis_upstream_mirror_dropped_total",
        "Copies of requests that were not sent to the upstream.";
    UPSTREAM_CONNECTS = counter "portcullis_upstream_connects_total", "Connections opened to an upstream.";
    UPSTREAM_FAILURES = counter "portcullis_upstream_failures_total", "Tries without a response, by kind.";
    UPSTREAM_LOOKUPS = counter "portcullis_upstream_lookups_total",
        "Lookups of the names of the upstream's endpoints, by result.";
    ENDPOINT_AVAILABLE = gauge "portcullis_upstream_endpoint_available",
        "1 while nothing speaks against using the endpoint, else 0.";
    ENDPOINT_MARKED = gauge "portcullis_upstream_endpoint_marked", "1 for what speaks against using the endpoint, else 0.";
    ENDPOINT_IN_FLIGHT = gauge "portcullis_upstream_endpoint_in_flight",
        "Exchanges that use the endpoint, where something in the upstream's settings needs to know.";
    ENDPOINT_EJECTIONS = counter "portcullis_upstream_endpoint_ejections_total",
        "Times that the endpoint was ejected for errors in a row.";
    HEALTH_CHECKS = counter "portcullis_upstream_health_checks_total", "Health checks of the endpoint, by result.";
    BREAKER_STATE = gauge "portcullis_upstream_breaker_state",
        "1 for the state of the circuit breaker, else 0; the endpoint is empty for that of the upstream.";
    BREAKER_TRANSITIONS = counter "portcullis_upstream_breaker_transitions_total",
        "Times that the circuit breaker went to the state.";
    UPSTREAM_IN_USE = gauge "portcullis_upstream_in_use", "What is in use of the upstream's limits.";
    UPSTREAM_LIMITED = counter "portcullis_upstream_limited_total", "Tries refused because of a limit of the upstream.";
    STORE_DURATION = histogram "portcullis_store_duration_seconds", "Time from a command to its answer.";
    STORE_COMMANDS = counter "portcullis_store_commands_total", "Commands that were answered.";
    STORE_FAILURES = counter "portcullis_store_failures_total", "Commands without an answer of use, by kind.";
    STORE_CONNECTS = counter "portcullis_store_connects_total", "Connections opened to a store.";
    STORE_CONNECTED = gauge "portcullis_store_connected", "Workers that are connected to a store.";
    LISTENER_OPENED = counter "portcullis_listener_connections_total", "Connections accepted.";
    LISTENER_OPEN = gauge "portcullis_listener_connections", "Connections open.";
    LISTENER_UPGRADED = counter "portcullis_listener_upgrades_total", "Connections that went over to another protocol.";
    LISTENER_TUNNELS = gauge "portcullis_listener_tunnels", "Connections, or streams of HTTP/2, open that have gone over to another protocol.";
    LISTENER_REFUSED = counter "portcullis_listener_refused_total", "Connections closed at once.";
    LISTENER_HANDSHAKES = counter "portcullis_listener_tls_handshakes_total", "TLS handshakes of clients, by result.";
    GENERATION = gauge "portcullis_generation", "Number of the configuration in force.";
    RELOADS = counter "portcullis_reloads_total", "Reloads by result.";
    LAST_RELOAD_OK = gauge "portcullis_last_reload_success", "0 if the latest reload was rejected, else 1.";
    LAST_RELOAD_TIME = gauge "portcullis_last_reload_timestamp_seconds", "Unix time of the latest reload.";
    UPTIME = gauge "portcullis_uptime_seconds", "Time since the process started.";
    BUILD = gauge "portcullis_build_info", "1, with the version of the gateway.";
    ACCESS_LOG_DROPPED = counter "portcullis_access_log_dropped_total",
        "Access log lines dropped, for the writer was too slow or failed.";
    LOG_DROPPED = counter "portcullis_log_dropped_total",
        "Log lines dropped, for the writer was too slow or failed.";
    PROCESS_START = gauge "process_start_time_seconds", "Unix time at which the process started.";
    PROCESS_CPU = counter "process_cpu_seconds_total", "CPU time of the process, user and system.";
    PROCESS_RESIDENT = gauge "process_resident_memory_bytes", "Resident memory of the process.";
    PROCESS_FDS = gauge "process_open_fds", "Open file descriptors of the process.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_every_metric_with_its_kind() {
        let manual = include_str!("../../../docs/metrics.md");
        for metric in ALL {
            let row = format!("| `{}` | {} |", metric.name, metric.kind);
            assert!(manual.contains(&row), "docs/metrics.md has no row `{row}`");
        }
        let rows = manual.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(
            rows,
            ALL.len(),
            "docs/metrics.md lists a metric that is not there"
        );
    }
}
